"""The chapter that shows pictures made for one map through all the others."""

from __future__ import annotations

from reportlab.platypus import Flowable, Spacer

from skinaudit.config import ThreatModel
from skinaudit.report.aim import reference, success
from skinaudit.report.results import Transfer, TransferCell
from skinaudit.report.sections import bullets
from skinaudit.report.style import CAPTION, HEAD, HEAD_RIGHT, LEAD, STRONG, WIDTH, figure_cell, paragraph, table
from skinaudit.report.wording import average_cell, rate_cell

TITLE = "From one map to another"
_USUAL = ThreatModel()
LEAD_TEXT = (
    "A clinic may show another kind of map than the one that the attacker had in mind. Each row is one set of "
    "adversarial pictures, named by the map that they were made for; each column is a map that they were seen through."
)
NOTE = (
    "Rate of {success}, with its 95 % Wilson interval, and below it the mean L1 distance to {reference}. "
    "On the diagonal stands the attack on the map itself. Maps that cost hundreds of passes are computed for "
    "pictures made for them alone; a dash marks what was not judged."
)
#: Maps beside each other in one table; more begin another one.
_MOST_BESIDE = 5
_FIRST = 92.0


def transfer(found: Transfer, threat: ThreatModel = _USUAL) -> list[Flowable]:
    """The finding in words, and the matrix; a row without any cell, as PGD's where it was not run, is left out."""
    story: list[Flowable] = [paragraph(LEAD_TEXT, LEAD), bullets(found.findings), Spacer(0, 6)]
    for start in range(0, len(found.titles), _MOST_BESIDE):
        titles = found.titles[start : start + _MOST_BESIDE]
        heads = [paragraph("Made for", HEAD), *(paragraph(f"seen through {title}", HEAD_RIGHT) for title in titles)]
        cells = [
            [paragraph(row.title, STRONG), *(_figures(cell) for cell in row.cells[start : start + _MOST_BESIDE])]
            for row in found.rows
            if any(row.cells)
        ]
        each = (WIDTH - _FIRST) / max(len(titles), 3)
        story += [table([heads, *cells], (_FIRST, *(each,) * len(titles))), Spacer(0, 4)]
    return [*story, paragraph(NOTE.format(success=success(threat), reference=reference(threat)), CAPTION)]


def _figures(cell: TransferCell | None) -> Flowable:
    if cell is None:
        return figure_cell("–", "")
    value, interval = rate_cell(cell.joint)
    distance, _ = average_cell(cell.l1)
    return figure_cell(value, f"{interval} · L1 {distance}" if interval else f"L1 {distance}")
