"""A folder of 2000 damaged files goes through a command: no crash, no hang, every file accounted for."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from skinaudit.cli import main
from tests.bundles import make_bundle
from tests.mutations import write_mutants

COUNT = 2000


def test_every_damaged_file_is_predicted_or_has_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    names = [path.name for path in write_mutants(tmp_path / "photos", COUNT)]
    table = tmp_path / "table.csv"
    begun = time.monotonic()
    code = main(["predict", str(bundle), str(tmp_path / "photos"), "--out", str(table), "--threads", "1"])
    assert code == 0
    assert time.monotonic() - begun < 120  # a hang would cost 30 s a file
    with table.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == sorted(names)
    for row in rows:
        if row["status"] == "predicted":
            assert sum(float(row[f"p_{name}"]) for name in ("mel", "nv", "bkl")) == pytest.approx(1, abs=1e-4)
        else:
            assert row["status"] in {"unreadable", "refused"}
            assert row["reason"]
            assert str(tmp_path) not in row["reason"]
            assert not row["reason"].startswith("the decoder"), row
    predicted = sum(row["status"] == "predicted" for row in rows)
    assert COUNT // 10 < predicted < COUNT // 2
    assert f"{COUNT} files, {predicted} predicted" in capsys.readouterr().out
