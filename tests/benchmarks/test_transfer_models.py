"""Transfer across models: a model as its own second model, and a table made by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from benchmarks.transfer_models import Pair, pairs_of, sides, table
from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.reader import RunReader
from skinaudit.audit.session import prepare
from skinaudit.classifier.classifier import load_classifier
from skinaudit.images.decode import decode
from tests.audit.tiny_audit import DIRECT, Listener, photograph, request
from tests.bundles import make_bundle


def test_the_side_of_a_picture_is_that_of_the_class_the_model_gives_it(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    pictures = [photograph(seed) for seed in range(12)]
    shown = torch.stack([classifier.preprocess.shown(pixels) for pixels in pictures]).float() / 255
    expected = [classifier.classes[index] == "mel" for index in classifier(shown).argmax(1).tolist()]
    assert {True, False} == set(expected)
    assert sides(classifier, pictures, 5, torch.device("cpu")) == expected


def test_every_attack_on_every_image_is_a_pair_that_the_same_model_sees_as_recorded(tmp_path: Path) -> None:
    prepared = prepare(request(tmp_path), DIRECT, Listener())
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    with RunReader(tmp_path / "run") as run:
        pairs = pairs_of(run)
        seen = sides(prepared.bench.classifier, [decode(one.changed).pixels for one in pairs], 4, torch.device("cpu"))
    assert Counter(pair.made for pair in pairs) == dict.fromkeys(
        ("PGD", "ADV² (this tool) on CAM", "ADV² (this tool) on GRAD"), len(prepared.chosen)
    )
    assert seen == [pair.after for pair in pairs]
    assert any(pair.before != pair.after for pair in pairs)
    assert len({pair.changed for pair in pairs}) == len(pairs)


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
