"""Drift thresholds: how far a map may move before it no longer counts as kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from skinaudit.config import Frozen

#: Where a threshold of a run comes from: the model's own file, or measured in the run.
Origin = Literal["bundle", "calibrated in this run", "calibrated on the attacked images"]

_MOST_BYTES = 1 << 20


class DriftThreshold(Frozen):
    """Limits of one interpreter on one model, measured on clean images under harmless changes.

    A map is *kept* when its L1 distance to the benign map is <= ``l1`` and its top-20 % IoU is >= ``iou20``.
    """

    interpreter: str
    # A limit outside of this range would keep every map, or none.
    l1: float = Field(ge=0, le=1, allow_inf_nan=False)
    iou20: float = Field(ge=0, le=1, allow_inf_nan=False)
    images: int
    pairs: int
    by_change: dict[str, tuple[float, int]]  # change -> (95th percentile of L1, pairs)
    data_digest: str
    model_digest: str

    def keeps(self, l1: float, iou20: float) -> bool:
        """Is a map at these distances one that harmless changes would also give?"""
        return l1 <= self.l1 and iou20 >= self.iou20


class ThresholdsError(ValueError):
    """A calibration file that cannot be used; the message says why."""


class CalibrationFile(Frozen):
    """What ``skinaudit calibrate`` leaves in a bundle."""

    schema_version: str = "1.0"
    thresholds: tuple[DriftThreshold, ...]


def read_thresholds(file: Path, model_digest: str) -> dict[str, DriftThreshold]:
    """Thresholds by interpreter; empty when the bundle carries none.

    Raises:
        ThresholdsError: the file is damaged, or was measured on other weights.
    """
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as opened:
            content = CalibrationFile.model_validate_json(opened.read(_MOST_BYTES))
    except ValueError as error:
        raise ThresholdsError(f"{file.name}: not a calibration file: {str(error).splitlines()[0]}") from error
    for threshold in content.thresholds:
        if threshold.model_digest != model_digest:
            raise ThresholdsError(
                f"{file.name}: the {threshold.interpreter} threshold was measured on other weights "
                f"({threshold.model_digest[:12]}, the model is {model_digest[:12]}); run `skinaudit calibrate` again"
            )
    return {threshold.interpreter: threshold for threshold in content.thresholds}


def write_thresholds(file: Path, thresholds: Iterable[DriftThreshold]) -> None:
    """Store thresholds in a bundle, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(CalibrationFile(thresholds=tuple(thresholds)).model_dump_json(indent=2) + "\n")
    temporary.replace(file)
