"""What the terminal says after an audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from skinaudit.cli.console import Console
from skinaudit.cli.result import show_result
from skinaudit.report.findings import summarise
from skinaudit.report.render import Rendered
from tests.report.synthetic import synthetic_run


@pytest.mark.parametrize("several", [False, True])
def test_what_both_at_once_means_for_several_maps_stands_below_the_table(
    several: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = synthetic_run(tmp_path, 3, with_excluded=False)
    if several:
        run.record_rows += [
            one.model_copy(update={"attack": "joint", "unit_id": f"{one.image_id}-joint"})
            for one in run.record_rows
            if one.attack == "adv2"
        ]
    report = summarise(run)
    show_result(Console(), Rendered(report, *(tmp_path / name for name in ("a.pdf", "b.json", "c.csv", "d.jsonl"))))
    printed = capsys.readouterr().out
    assert ("ADV² on all maps" in printed) == several
    assert ("the last column asks that every map be kept" in printed) == several
    assert printed.splitlines()[-1] == str(tmp_path / "a.pdf")
