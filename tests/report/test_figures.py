from __future__ import annotations

from pathlib import Path

from reportlab.graphics.shapes import Circle, Drawing, Rect, String

from skinaudit.report.figures import colour_bar, distances_chart, rates_chart, share_bar
from skinaudit.report.findings import summarise
from skinaudit.report.palette import AMBER_PALE, colour_table
from skinaudit.report.results import InterpreterResult
from tests.report.synthetic import LIMITS, synthetic_run


def cam(folder: Path, count: int) -> InterpreterResult:
    return summarise(synthetic_run(folder, count, interpreters=("cam",), pictures_of=1)).interpreters[0]


def strings(drawing: Drawing) -> list[str]:
    return [shape.text.replace("\u00a0", " ") for shape in drawing.contents if isinstance(shape, String)]


def test_every_rate_has_its_dot_and_its_figure(tmp_path: Path) -> None:
    drawing = rates_chart(cam(tmp_path, 16), 490)
    assert sum(isinstance(shape, Circle) for shape in drawing.contents) == 15
    assert {"ADV²", "PGD", "Random noise", "JPEG", "Half-pixel shift", "94 %"} <= set(strings(drawing))


def test_rates_of_few_images_have_no_dot(tmp_path: Path) -> None:
    drawing = rates_chart(cam(tmp_path, 3), 490)
    assert not any(isinstance(shape, Circle) for shape in drawing.contents)
    assert strings(drawing).count("too few to say") == 15


def test_dots_lie_at_their_distance_and_inside_the_drawing(tmp_path: Path) -> None:
    result = cam(tmp_path, 500)
    drawing = distances_chart(result, 490)
    dots = [shape for shape in drawing.contents if isinstance(shape, Circle)]
    assert len(dots) == sum(len(arm.l1_points) for arm in result.arms)
    assert all(0 <= dot.cx <= 490 and 0 <= dot.cy <= drawing.height for dot in dots)
    limit = next(shape for shape in drawing.contents if isinstance(shape, Rect) and shape.fillColor == AMBER_PALE)
    within = sum(point <= LIMITS["cam"] for arm in result.arms for point in arm.l1_points)
    assert sum(dot.cx <= limit.x + limit.width + 1e-6 for dot in dots) == within


def test_a_chart_of_nothing_says_so(tmp_path: Path) -> None:
    result = cam(tmp_path, 3).model_copy(update={"arms": ()})
    assert strings(distances_chart(result, 490)) == ["No map distance was measured."]


def test_colour_bar_runs_from_the_first_colour_to_the_last() -> None:
    steps = [shape for shape in colour_bar(160).contents if isinstance(shape, Rect)]
    ends = [(step.fillColor.red, step.fillColor.green, step.fillColor.blue) for step in (steps[0], steps[-1])]
    assert ends == [tuple(channel / 255 for channel in colour_table()[place].tolist()) for place in (0, 255)]
    assert max(step.x + step.width for step in steps) <= 160 + 1e-6


def test_share_bar_of_nothing_is_empty() -> None:
    assert len(share_bar(0.0, 90).contents) == 1
    assert len(share_bar(0.001, 90).contents) == 2
