"""Transfer across models: a model as its own second model, and a table made by hand."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.transfer_models import Pair, pairs_of, sides, table
from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.reader import RunReader
from skinaudit.audit.session import prepare
from skinaudit.images.decode import decode
from tests.audit.tiny_audit import DIRECT, Listener, request


def test_a_model_puts_its_own_pictures_on_the_sides_that_were_recorded(tmp_path: Path) -> None:
    prepared = prepare(request(tmp_path), DIRECT, Listener())
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    with RunReader(tmp_path / "run") as run:
        pairs = pairs_of(run)
        assert len(pairs) == 3 * len(prepared.chosen)  # PGD, and ADV² on two maps
        clean, changed = (
            [decode(file).pixels for file in (p.clean for p in pairs)],
            [decode(p.changed).pixels for p in pairs],
        )
    seen = [sides(prepared.bench.classifier, pictures, 4, torch.device("cpu")) for pictures in (clean, changed)]
    assert seen == [[pair.before for pair in pairs], [pair.after for pair in pairs]]


def test_only_pictures_seen_alike_while_clean_count_and_noise_counts_once_an_image() -> None:
    one, two, three = Path("1"), Path("2"), Path("3")
    pairs = [
        Pair("PGD", one, one, True, False),
        Pair("PGD", two, two, True, False),
        Pair("PGD", three, three, True, True),
        Pair("ADV² on CAM", one, one, True, False),
    ]
    lines = table(pairs, [True, False, True, True], [False, True, False, True], [True, True, False, True]).splitlines()
    cells = [[cell.partition(" [")[0].strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    assert cells == [
        ["PGD", "3", "0.667", "1", "1.000"],
        ["ADV² on CAM", "1", "1.000", "1", "0.000"],
        ["control: ±ε noise", "3", "–", "2", "0.500"],
    ]
