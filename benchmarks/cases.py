"""One line of a strength benchmark: what one method did to one image, and where such lines are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from skinaudit.audit.records import Record
from skinaudit.config import Frozen

Method = Literal["adv2", "joint", "transfer", "pgd", "noise", "jpeg", "shift", "published"]


class Case(Frozen):
    """A verdict with its cost. ``confidence`` is the target class's probability (controls: the predicted class's).

    ``seconds`` is the share of the whole attack's wall time; ``unit`` is the time of a bare forward pass with input
    gradient per image, measured in the same run. Controls cost nothing worth counting: both are 0.
    """

    image: str
    interpreter: str
    method: Method
    source_class: int
    target_class: int | None
    predicted: int
    flipped: bool
    confidence: float
    l1: float
    rms: float
    iou20: float
    kept: bool
    joint: bool
    linf_levels: int
    steps: int
    stop: str
    seconds: float
    unit: float
    made_for: str = ""  # transfer: the interpreter that the picture was made for

    @property
    def cost(self) -> float:
        """Wall time in units."""
        return self.seconds / self.unit if self.unit else 0.0


def case_of(record: Record, image: str, seconds: float, unit: float) -> Case:
    """The case of a judged record."""
    if record.prediction is None or record.to_target is None:
        raise ValueError(f"{image}: {record.attack} on {record.interpreter} was not judged: {record.reason}")
    wanted = record.prediction.index if record.target_class is None else record.target_class
    return Case(
        image=image,
        interpreter=record.interpreter,
        method=record.attack,
        source_class=record.source_class,
        target_class=record.target_class,
        predicted=record.prediction.index,
        flipped=record.flipped,
        confidence=record.prediction.probabilities[wanted],
        l1=record.to_target.l1,
        rms=record.to_target.rms,
        iou20=record.to_target.iou20,
        kept=bool(record.kept),
        joint=bool(record.joint),
        linf_levels=record.linf_levels,
        steps=record.steps,
        stop=record.stop or "",
        seconds=seconds,
        unit=unit,
        made_for=record.made_for or "",
    )


class SettingsDiffer(ValueError):
    """The work folder holds results of other settings."""


def check_settings(folder: Path, settings: dict[str, str]) -> None:
    """Make a work folder for these settings, or see that the one there was made with the same.

    Raises:
        SettingsDiffer: it was made with others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "settings.json"
    if kept.exists():
        before = json.loads(kept.read_text(encoding="utf-8"))
        differing = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
        if differing:
            raise SettingsDiffer(f"{folder}: made with another {', '.join(differing)}; name another --work folder")
    kept.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


class _Line(Frozen):
    stage: str
    image: str
    cases: tuple[Case, ...]


class CaseBook:
    """Cases of a work folder, one JSON line for each finished image of a stage; what was written is not done again."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "cases.jsonl"

    def add(self, stage: str, image: str, cases: tuple[Case, ...]) -> None:
        """Append what a stage found for an image."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_Line(stage=stage, image=image, cases=cases).model_dump_json() + "\n")

    def done(self, stage: str) -> set[str]:
        """Images that a stage has finished."""
        return {line.image for line in self._read() if line.stage == stage}

    def cases(self) -> list[Case]:
        """Every case so far."""
        return [case for line in self._read() for case in line.cases]

    def _read(self) -> list[_Line]:
        if not self._file.exists():
            return []
        text = self._file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # an interruption cut the last line short; it is done again
            self._file.write_text(whole, encoding="utf-8")
        return [_Line.model_validate_json(line) for line in whole.splitlines()]
