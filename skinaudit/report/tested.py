"""What stands on the summary page where no case can be shown: what was tried, on how many images, to what effect."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.platypus import Flowable, Spacer

from skinaudit.audit.records import Attack
from skinaudit.report.results import Arm, InterpreterResult
from skinaudit.report.style import (
    BODY,
    CELL,
    HEAD,
    HEAD_RIGHT,
    STRONG,
    WIDTH,
    figure_cell,
    paragraph,
    subheading,
    table,
)
from skinaudit.report.wording import rate_cell

#: Most rows of the table; an interpreter's own pages have the others.
MOST_ROWS = 16
_WHAT: dict[Attack, str] = {
    "adv2": "Looks for the wanted diagnosis and the wanted map at once.",
    "joint": "One change against several maps; every one of them has to be as wanted.",
    "pgd": "The same search without regard for the map.",
    "noise": "Noise of the same size, without intent.",
    "jpeg": "Re-encoding, as in daily use.",
    "shift": "Moved by half a pixel, as in daily use.",
}


def what_was_tested(results: Sequence[InterpreterResult]) -> list[Flowable]:
    """Every attack and control with its images and changed diagnoses; those that ignore the maps once."""
    story: list[Flowable] = [subheading("What was tested")]
    rows = _rows(results)
    if not rows:
        return [*story, paragraph("Nothing was judged, so there is no case to show.", BODY)]
    words = "There is no case to show. This is what was tried, and what came of it."
    head = ("", "What it does", "Steps", "Images", "Diagnosis changed")
    cells = [[paragraph(name, HEAD if place < 2 else HEAD_RIGHT) for place, name in enumerate(head)]]
    for name, arm in rows[:MOST_ROWS]:
        steps = "–" if not arm.mean_steps else f"{arm.mean_steps:.0f}"
        cells.append(
            [
                paragraph(name, STRONG if arm.attack in {"adv2", "pgd"} else CELL, 60),
                paragraph(_WHAT[arm.attack], CELL),
                figure_cell(steps, ""),
                figure_cell(str(arm.n), f"{arm.failed} failed" if arm.failed else ""),
                figure_cell(*rate_cell(arm.flipped)),
            ]
        )
    return [*story, paragraph(words, BODY), Spacer(0, 4), table(cells, (110, WIDTH - 300, 44, 60, 86))]


def _rows(results: Sequence[InterpreterResult]) -> list[tuple[str, Arm]]:
    """ADV² for each interpreter; what leaves the maps out of account is the same for all and stands once."""
    against = [(f"ADV² on {result.title}", arm) for result in results if (arm := result.arm("adv2")) and arm.n]
    others: dict[str, tuple[str, Arm]] = {}
    for arm in (arm for result in results for arm in result.arms if arm.attack != "adv2" and arm.n):
        if arm.attack not in others or arm.n > others[arm.attack][1].n:
            others[arm.attack] = (arm.title, arm)
    return [*against, *others.values()]
