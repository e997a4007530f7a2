"""Subgroups from the label file to every form of the report; what names a patient in it reaches none of them."""

from __future__ import annotations

import csv
import re
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from skinaudit.audit.reader import RunReader
from skinaudit.cli import main
from skinaudit.report.twin import read_json
from tests.acceptance.identifiers import identifiers, leaks, within
from tests.bundles import make_bundle
from tests.small_folder import labelled_folder

SETTINGS = ("--preset", "quick", "--threads", "1", "--batch-size", "4", "--interpreters", "cam")
SEX = ("f", "m", "F", "")
AGES = ("41", "93", "47.0", "97")
#: What a hospital's export may hold beside the classes.
PRIVATE = {
    "patient": "Quastenflosser Ottilie",
    "patient_id": "KH-4711-0815",
    "birth_date": "1931-02-30",
    "findings": "Irregular border, seen by Dr Wolkenbruch on ward 17",
    "visit": "12.11.2019",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "tiny-bundle")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """Four images, twice two with the same private cells, so that no column is left out for being unique alone."""
    folder = labelled_folder(tmp_path_factory.mktemp("images") / "photos", bundle, right=4, wrong=0)
    head, *rows = (folder / "labels.csv").read_text().splitlines()
    lines = [",".join([head, "sex", "age", *PRIVATE])]
    for place, row in enumerate(rows):
        private = [f'"{value}{" II" if place % 2 else ""}"' for value in PRIVATE.values()]
        lines.append(",".join([row, SEX[place], AGES[place], *private]))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def command(bundle: Path, photos: Path, run: Path, *more: str) -> list[str]:
    return ["audit", str(bundle), str(photos), "--out", str(run), *SETTINGS, *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bundle: Path, photos: Path) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main(command(bundle, photos, run, "--subgroup", "Age", "--subgroup", "sex")) == 0
    return run


def test_subgroups_stand_in_records_twin_table_and_pages(finished: Path) -> None:
    report = read_json(finished / "report.json")
    assert report.header.subgroups == ("age", "sex")
    rows = {found.column: {row.value: row.found for row in found.rows} for found in report.subgroups}
    assert rows == {"age": {"40-49": 2, "90+": 2}, "sex": {"F": 2, "m": 1, None: 1}}
    assert "40-49 (2), 90+ (2)" in report.subgroups[0].warning
    with RunReader(finished) as run:
        by_image = {image.image_id: image.subgroups for image in run.images()}
    assert sorted(str(sorted(own.values())) for own in by_image.values()) == [
        "['40-49', 'F']",
        "['40-49', 'F']",
        "['90+', 'm']",
        "['90+']",
    ]
    with (finished / "results.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            own = by_image[row["image_id"]]
            assert (row["subgroup_age"], row["subgroup_sex"]) == (own["age"], own.get("sex", ""))
    reader = PdfReader(BytesIO((finished / "report.pdf").read_bytes()))
    text = re.sub(r"\s+", " ", " ".join(page.extract_text() for page in reader.pages))
    assert "Results by subgroup" in text
    assert "40-49 2 2" in text
    assert "--subgroup age --subgroup sex" in text


def test_nothing_else_of_the_label_file_reaches_any_file_or_the_terminal(
    bundle: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = identifiers(PRIVATE)
    assert {where for _, where in leaks(photos, wanted)} == set(PRIVATE)
    assert main(command(bundle, photos, tmp_path / "run")) == 0
    assert main(command(bundle, photos, tmp_path / "run", "--json")) == 0
    printed = [part.encode() for part in capfd.readouterr()]
    assert b"Label columns that make no subgroups" in printed[1]
    assert within(printed, wanted) == []
    assert leaks(tmp_path / "run", wanted) == []
    assert read_json(tmp_path / "run" / "report.json").header.subgroups == ("age",)


def test_a_run_goes_on_with_the_same_values_alone(
    bundle: Path, photos: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--subgroup", "age", "--subgroup", "sex")
    assert main(command(bundle, photos, finished, *asked)) == 0
    assert main(command(bundle, photos, finished, "--subgroup", "sex")) == 6
    assert "label columns of subgroups was (age, sex), now (sex)" in capsys.readouterr().err
    labels = photos / "labels.csv"
    before = labels.read_text(encoding="utf-8")
    labels.write_text(before.replace(",f,41,", ",m,41,"), encoding="utf-8")
    try:
        assert main(command(bundle, photos, finished, *asked)) == 6
        assert "the labels (digest) was" in capsys.readouterr().err
    finally:
        labels.write_text(before, encoding="utf-8")


def test_a_column_that_is_not_there_ends_with_one_line(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(bundle, photos, tmp_path / "run", "--subgroup", "race")) == 3
    assert "has no column 'race' for subgroups; there are sex, age, patient" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
