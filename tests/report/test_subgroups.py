"""Results counted by a column of the label file: numbers by hand, words, pages, and runs without any."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from skinaudit.audit.records import ImageRecord, Record
from skinaudit.report.document import Subgroup
from skinaudit.report.findings import summarise
from skinaudit.report.findings.subgroups import subgroups
from skinaudit.report.pdf import write_pdf
from skinaudit.report.results import Rate
from skinaudit.report.subgroups import TITLE
from skinaudit.report.twin import read_json, write_json
from skinaudit.report.wording import TOO_FEW
from tests.report.synthetic import SyntheticRun, header, probabilities, synthetic_run, verdict
from tests.report.test_tally import wilson_by_hand


def run_of(
    values: dict[str | None, tuple[int, int, int]], column: str = "sex"
) -> tuple[list[ImageRecord], list[Record]]:
    """Per value: attacked images, joint successes of ADV², joint successes of PGD."""
    images, records = [], []
    for value, (count, adv2, pgd) in values.items():
        for place in range(count):
            name = f"{value}-{place:03d}"
            own = {} if value is None else {column: value}
            images.append(
                ImageRecord(image_id=name, status="attacked", prediction=probabilities(0, 0.9), subgroups=own)
            )
            records += [verdict(name, "adv2", kept=place < adv2), verdict(name, "pgd", kept=place < pgd)]
    return images, records


def by_sex(values: dict[str | None, tuple[int, int, int]]) -> Subgroup:
    head = header(("cam",)).model_copy(update={"subgroups": ("sex",)})
    images, records = run_of(values)
    (found,) = subgroups(head, images, records)
    return found


def words(found: Subgroup) -> str:
    return " ".join(found.findings).replace("\u00a0", " ")


def interval(rate: Rate) -> tuple[float | None, float | None]:
    return rate.low, rate.high


def test_rates_of_each_value_are_counted_by_hand() -> None:
    found = by_sex({"female": (20, 15, 2), "male": (12, 3, 1)})
    assert [(row.value, row.found, row.attacked, row.few) for row in found.rows] == [
        ("female", 20, 20, False),
        ("male", 12, 12, False),
    ]
    (female,), (male,) = (row.rates for row in found.rows)
    assert (female.adv2.successes, female.adv2.value, female.pgd.successes) == (15, 0.75, 2)
    assert (male.adv2.successes, male.adv2.value, male.pgd.successes) == (3, 0.25, 1)
    assert interval(female.adv2) == pytest.approx(wilson_by_hand(15, 20), abs=1e-5)
    assert interval(male.pgd) == pytest.approx(wilson_by_hand(1, 12), abs=1e-5)
    assert found.warning == ""


def test_a_value_of_few_images_states_no_rate_and_is_warned_of() -> None:
    found = by_sex({"female": (10, 9, 0), "male": (9, 9, 0), None: (2, 0, 0)})
    assert [(row.value, row.few) for row in found.rows] == [("female", False), ("male", True), (None, True)]
    assert found.rows[1].rates[0].adv2.value is None
    assert found.rows[1].rates[0].adv2.successes == 9
    assert TOO_FEW in found.warning.lower()
    assert "male (9), not stated (2)" in found.warning
    assert "kept cannot be compared for CAM: fewer than two values have 10 images or more" in words(found)


def test_images_that_were_not_attacked_are_found_and_in_no_rate() -> None:
    head = header(("cam",)).model_copy(update={"subgroups": ("sex",)})
    images, records = run_of({"female": (11, 4, 0)})
    other = images[0].model_copy(update={"image_id": "other", "status": "misclassified"})
    (found,) = subgroups(head, [*images, other], records)
    assert (found.rows[0].found, found.rows[0].attacked, found.rows[0].rates[0].adv2.n) == (12, 11, 11)


def test_a_failed_unit_is_in_no_rate_and_a_map_without_a_limit_neither() -> None:
    head = header(("cam",)).model_copy(update={"subgroups": ("sex",)})
    images, records = run_of({"female": (12, 4, 0)})
    records[0] = records[0].model_copy(update={"status": "failed", "reason": "not finite"})
    records[2] = records[2].model_copy(update={"kept": None, "joint": None})
    (found,) = subgroups(head, images, records)
    assert (found.rows[0].rates[0].adv2.n, found.rows[0].rates[0].adv2.successes) == (10, 2)
    assert found.rows[0].rates[0].pgd.n == 12


def test_intervals_that_part_and_intervals_that_meet_are_told_apart() -> None:
    apart = by_sex({"female": (40, 38, 0), "male": (40, 4, 0), "other": (40, 20, 0)})
    assert "highest for female, 38 of 40 images" in words(apart)
    assert "lowest for male, 4 of 40 images" in words(apart)
    assert "do not overlap" in words(apart)
    meet = by_sex({"female": (12, 7, 0), "male": (12, 5, 0)})
    assert "overlap, so no difference is shown" in words(meet)
    assert "is the same for every value" in words(by_sex({"female": (12, 6, 0), "male": (12, 6, 0)}))


def test_values_are_in_the_order_of_their_numbers_then_of_their_letters() -> None:
    found = by_sex(dict.fromkeys(["90+", "leg", None, "10-19", "0-9", "arm"], (1, 0, 0)))
    assert [row.value for row in found.rows] == ["0-9", "10-19", "90+", "arm", "leg", None]


def test_columns_are_in_the_order_of_the_header_and_none_are_none() -> None:
    images, records = run_of({"female": (12, 4, 0)})
    head = header(("cam",)).model_copy(update={"subgroups": ("site", "sex")})
    assert [found.column for found in subgroups(head, images, records)] == ["site", "sex"]
    assert [row.value for row in subgroups(head, images, records)[0].rows] == [None]
    assert subgroups(header(("cam",)), images, records) == ()


# --- pages and twin ---------------------------------------------------------------------------------------------------


def with_subgroups(
    folder: Path, count: int, columns: dict[str, list[str]], interpreters: tuple[str, ...] = ("cam", "grad")
) -> SyntheticRun:
    """A run whose images take the values in turn; its pictures count as not stored, which is quicker."""
    view = synthetic_run(folder, count, pictures_of=1, interpreters=interpreters)
    view.header = view.header.model_copy(update={"subgroups": tuple(columns)})
    view.image_rows = [
        image.model_copy(
            update={
                "subgroups": {name: values[place % len(values)] for name, values in columns.items()},
                "artifacts": {},
            }
        )
        for place, image in enumerate(view.image_rows)
    ]
    view.record_rows = [record.model_copy(update={"artifacts": {}}) for record in view.record_rows]
    return view


def pages(view: SyntheticRun) -> list[str]:
    path = view.folder / "report.pdf"
    write_pdf(view, path)
    reader = PdfReader(BytesIO(path.read_bytes()))
    return [re.sub(r"\s+", " ", page.extract_text()) for page in reader.pages]


def test_report_has_a_section_with_a_table_for_each_column(tmp_path: Path) -> None:
    view = with_subgroups(tmp_path, 30, {"sex": ["female", "male"], "age": ["30-39", "50-59", "90+"]})
    text = " ".join(pages(view))
    report = summarise(view)
    assert TITLE in text
    for found in report.subgroups:
        assert f"By {found.column}" in text
        for row in found.rows:
            assert f"{row.value} {row.found} {row.attacked}" in text
        for sentence in found.findings:
            assert re.sub(r"\s+", " ", sentence) in text
    assert "CAM: ADV²" in text
    assert "GRAD: PGD" in text
    assert "only subgroups by sex, age were analysed" in text
    assert "subgroups were not analysed" not in text


def test_a_report_without_subgroups_has_no_such_section_and_says_so(tmp_path: Path) -> None:
    text = " ".join(pages(synthetic_run(tmp_path, 12, pictures_of=2)))
    assert TITLE not in text
    assert "subgroups were not analysed" in text


def test_warning_stands_on_the_page(tmp_path: Path) -> None:
    view = with_subgroups(tmp_path, 12, {"sex": ["female"] * 11 + ["male"]})
    (found,) = summarise(view).subgroups
    assert "male (1)" in found.warning
    assert re.sub(r"\s+", " ", found.warning) in " ".join(pages(view))


def test_many_values_and_interpreters_and_hostile_names_fit_their_pages(tmp_path: Path) -> None:
    names = ("cam", "grad", "rts", "mask", "fifth")
    values = [f'<img src="http://x"/> {"w" * 30} {number:02d}'[:40] + f"{number:02d}" for number in range(30)]
    view = with_subgroups(tmp_path, 30, {"<b>site</b>" * 3: values}, interpreters=names)
    path = tmp_path / "report.pdf"
    write_pdf(view, path)
    content = path.read_bytes()
    assert b"/URI" not in content
    for page in PdfReader(BytesIO(content)).pages:
        places: list[float] = []
        page.extract_text(visitor_text=lambda text, _cm, tm, *_: places.append(tm[4]) if text.strip() else None)  # noqa: B023
        assert all(0 <= place < 595 for place in places)


def test_twin_holds_the_same_subgroups_and_an_older_twin_reads_as_none(tmp_path: Path) -> None:
    view = with_subgroups(tmp_path, 24, {"sex": ["female", "male"]})
    write_json(view, tmp_path / "report.json")
    report = read_json(tmp_path / "report.json")
    assert report == summarise(view)
    assert [row.value for row in report.subgroups[0].rows] == ["female", "male"]
    old = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    del old["subgroups"], old["header"]["subgroups"], old["data"]["calibration"]
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    read = read_json(tmp_path / "old.json")
    assert (read.subgroups, read.header.subgroups, read.data.calibration) == ((), (), None)


def test_order_of_records_changes_nothing(tmp_path: Path) -> None:
    first = with_subgroups(tmp_path, 24, {"sex": ["female", "male"]})
    turned = SyntheticRun(first.folder, first.header, first.image_rows[::-1], first.record_rows[::-1])
    assert summarise(first) == summarise(turned)
