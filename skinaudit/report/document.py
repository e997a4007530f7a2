"""One audit, told in numbers and sentences: PDF, JSON twin and terminal print these and no others."""

from __future__ import annotations

from typing import Literal

from skinaudit.audit.records import RunHeader
from skinaudit.config import Frozen
from skinaudit.report.results import Case, InterpreterResult, Rate, Sweep, Together, Transfer

#: Version of the JSON twin; a change that breaks a reader raises the first number.
SCHEMA_VERSION: Literal["1.0"] = "1.0"

#: "changed as wanted": diagnosis and map both, where the wanted map is not the benign one; "map moved" and "map held"
#: where the diagnosis was to stay.
Level = Literal[
    "changed unseen", "changed as wanted", "changed", "not changed", "map moved", "map held", "nothing tested"
]


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
    together: Together | None = None  # None where no attack aimed at several maps at once
    subgroups: tuple[Subgroup, ...] = ()  # empty where the labels have no such columns
    worst: tuple[Case, ...]
    threat: tuple[tuple[str, str], ...]
    limitations: tuple[str, ...]
    dual_use: str
