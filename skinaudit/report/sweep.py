"""The chapter on radii: how success grows with the size of the change."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.graphics.shapes import Circle, Drawing, Line, PolyLine
from reportlab.platypus import Flowable, Spacer

from skinaudit.config import ThreatModel
from skinaudit.report import palette
from skinaudit.report.aim import reference, success
from skinaudit.report.figures import text_at
from skinaudit.report.results import Sweep, SweepPoint
from skinaudit.report.sections import bullets
from skinaudit.report.style import BOLD, CAPTION, HEAD, HEAD_RIGHT, LEAD, STRONG, WIDTH, figure_cell, paragraph, table
from skinaudit.report.wording import average_cell, percent, rate_cell

TITLE = "Size of the change"
_USUAL = ThreatModel()
LEAD_TEXT = (
    "The same attack within smaller radii. Each search goes on from the picture that the smaller radius gave; the last "
    "point of a curve is the attack of the results before, which begins from the unchanged image."
)
CAPTION_TEXT = (
    "Share of images with {success}, with 95 % Wilson intervals, against the largest "
    "change of a pixel in grey levels of 255. Thin line: diagnosis changed, map or no map."
)
_HEIGHT, _LEFT, _FOOT, _TOP = 108.0, 30.0, 22.0, 16.0


def sweeps(found: Sequence[Sweep], threat: ThreatModel = _USUAL) -> list[Flowable]:
    """The findings, a curve for each interpreter, and the numbers behind them."""
    story: list[Flowable] = [paragraph(LEAD_TEXT, LEAD), bullets([one.finding for one in found]), Spacer(0, 8)]
    drawn = [one for one in found if any(point.joint.value is not None for point in one.points)]
    for one in drawn:
        story += [_chart(one), Spacer(0, 4)]
    if drawn:
        story += [paragraph(CAPTION_TEXT.format(success=success(threat)), CAPTION), Spacer(0, 8)]
    for one in found:
        story += [_table(one, success(threat).capitalize(), reference(threat)), Spacer(0, 8)]
    return story


def _chart(sweep: Sweep) -> Drawing:
    drawing = Drawing(WIDTH, _HEIGHT)
    most = sweep.points[-1].levels

    def place(levels: float, share: float) -> tuple[float, float]:
        across = (WIDTH - _LEFT - 12) * levels / most
        return _LEFT + across, _FOOT + (_HEIGHT - _FOOT - _TOP) * share

    drawing.add(text_at(0, _HEIGHT - 9, sweep.title, 7.4, palette.INK, font=BOLD))
    for share in (0.0, 0.5, 1.0):
        (left, y), (right, _) = place(0, share), place(most, share)
        drawing.add(Line(left, y, right, y, strokeColor=palette.LINE, strokeWidth=0.4))
        drawing.add(text_at(left - 4, y - 2, percent(share), 5.8, anchor="end"))
    for point in sweep.points:
        x, _ = place(point.levels, 0)
        drawing.add(text_at(x, _FOOT - 10, f"{point.levels}/255", 5.8, anchor="middle"))
    _line(drawing, [place(p.levels, p.flipped.value) for p in sweep.points if p.flipped.value is not None], thin=True)
    _line(drawing, [place(p.levels, p.joint.value) for p in sweep.points if p.joint.value is not None], thin=False)
    for point in sweep.points:
        if point.joint.value is not None and point.joint.low is not None and point.joint.high is not None:
            low, high = place(point.levels, point.joint.low), place(point.levels, point.joint.high)
            drawing.add(Line(*low, *high, strokeColor=palette.AMBER, strokeWidth=0.8))
            drawing.add(Circle(*place(point.levels, point.joint.value), 2.2, fillColor=palette.AMBER, strokeColor=None))
    return drawing


def _line(drawing: Drawing, points: Sequence[tuple[float, float]], *, thin: bool) -> None:
    if len(points) > 1:
        flat = [value for point in points for value in point]
        colour = palette.GREY if thin else palette.AMBER
        drawing.add(PolyLine(flat, strokeColor=colour, strokeWidth=0.6 if thin else 1.4))


def _table(sweep: Sweep, reached: str, wanted: str) -> Flowable:
    heads = [paragraph(sweep.title, HEAD), *(paragraph(f"{one.levels}/255", HEAD_RIGHT) for one in sweep.points)]
    rows = [
        [paragraph("Diagnosis changed", STRONG), *(figure_cell(*rate_cell(one.flipped)) for one in sweep.points)],
        [
            paragraph(reached, STRONG),
            *(figure_cell(*rate_cell(one.joint)) for one in sweep.points),
        ],
        [paragraph(f"L1 to {wanted}", STRONG), *(_distance(one) for one in sweep.points)],
    ]
    each = (WIDTH - 110) / max(len(sweep.points), 4)
    return table([heads, *rows], (110, *(each,) * len(sweep.points)))


def _distance(point: SweepPoint) -> Flowable:
    return figure_cell(*average_cell(point.l1))
