"""One finding of the question "is this model auditable?": what was looked at, what was seen, what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Level = Literal["alarm", "note", "ok"]

BATCH = "batch-dependence"
REPEAT = "repeatability"
TRAINING = "training-mode"
OUTPUTS = "outputs"
GRADIENTS = "gradients"
CLASSES = "class-count"
ACCURACY = "accuracy"
ORIENTATION = "orientation"
NORMALISATION = "normalisation"

#: Every check in the order of a report, with its name for people.
TITLES: dict[str, str] = {
    BATCH: "Each image on its own",
    REPEAT: "The same answer twice",
    TRAINING: "Evaluation mode",
    OUTPUTS: "Logits as outputs",
    GRADIENTS: "Usable gradients",
    CLASSES: "Classes and outputs",
    ACCURACY: "Declared accuracy",
    ORIENTATION: "Orientation and colours",
    NORMALISATION: "Normalisation",
}


@dataclass(frozen=True)
class Finding:
    """What one check saw.

    Attributes:
        check: a key of ``TITLES``.
        passed: False for an alarm only.
        level: "alarm" (figures of an audit mislead), "note" (something to know), "ok".
        evidence: what was measured, with numbers.
        meaning: what that means for the figures of an audit.
        consequence: what the tool does about it, and what a person can do.
    """

    check: str
    passed: bool
    level: Level
    evidence: str
    meaning: str
    consequence: str


def finding(level: Level, check: str, evidence: str, meaning: str, consequence: str = "None needed.") -> Finding:
    """A finding that is passed unless it is an alarm."""
    return Finding(check, level != "alarm", level, evidence, meaning, consequence)


class Answered(Protocol):
    """A finding, or the form in which a run stores it."""

    @property
    def check(self) -> str:
        """A key of ``TITLES``."""

    @property
    def level(self) -> Level:
        """How it ended."""


def one_at_a_time(findings: Sequence[Answered]) -> bool:
    """Must the model be shown one image at a time? So when others change its outputs, and when it takes no more."""
    return any(one.check == BATCH and one.level != "ok" for one in findings)
