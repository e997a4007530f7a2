"""What is known about a model besides its network: classes, pre-processing, origin, and whether code of it ran."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skinaudit.classifier.preprocess import Preprocess
from skinaudit.classifier.refusal import ModelRefused

#: Class names that count as malignant when nobody says which are.
_MALIGNANT = frozenset(
    {"mel", "melanoma", "bcc", "basal cell carcinoma", "akiec", "ak", "actinic keratosis", "scc"}
    | {"squamous cell carcinoma", "merkel cell carcinoma", "malignant"}
)


@dataclass(frozen=True)
class TrustedCode:
    """Code of a model that ran because the user trusts it: what it was, and the SHA-256 of the file it came from."""

    what: str
    digest: str

    def __str__(self) -> str:
        return f"{self.what}, SHA-256 {self.digest}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Description:
    """Everything about a model but its network.

    ``kind`` says what the model came as, ``network`` its architecture with arguments; ``classes_in`` names the place
    where the classes are stated; ``assumed`` lists what nobody stated; ``calibration`` is where drift thresholds are
    kept. ``fitted`` gives the SHA-256 of each interpreter that was fitted to a bundle; None where nobody could state
    it. ``config_digest`` changes with anything here that changes an output or a map.
    """

    name: str
    version: str
    licence: str
    kind: str
    network: str
    preprocess: Preprocess
    classes: tuple[str, ...]
    classes_in: str
    titles: tuple[str, ...]
    malignant: tuple[str, ...]
    ignored: tuple[str, ...]
    config_digest: str
    declared: Mapping[str, float]
    calibration: Path
    assumed: tuple[str, ...] = ()
    code: TrustedCode | None = None
    fitted: Mapping[str, str] | None = None

    def fitted_file(self, interpreter: str) -> Path:
        """Where an interpreter that was fitted to this model lies: inside a bundle, else beside the weights."""
        name = f"{interpreter}.safetensors"
        if self.fitted is not None:
            return self.calibration.parent.parent / "interpreters" / name
        return self.calibration.with_name(f"{self.calibration.stem}.{name}")

    def digest(self, tensor_digest: str) -> str:
        """Name the model by its tensors, and by its code where that decides what the tensors mean."""
        if self.code is None:
            return tensor_digest
        return hashlib.sha256(f"{tensor_digest} {self.code.digest}".encode()).hexdigest()


def malignant_by_name(classes: Sequence[str]) -> tuple[str, ...]:
    """Those of the classes whose names are names of malignant lesions.

    >>> malignant_by_name(("Mel", "nv", "basal cell carcinoma"))
    ('Mel', 'basal cell carcinoma')
    """
    return tuple(name for name in classes if name.strip().lower() in _MALIGNANT)


def assumed_malignant(classes: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The malignant classes where nobody states them, and the line that says so.

    >>> assumed_malignant(("mel", "nv"))
    (('mel',), ('malignant: mel: not stated, taken from the names of the classes',))
    """
    found = malignant_by_name(classes)
    words = f"malignant: {', '.join(found)}" if found else "malignant: no class"
    return found, (f"{words}: not stated, taken from the names of the classes",)


def checked_classes(names: Sequence[object], where: str) -> tuple[str, ...]:
    """Class names in the order of the outputs.

    Raises:
        ModelRefused: Fewer than two, one twice (labels are read without regard to case), or one that is empty, too
            long or not printable.
    """
    classes = tuple(
        name for name in names if isinstance(name, str) and name.isprintable() and 0 < len(name.strip()) <= 100
    )
    different = {name.strip().lower() for name in classes}
    if len(different) < len(names) or len(classes) < 2:
        raise ModelRefused(f"{where} must hold at least two different, printable names, got {tuple(names)}.")
    return classes
