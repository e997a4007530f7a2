"""What a report says of the checks of the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from pypdf import PdfReader

from skinaudit.audit.records import CheckFinding
from skinaudit.classifier.check_batch import Behaviour, batch_finding, repeat_finding, training_finding
from skinaudit.classifier.check_outputs import accuracy_finding
from skinaudit.classifier.finding import TITLES, Finding
from skinaudit.report.document import Auditability, Report
from skinaudit.report.findings import summarise
from skinaudit.report.pdf import write_pdf
from skinaudit.report.twin import read_json, write_json
from tests.report.synthetic import SyntheticRun, synthetic_run

MIXES = Behaviour(images=2, neighbours=0.66, diagnoses=1)
NOT_CHECKED = "The model was not checked before this run, so nothing is said about whether it can be audited."


def checks(*findings: Finding) -> tuple[CheckFinding, ...]:
    """Those findings; all other checks are passed."""
    given = {one.check: one for one in findings}
    fine = {name: Finding(name, True, "ok", "Nothing odd was seen.", "All is well.", "None needed.") for name in TITLES}
    return tuple(CheckFinding(**vars(one)) for one in (fine | given).values())


def run_with(folder: Path, found: tuple[CheckFinding, ...], *, labels: bool = True) -> SyntheticRun:
    run = synthetic_run(folder, 14, pictures_of=1, labels=labels)
    return SyntheticRun(
        run.folder, run.header.model_copy(update={"checks": found}), run.image_rows, run.record_rows, run.closed_at
    )


def report_with(folder: Path, *findings: Finding, labels: bool = True) -> Report:
    return summarise(run_with(folder, checks(*findings), labels=labels))


def plain(words: str | None) -> str:
    return (words or "").replace("\u00a0", " ")


def pages(run: SyntheticRun, path: Path) -> list[str]:
    write_pdf(run, path)
    return [" ".join(plain(page.extract_text()).split()) for page in PdfReader(path).pages]


def test_a_model_without_alarm_says_so_and_nothing_on_the_first_page(tmp_path: Path) -> None:
    found = report_with(tmp_path, accuracy_finding(3, 4, 0.8)).auditable
    assert (found.alarms, found.notes, found.alarm, found.findings) == (0, 1, None, ())
    assert found.headline == "None of 9 checks raised an alarm; 1 note."
    assert [row.check for row in found.rows] == list(TITLES)


def test_a_run_that_was_not_checked_says_so(tmp_path: Path) -> None:
    assert summarise(synthetic_run(tmp_path, 3, pictures_of=1)).auditable == Auditability(headline=NOT_CHECKED)


def test_a_model_that_mixes_images_cannot_be_trusted_and_is_stated_at_batch_size_one(tmp_path: Path) -> None:
    found = report_with(tmp_path, batch_finding(MIXES)).auditable
    assert plain(found.findings[0]) == (
        "A prediction of this model depends on the other images in its batch, so it was attacked one image at a time. "
        "Its declared accuracy of 80 % cannot be trusted; at batch size one, its diagnosis agrees with the label in 14 "
        "of 15 images (93 %, 95 % interval 70–99 %)."
    )
    assert plain(found.alarm).startswith("1 of 9 checks of the model raised an alarm (each image on its own). A predi")


def test_without_labels_its_accuracy_is_not_known(tmp_path: Path) -> None:
    found = report_with(tmp_path, batch_finding(MIXES), labels=False).auditable
    assert "without labels, nobody can say what it is at batch size one." in found.findings[0]


def test_a_model_that_takes_one_image_only_is_not_called_untrustworthy(tmp_path: Path) -> None:
    found = report_with(tmp_path, batch_finding(Behaviour(images=1, refusal="shape [4, 3]"))).auditable
    assert (found.alarms, found.notes, found.findings) == (0, 1, ())


def test_another_alarm_tells_what_it_means(tmp_path: Path) -> None:
    noisy = Behaviour(images=2, repeat=0.2, drew=True)
    found = report_with(tmp_path, repeat_finding(noisy), training_finding(noisy)).auditable
    assert found.headline == "2 of 9 checks raised an alarm: figures of this report may mislead."
    assert "(the same answer twice, evaluation mode)" in plain(found.alarm)
    assert "A diagnosis may change without any attack" in plain(found.alarm)


def test_pdf_has_the_section_and_the_alarm_on_its_first_page(tmp_path: Path) -> None:
    found = pages(run_with(tmp_path / "run", checks(batch_finding(MIXES))), tmp_path / "r.pdf")
    assert "THE MODEL ITSELF RAISES AN ALARM" in found[0]
    assert "Its declared accuracy of 80 % cannot be trusted" in found[0]
    section = next(page for page in found[1:] if "Is this model auditable" in page and "What was seen" in page)
    assert "outputs moved by 66 % of the largest output" in section
    assert section.index("ALARM") < section.index("PASSED")


def test_pdf_of_a_sound_model_has_no_alarm(tmp_path: Path) -> None:
    found = pages(run_with(tmp_path / "run", checks()), tmp_path / "r.pdf")
    assert not any("ALARM" in page for page in found)
    assert any("None of 9 checks raised an alarm." in page for page in found)


def test_the_longest_alarms_break_no_page(tmp_path: Path) -> None:
    worst = tuple(
        CheckFinding(check=name, passed=False, level="alarm", evidence="e" * 90 + " word" * 200,
                     meaning="word " * 200, consequence="word " * 200)
        for name in TITLES
    )  # fmt: skip
    found = pages(run_with(tmp_path / "run", worst), tmp_path / "r.pdf")
    assert "CONTENTS" in found[0]
    assert "Worst cases" in found[1]


@pytest.mark.parametrize("labels", [True, False])
def test_json_holds_the_checks(tmp_path: Path, labels: bool) -> None:
    run = run_with(tmp_path / "run", checks(batch_finding(MIXES)), labels=labels)
    write_json(run, tmp_path / "report.json")
    assert read_json(tmp_path / "report.json").auditable == summarise(run).auditable
