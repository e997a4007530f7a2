"""The chapter on one change against several maps at once: what a clinic that shows them all would have seen."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import Flowable, KeepTogether, Spacer

from skinaudit.report.aim import marks
from skinaudit.report.picture_rows import Panel, PictureRow, diagnosis_lines
from skinaudit.report.pictures import Gallery
from skinaudit.report.results import Case, Together, TogetherCase
from skinaudit.report.sections import bullets
from skinaudit.report.style import LABEL, LEAD, SMALL, TINY_INK, WIDTH, paragraph
from skinaudit.report.wording import percent

TITLE = "All maps at once"
LEAD_TEXT = (
    "A clinic may show several maps of the same picture. Here one change was to deceive all of the maps named below, "
    "and it counts only where none of these gave it away."
)
#: Most pictures beside each other at full width; an example with more has a line for each of its states.
_BESIDE = 8


def together(found: Together, titles: Sequence[str], gallery: Gallery) -> list[Flowable]:
    """The finding, and examples: what an honest case shows, and beside or below it what the changed picture shows."""
    story: list[Flowable] = [paragraph(LEAD_TEXT, LEAD), Spacer(0, 6), bullets(found.findings), Spacer(0, 6)]
    if found.cases:
        story += [paragraph(marks(gallery.threat), SMALL), Spacer(0, 6)]
    story += [KeepTogether([*_example(case, found.titles, titles, gallery), Spacer(0, 14)]) for case in found.cases]
    return story


def _example(case: TogetherCase, maps: Sequence[str], titles: Sequence[str], gallery: Gallery) -> list[Flowable]:
    first = case.maps[0]
    verdict = gallery.verdict(first, "adv2")
    before = diagnosis_lines(titles, gallery.clean_prediction(first))
    after = diagnosis_lines(titles, verdict.prediction if verdict else None)
    deceived = first.kind != "held" and not gallery.threat.keeps_diagnosis
    named = list(zip(maps, case.maps, strict=True))
    rows = [
        [
            Panel(gallery.photograph(first), (("<b>Photograph</b>", TINY_INK), *before)),
            *(Panel(gallery.map_before(one), _line(f"{name} before")) for name, one in named),
        ],
        [
            Panel(gallery.adversarial(first), (("<b>After ADV²</b>", TINY_INK), *after), marked=deceived),
            *(_after(gallery, name, one) for name, one in named),
        ],
    ]
    if not gallery.threat.keeps_map:
        wanted = (Panel(gallery.map_wanted(one), _line(f"{name} wanted")) for name, one in named)
        rows.insert(1, [Panel(gallery.change(first), _line(f"What was added × {gallery.factor}")), *wanted])
    if sum(len(row) for row in rows) <= _BESIDE:
        rows = [[panel for column in zip(*rows, strict=True) for panel in column]]
    width = WIDTH * len(rows[0]) / max(len(rows[0]), _BESIDE - 2)
    return [
        paragraph(f"{case.caption}  {first.name}", LABEL, 160),
        Spacer(0, 3),
        *(flowable for row in rows for flowable in (PictureRow(row, width), Spacer(0, 4))),
    ]


def _after(gallery: Gallery, name: str, case: Case) -> Panel:
    verdict = gallery.verdict(case, "adv2")
    as_aimed = verdict is not None and verdict.flipped is not gallery.threat.keeps_diagnosis
    kept = verdict is not None and bool(verdict.kept) and as_aimed
    far = "–" if case.l1 is None or case.iou20 is None else f"L1 {case.l1:.3f}, overlap {percent(case.iou20)}"
    return Panel(gallery.map_after(case, "adv2"), (*_line(f"{name} after"), (far, TINY_INK)), marked=kept)


def _line(title: str) -> tuple[tuple[str, ParagraphStyle], ...]:
    return ((f"<b>{title}</b>", TINY_INK),)
