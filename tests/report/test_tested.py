"""What the summary page says where no case can be shown."""

from __future__ import annotations

from pathlib import Path

from reportlab.platypus import LongTable, Paragraph

from skinaudit.audit.records import ImageRecord, Record
from skinaudit.report.findings import summarise
from skinaudit.report.results import InterpreterResult
from skinaudit.report.style import register_fonts
from skinaudit.report.tested import MOST_ROWS, what_was_tested
from tests.report.synthetic import SyntheticRun, header, probabilities, verdict


def results(records: list[Record], *names: str) -> tuple[InterpreterResult, ...]:
    images = [
        ImageRecord(image_id=one, status="attacked", prediction=probabilities(0, 0.9))
        for one in sorted({record.image_id for record in records})
    ]
    return summarise(SyntheticRun(Path(), header(names or ("cam",)), images, records)).interpreters


def table_of(found: tuple[InterpreterResult, ...]) -> list[list[str]]:
    register_fonts()
    (table,) = [part for part in what_was_tested(found) if isinstance(part, LongTable)]
    return [[cell.getPlainText() for cell in row] for row in table._cellvalues]


def test_attacks_stand_for_each_interpreter_and_what_ignores_maps_once() -> None:
    records = [
        verdict(f"i{number}", attack, interpreter=name, flipped=False)
        for number in range(12)
        for name in ("cam", "grad")
        for attack in ("adv2", "pgd", "noise")
    ]
    head, *rows = table_of(results(records, "cam", "grad"))
    assert head[3:] == ["Images", "Diagnosis changed"]
    assert [row[0] for row in rows] == ["ADV² on CAM", "ADV² on GRAD", "PGD", "Random noise"]
    assert all(row[3] == "12" and row[4].startswith("0") for row in rows)
    assert [row[2] for row in rows[:3]] == ["40", "40", "20"]


def test_the_table_is_bounded() -> None:
    one = results([verdict(f"i{number}", "adv2", flipped=False) for number in range(12)])
    assert len(table_of(one * (MOST_ROWS + 5))) == 1 + MOST_ROWS


def test_without_any_judged_attack_it_says_so() -> None:
    register_fonts()
    *_, last = what_was_tested(results([]))
    assert isinstance(last, Paragraph)
    assert last.getPlainText() == "Nothing was judged, so there is no case to show."
