"""Lines of the ε curve on cases made by hand."""

from __future__ import annotations

from benchmarks.cases import Case
from benchmarks.epsilon_curve import row


def case(*, flipped: bool, kept: bool, l1: float) -> Case:
    return Case(
        image="a#2",
        interpreter="cam",
        method="adv2",
        source_class=0,
        target_class=1,
        predicted=1 if flipped else 0,
        flipped=flipped,
        confidence=0.9 if flipped else 0.2,
        l1=l1,
        rms=l1,
        iou20=0.5,
        kept=kept,
        joint=flipped and kept,
        linf_levels=2,
        steps=10,
        stop="",
        seconds=0.0,
        unit=0.0,
    )


def test_a_line_counts_joint_success_over_all_and_confidence_over_flipped_images() -> None:
    found = [case(flipped=True, kept=True, l1=0.1), case(flipped=True, kept=False, l1=0.3)]
    found += [case(flipped=False, kept=True, l1=0.2)]
    cells = [cell.strip() for cell in row("cam", 2, found).strip("|").split("|")]
    assert cells[:3] == ["CAM", "2/255", "3"]
    assert cells[3].startswith("0.667 [")
    assert cells[4:7] == ["0.900", "0.2000", "0.500"]
    assert cells[7].startswith("0.333 [")


def test_where_nothing_flipped_there_is_no_confidence() -> None:
    assert "| – |" in row("cam", 1, [case(flipped=False, kept=True, l1=0.0)])
