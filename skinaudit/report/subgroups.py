"""The section that counts results by columns of the label file: sex, age, site."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.platypus import CondPageBreak, Flowable, Spacer

from skinaudit.report import aim
from skinaudit.report.document import Report, Subgroup, SubgroupRate, SubgroupRow
from skinaudit.report.findings.subgroups import NOT_STATED
from skinaudit.report.sections import bullets
from skinaudit.report.style import (
    CAPTION,
    CELL,
    HEAD,
    HEAD_RIGHT,
    LEAD,
    WIDTH,
    box,
    figure_cell,
    paragraph,
    subheading,
    table,
)
from skinaudit.report.wording import rate_cell

TITLE = "Results by subgroup"
LEAD_TEXT = (
    "How often the attack had {success}, among the images that share a value of the label file. "
    "Values of one column may also differ in other things, such as diagnosis or camera; a difference is a question, "
    "not a cause. With many values compared, some intervals part by chance."
)
NOTE = (
    "Rates of {success}, with 95 % Wilson intervals in small print. PGD ignores the map. A rate counts the "
    "images that have a verdict, which can be fewer than were attacked."
)
#: Interpreters beside each other in one table; more begin another one.
_MOST_BESIDE = 4


def subgroups(report: Report) -> list[Flowable]:
    """One table, or several, for each column that makes subgroups."""
    success = aim.success(report.header.config.threat)
    story: list[Flowable] = [paragraph(LEAD_TEXT.format(success=success), LEAD)]
    for place, found in enumerate(report.subgroups):
        story += [CondPageBreak(170), subheading(f"By {found.column}", f"subgroup-{place}")]
        story += [bullets(found.findings), Spacer(0, 4)]
        story += _tables(found)
        story.append(paragraph(NOTE.format(success=success), CAPTION))
        if found.warning:
            story += [box("Small groups", found.warning), Spacer(0, 8)]
    return story


def _tables(found: Subgroup) -> list[Flowable]:
    count = max((len(row.rates) for row in found.rows), default=0)
    tables: list[Flowable] = []
    for start in range(0, max(count, 1), _MOST_BESIDE):
        tables += [_table(found.rows, start), Spacer(0, 4)]
    return tables


def _table(rows: Sequence[SubgroupRow], start: int) -> Flowable:
    titles = [rate.title for rate in rows[0].rates[start : start + _MOST_BESIDE]] if rows else []
    heads = ["Value", "Found", "Attacked", *(f"{title}: {arm}" for title in titles for arm in ("ADV²", "PGD"))]
    cells: list[list[Flowable]] = [[paragraph(name, HEAD_RIGHT if place else HEAD) for place, name in enumerate(heads)]]
    cells += [
        [
            paragraph(row.value or NOT_STATED, CELL, 60),
            figure_cell(str(row.found), ""),
            figure_cell(str(row.attacked), "too few" if row.few else ""),
            *_figures(row.rates[start : start + _MOST_BESIDE]),
        ]
        for row in rows
    ]
    each = (WIDTH - 112 - 40 - 46) / (2 * _MOST_BESIDE)
    value_width = WIDTH - 40 - 46 - each * 2 * len(titles)
    return table(cells, (value_width, 40, 46, *(each,) * (2 * len(titles))))


def _figures(rates: Sequence[SubgroupRate]) -> list[Flowable]:
    return [figure_cell(*rate_cell(rate)) for one in rates for rate in (one.adv2, one.pgd)]
