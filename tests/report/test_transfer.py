"""Pictures made for one map and seen through the others: counts by hand, words, pages."""

from __future__ import annotations

from io import BytesIO

from pypdf import PdfReader
from reportlab.platypus import SimpleDocTemplate

from skinaudit.audit.records import Record
from skinaudit.report.findings.transfer import transfer
from skinaudit.report.results import TransferCell
from skinaudit.report.style import register_fonts
from skinaudit.report.transfer import transfer as chapter
from tests.report.synthetic import header, verdict


def seen(made_for: str, through: str, kept: int, count: int = 20) -> list[Record]:
    return [
        verdict(f"image-{place:02d}", "transfer", interpreter=through, kept=place < kept, l1=0.25).model_copy(
            update={"made_for": made_for}
        )
        for place in range(count)
    ]


def own(name: str, attack: str, kept: int, count: int = 20) -> list[Record]:
    arm = "adv2" if attack == "adv2" else "pgd"
    return [verdict(f"image-{place:02d}", arm, interpreter=name, kept=place < kept) for place in range(count)]


RECORDS = [
    *own("cam", "adv2", 18), *own("grad", "adv2", 15), *own("cam", "pgd", 1), *own("grad", "pgd", 0),
    *seen("cam", "grad", 2), *seen("grad", "cam", 6),
]  # fmt: skip


def successes(cell: TransferCell | None) -> tuple[int, int]:
    assert cell is not None
    return cell.joint.successes, cell.joint.n


def test_rows_are_what_was_made_columns_what_is_seen() -> None:
    found = transfer(header(("cam", "grad")), RECORDS)
    assert found is not None
    assert found.titles == ("CAM", "GRAD")
    assert [row.title for row in found.rows] == ["CAM", "GRAD", "PGD"]
    assert [[successes(cell) for cell in row.cells] for row in found.rows] == [
        [(18, 20), (2, 20)], [(6, 20), (15, 20)], [(1, 20), (0, 20)]
    ]  # fmt: skip
    assert found.rows[0].cells[1] is not None
    assert found.rows[0].cells[1].l1.mean == 0.25


def test_the_finding_names_the_strongest_transfer_and_what_pgd_reaches() -> None:
    found = transfer(header(("cam", "grad")), RECORDS)
    assert found is not None
    (text,) = found.findings
    assert "made for GRAD also kept the CAM map" in text
    assert "30" in text.partition(";")[0]
    assert "5" in text.partition(";")[2]


def test_a_run_with_one_map_has_no_matrix() -> None:
    assert transfer(header(("cam",)), own("cam", "adv2", 3)) is None


def test_few_images_are_too_few_to_say() -> None:
    found = transfer(header(("cam", "grad")), [*own("cam", "adv2", 2, 3), *seen("cam", "grad", 1, 3)])
    assert found is not None
    assert "Too few" in found.findings[0]
    assert found.rows[0].cells[1] is not None
    assert found.rows[0].cells[1].joint.value is None
    assert found.rows[-1].cells == (None, None)


def test_the_chapter_prints_every_rate() -> None:
    register_fonts()
    found = transfer(header(("cam", "grad")), RECORDS)
    assert found is not None
    target = BytesIO()
    SimpleDocTemplate(target).build(chapter(found))
    text = "".join(page.extract_text() for page in PdfReader(target).pages)
    assert all(share in text for share in ("90", "75", "30", "10"))
