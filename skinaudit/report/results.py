"""What was measured against interpreters, in numbers with their intervals and in worded findings."""

from __future__ import annotations

from typing import Literal

from skinaudit.audit.records import Attack
from skinaudit.calibration.thresholds import DriftThreshold
from skinaudit.config import Frozen

DirectionName = Literal["malignant to benign", "benign to malignant", "within malignant", "within benign"]
CaseKind = Literal["joint", "changed", "held"]


class Rate(Frozen):
    """A share in [0,1] of ``n`` images with its Wilson 95 % interval; no share is stated when ``n`` < 10."""

    successes: int
    n: int
    value: float | None
    low: float | None
    high: float | None


class Average(Frozen):
    """A mean over ``n`` images with its bootstrap 95 % interval and the median; empty when ``n`` < 10."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    median: float | None


class Excess(Frozen):
    """Joint success of ADV² minus that of PGD on the same images, in [-1,1], with McNemar's p."""

    n: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    text: str


class Arm(Frozen):
    """One attack or control against one interpreter. An image with several draws counts once, by its worst draw."""

    attack: Attack
    title: str
    n: int
    failed: int
    flipped: Rate
    kept: Rate
    kept_when_flipped: Rate
    joint: Rate
    l1: Average
    iou20: Average
    original_l1: Average
    confidence: Average
    #: Where the wanted map is not the benign one: what is left of that (part of its top 20 % still in the top 20 %).
    benign_l1: Average | None = None
    benign_overlap: Average | None = None
    benign_spearman: Average | None = None
    l1_points: tuple[float, ...]
    largest_change_levels: int
    largest_displacement: float | None = None  # pixels, where pixels were moved; and the mean over images and pixels
    mean_displacement: float | None = None
    mean_steps: float | None


class Direction(Frozen):
    """Images whose diagnosis was to go from one side to the other, or to another one on the same side.

    An untargeted attack aims at no side: every image of the first side is attempted, and one counts as changed whose
    diagnosis went to the second.
    """

    name: DirectionName
    attempted: int
    flipped: Rate
    joint: Rate
    text: str


class Case(Frozen):
    """One image under attack, as a picture row shows it.

    ``adv2_unit`` is a unit of ``attack``: of ADV² on this map, or of the joint attack on several.
    """

    image_id: str
    name: str
    interpreter: str
    kind: CaseKind
    drawn: bool
    label: str | None
    source: str
    target: str
    attack: Attack = "adv2"
    adv2_unit: str
    pgd_unit: str | None
    before: str
    confidence_before: float | None
    after: str
    confidence_after: float | None
    crosses_to_benign: bool
    l1: float | None
    iou20: float | None
    text: str
    caption: str


class InterpreterResult(Frozen):
    """Everything measured against one interpreter."""

    interpreter: str
    title: str
    description: str
    threshold: DriftThreshold | None
    arms: tuple[Arm, ...]
    excess: Excess | None
    depends_on_diagnosis: bool | None
    directions: tuple[Direction, ...]
    cases: tuple[Case, ...]
    cases_text: str
    findings: tuple[str, ...]
    rates_caption: str
    distances_caption: str
    kept_title: str = "Map kept"  # heading of what counts as kept
    joint_title: str = "Both at once"
    reference: str = "the benign map"  # what distances are measured to

    def arm(self, attack: Attack) -> Arm | None:
        """The arm of one attack, None when the run has none."""
        return next((arm for arm in self.arms if arm.attack == attack), None)


class TogetherCase(Frozen):
    """One image under the attack on several maps at once: the same picture seen through each of them."""

    caption: str
    maps: tuple[Case, ...]


class Together(Frozen):
    """The attack on several maps at once; ``titles`` names them in the order of the cases' maps.

    ``pgd`` is how often PGD, which looks at no map, left every one of them as wanted; None where there was none.
    """

    titles: tuple[str, ...]
    joint: Rate
    pgd: Rate | None = None
    excess: Excess | None = None
    findings: tuple[str, ...]
    cases: tuple[TogetherCase, ...]


class SweepPoint(Frozen):
    """ADV² within one radius, in grey levels of 255."""

    levels: int
    flipped: Rate
    joint: Rate
    l1: Average


class Sweep(Frozen):
    """How success grows with the radius, for one interpreter; the last point is the run's own radius."""

    interpreter: str
    title: str
    points: tuple[SweepPoint, ...]
    finding: str


class TransferCell(Frozen):
    """Pictures made for one map, seen through another."""

    joint: Rate
    l1: Average


class TransferRow(Frozen):
    """One set of pictures, by the map they were made for; a cell for each map, None where it was not judged."""

    title: str
    cells: tuple[TransferCell | None, ...]


class Transfer(Frozen):
    """The transfer matrix: ``titles`` name its columns, the last row is PGD."""

    titles: tuple[str, ...]
    rows: tuple[TransferRow, ...]
    findings: tuple[str, ...]
