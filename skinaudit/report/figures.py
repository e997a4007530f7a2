"""Charts as vector drawings: rates with their intervals, distances of maps, and the colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon, Rect, String
from reportlab.lib.colors import Color

from skinaudit.report import palette
from skinaudit.report.palette import ARM_COLOURS, colour_table
from skinaudit.report.results import Arm, InterpreterResult, Rate
from skinaudit.report.style import BOLD, SANS
from skinaudit.report.wording import TOO_FEW, percent, rate_cell

LABEL_WIDTH = 92.0
ROW = 21.0
PANEL_GAP = 20.0
#: Room for the figure at the right end of a panel.
VALUE_WIDTH = 34.0


def text_at(
    x: float,
    y: float,
    words: str,
    size: float = 6.6,
    colour: Color = palette.GREY,
    anchor: str = "start",
    font: str = SANS,
) -> String:
    """Words at a place of a drawing, in points from its lower left corner."""
    return String(x, y, words, fontName=font, fontSize=size, fillColor=colour, textAnchor=anchor)


def rates_chart(result: InterpreterResult, width: float) -> Drawing:
    """Three panels side by side over the same rows (ADV², PGD, controls): share changed, kept, and both."""
    height = ROW * len(result.arms) + 40
    drawing = Drawing(width, height)
    panel_width = (width - LABEL_WIDTH - 2 * PANEL_GAP) / 3
    for row, arm in enumerate(result.arms):
        y = height - 26 - ROW * (row + 0.5)
        strong = arm.attack in ("adv2", "pgd")
        drawing.add(
            text_at(0, y - 2.4, arm.title, 7.4, palette.INK if strong else palette.GREY, font=BOLD if strong else SANS)
        )
    panels = ("Diagnosis changed", result.kept_title, result.joint_title)
    for place, title in enumerate(panels):
        left = LABEL_WIDTH + place * (panel_width + PANEL_GAP)
        rates = [(arm.flipped, arm.kept, arm.joint)[place] for arm in result.arms]
        _rates_panel(drawing, left, panel_width, height, title, result.arms, rates)
    return drawing


def _rates_panel(
    drawing: Drawing, left: float, width: float, height: float, title: str, arms: Sequence[Arm], rates: Sequence[Rate]
) -> None:
    axis, top, foot = width - VALUE_WIDTH, height - 26, height - 26 - ROW * len(arms)
    drawing.add(text_at(left, height - 9, title, 7.4, palette.INK, font=BOLD))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + share * axis
        colour = palette.GREY_LIGHT if share in (0.0, 1.0) else palette.LINE
        drawing.add(Line(x, foot, x, top, strokeColor=colour, strokeWidth=0.4))
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        drawing.add(text_at(left + share * axis, foot - 9, percent(share), 5.8, anchor=anchor))
    for row, (arm, rate) in enumerate(zip(arms, rates, strict=True)):
        y = top - ROW * (row + 0.5)
        colour = ARM_COLOURS[arm.attack]
        drawing.add(text_at(left + width, y - 2.3, rate_cell(rate)[0], 6.8, palette.INK, anchor="end"))
        if rate.value is None or rate.low is None or rate.high is None:
            drawing.add(text_at(left + 3, y - 2.2, TOO_FEW if rate.n else "not judged", 5.8))
            continue
        low, value, high = (left + axis * share for share in (rate.low, rate.value, rate.high))
        drawing.add(Line(low, y, high, y, strokeColor=colour, strokeWidth=1.5, strokeOpacity=0.55))
        for end in (low, high):
            drawing.add(Line(end, y - 2.6, end, y + 2.6, strokeColor=colour, strokeWidth=0.9))
        drawing.add(Circle(value, y, 3.1, fillColor=colour, strokeColor=palette.WHITE, strokeWidth=0.7))


def distances_chart(result: InterpreterResult, width: float) -> Drawing:
    """One dot an image: L1 distance of its map to the wanted (benign) map, under ADV², PGD and harmless changes."""
    rows = [arm for arm in result.arms if arm.l1_points]
    row_height = 36.0
    height = row_height * len(rows) + 44
    drawing = Drawing(width, height)
    if not rows:
        drawing.add(text_at(0, height - 20, "No map distance was measured.", 7.4))
        return drawing
    threshold = result.threshold.l1 if result.threshold else None
    largest = _round_up(max([point for arm in rows for point in arm.l1_points] + [threshold or 0.0, 0.05]))
    axis, top, foot = width - LABEL_WIDTH - 6, height - 22, 20.0
    if threshold is not None:
        _threshold(drawing, LABEL_WIDTH, axis * threshold / largest, threshold, (foot, top), axis, result.kept_title)
    for tick in range(6):
        x = LABEL_WIDTH + axis * tick / 5
        drawing.add(Line(x, foot, x, foot - 3, strokeColor=palette.GREY_LIGHT, strokeWidth=0.5))
        drawing.add(text_at(x, foot - 11, f"{largest * tick / 5:.2f}", 5.8, anchor="middle"))
    drawing.add(Line(LABEL_WIDTH, foot, LABEL_WIDTH + axis, foot, strokeColor=palette.GREY_LIGHT, strokeWidth=0.5))
    drawing.add(text_at(0, foot - 11, f"L1 to {result.reference}", 5.8))
    drawing.add(text_at(0, foot - 19, "triangle: median", 5.8))
    for row, arm in enumerate(rows):
        y = top - row_height * (row + 0.5)
        drawing.add(text_at(0, y + 0.5, arm.title, 7.4, palette.INK, font=BOLD if row < 2 else SANS))
        drawing.add(text_at(0, y - 8, f"n = {len(arm.l1_points)}", 5.8))
        _dots(drawing, arm, y, row_height, [LABEL_WIDTH + axis * min(point / largest, 1.0) for point in arm.l1_points])
    return drawing


def _threshold(
    drawing: Drawing,
    left: float,
    offset: float,
    threshold: float,
    extent: tuple[float, float],
    axis: float,
    kept_title: str,
) -> None:
    foot, top = extent
    drawing.add(Rect(left, foot, offset, top - foot, fillColor=palette.AMBER_PALE, strokeColor=None))
    drawing.add(Line(left + offset, foot, left + offset, top + 4, strokeColor=palette.AMBER, strokeWidth=0.9))
    words = f"drift limit {threshold:.3f}: left of it, with enough overlap: {kept_title.lower()}"
    anchor, shift = ("start", 4) if offset < axis / 2 else ("end", -4)
    drawing.add(text_at(left + offset + shift, top + 6, words, 5.9, palette.AMBER, anchor=anchor))


def _dots(drawing: Drawing, arm: Arm, y: float, row_height: float, places: Sequence[float]) -> None:
    """Dots at their exact place along the axis, stacked up and down from the middle where they would overlap."""
    radius = 2.3 if len(places) <= 80 else 1.5
    stacks: dict[int, int] = {}
    tallest = max(_occupancy(places, 2 * radius).values())
    step = min(2 * radius + 0.3, (row_height - 8) / max(tallest, 1))
    for place in sorted(places):
        column = int(place / (2 * radius))
        stacked = stacks.get(column, 0)
        stacks[column] = stacked + 1
        offset = step * ((stacked + 1) // 2) * (1 if stacked % 2 else -1)
        drawing.add(
            Circle(place, y + offset, radius, fillColor=ARM_COLOURS[arm.attack], fillOpacity=0.75,
                   strokeColor=palette.WHITE, strokeWidth=0.3)
        )  # fmt: skip
    middle, below = median(places), y - row_height / 2
    corners = [middle, below + 5, middle - 3, below, middle + 3, below]
    drawing.add(Polygon(corners, fillColor=palette.INK, strokeColor=None))


def _occupancy(places: Sequence[float], width: float) -> dict[int, int]:
    columns: dict[int, int] = {}
    for place in places:
        columns[int(place / width)] = columns.get(int(place / width), 0) + 1
    return columns


def _round_up(value: float) -> float:
    """The next end of an axis whose fifths are short decimals."""
    return next((end for end in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75) if value <= end), 1.0)


def colour_bar(width: float, height: float = 7.0) -> Drawing:
    """The colour map from 0 to 1, for pages with maps on them."""
    drawing = Drawing(width, height + 9)
    table, steps = colour_table(), 64
    for step in range(steps):
        red, green, blue = (float(channel) / 255 for channel in table[round(step * 255 / (steps - 1))])
        colour = Color(red, green, blue)
        # A little wider than its share, so that no viewer shows seams between the steps.
        piece = min(width / steps + 0.4, width - step * width / steps)
        drawing.add(Rect(step * width / steps, 9, piece, height, fillColor=colour, strokeColor=None))
    for share, words, anchor in ((0, "0", "start"), (0.5, "0.5", "middle"), (1, "1", "end")):
        drawing.add(text_at(width * share, 1.5, words, 5.8, anchor=anchor))
    return drawing


def share_bar(share: float, width: float, colour: Color = palette.TEAL) -> Drawing:
    """A thin bar for a share in [0,1], to stand inside a table."""
    drawing = Drawing(width, 9)
    drawing.add(Rect(0, 2, width, 4.5, fillColor=palette.TEAL_PALE, strokeColor=None))
    if share > 0:
        drawing.add(Rect(0, 2, max(1.0, width * share), 4.5, fillColor=colour, strokeColor=None))
    return drawing
