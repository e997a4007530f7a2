"""The numbers and worded findings of one report: PDF, JSON twin and web page all print these and no others."""

from __future__ import annotations

from typing import Literal

from skinaudit.audit.records import Attack, RunHeader
from skinaudit.calibration.thresholds import DriftThreshold
from skinaudit.config import Frozen

#: Version of the JSON twin; a change that breaks a reader raises the first number.
SCHEMA_VERSION: Literal["1.0"] = "1.0"

#: "changed as wanted": diagnosis and map both, where the wanted map is not the benign one; "map moved" and "map held"
#: where the diagnosis was to stay.
Level = Literal[
    "changed unseen", "changed as wanted", "changed", "not changed", "map moved", "map held", "nothing tested"
]
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
    """One image under attack, as a picture row shows it."""

    image_id: str
    name: str
    interpreter: str
    kind: CaseKind
    drawn: bool
    label: str | None
    source: str
    target: str
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


class ClassCount(Frozen):
    """How often a class occurs among the images found; ``labelled`` is None without labels."""

    name: str
    title: str
    malignant: bool
    labelled: int | None
    predicted: int
    attacked: int


class Exclusion(Frozen):
    """Images that were not attacked, by status and reason."""

    status: str
    reason: str
    count: int


class Calibration(Frozen):
    """What confidences are worth on the clean labelled images; measured beside the model, never put into it.

    ``temperature`` is None where no temperature fits best, or ``n`` < 10.
    """

    n: int
    expected_error: float | None
    temperature: float | None
    text: str


class Data(Frozen):
    """What was found, what was attacked, and why the rest was not."""

    found: int
    attacked: int
    drawn: int
    classes: tuple[ClassCount, ...]
    exclusions: tuple[Exclusion, ...]
    failed_units: tuple[Exclusion, ...]
    accuracy: Rate | None
    balanced_accuracy: float | None
    calibration: Calibration | None = None  # None without labels, and in reports of versions that did not measure it
    findings: tuple[str, ...]


class Answer(Frozen):
    """One question of the summary page: a figure to remember, and the sentence behind it."""

    question: str
    figure: str
    note: str
    text: str


class SubgroupRate(Frozen):
    """Joint success of ADV² and of PGD against one interpreter among the images of one value."""

    interpreter: str
    title: str
    adv2: Rate
    pgd: Rate


class SubgroupRow(Frozen):
    """Images that share a value of a label column; ``value`` None: the column does not say. ``few``: n < 10."""

    value: str | None
    found: int
    attacked: int
    few: bool
    rates: tuple[SubgroupRate, ...]


class Subgroup(Frozen):
    """Results counted by one column of the label file."""

    column: str
    rows: tuple[SubgroupRow, ...]
    findings: tuple[str, ...]
    warning: str  # which values have too few images to say; empty: none


class CheckRow(Frozen):
    """One check of the model; ``result`` is its level in a word for people."""

    check: str
    title: str
    level: Literal["alarm", "note", "ok"]
    result: str
    evidence: str
    meaning: str
    consequence: str


class Auditability(Frozen):
    """Is the model auditable at all? ``alarm`` is what the first page says, None where no check raised one."""

    alarms: int = 0
    notes: int = 0
    headline: str = ""
    alarm: str | None = None
    findings: tuple[str, ...] = ()
    rows: tuple[CheckRow, ...] = ()


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


class Report(Frozen):
    """One audit, told in numbers and sentences."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    header: RunHeader
    closed_at: str
    chain_head: str
    protocol_digest: str
    level: Level
    verdict: str
    verdict_detail: str
    scope: str
    answers: tuple[Answer, ...]
    enough: str
    auditable: Auditability = Auditability()  # empty in reports of versions that did not ask
    data: Data
    interpreters: tuple[InterpreterResult, ...]
    sweeps: tuple[Sweep, ...] = ()  # empty where the run tried its own radius alone
    transfer: Transfer | None = None  # None where a run has one map alone
    subgroups: tuple[Subgroup, ...] = ()  # empty where the labels have no such columns
    worst: tuple[Case, ...]
    threat: tuple[tuple[str, str], ...]
    limitations: tuple[str, ...]
    dual_use: str
