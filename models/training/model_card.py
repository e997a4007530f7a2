"""The measured figures of a bundle, as its metadata and its model card carry them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

BEGIN = "<!-- measured: begin (written by models/training/evaluate.py) -->"
END = "<!-- measured: end -->"
NOT_MEASURED = "Not measured yet."

_ROWS = (
    ("test_accuracy", "accuracy"),
    ("test_balanced_accuracy", "balanced accuracy (mean recall)"),
    ("test_macro_auc", "macro AUC"),
    ("test_ece", "expected calibration error (15 bins)"),
    ("jpeg90_class_changes", "class changes under JPEG 90"),
    ("noise2_class_changes", "class changes under ±2/255 noise"),
)


def write_json(file: Path, content: Mapping[str, object]) -> None:
    """Write JSON, whole or not at all."""
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(file)


def write_measured(bundle: Path, figures: Mapping[str, float]) -> None:
    """Put figures into ``skinaudit.measured`` and ``eval_metrics`` of the metadata and into the model card."""
    file = bundle / "configs" / "metadata.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    measured = dict(sorted({**content["skinaudit"]["measured"], **figures}.items()))
    content["skinaudit"]["measured"] = content["eval_metrics"] = measured
    write_json(file, content)
    card = bundle / "docs" / "README.md"
    card.write_text(fill_measured(card.read_text(encoding="utf-8"), measured), encoding="utf-8")


def fill_measured(card: str, measured: Mapping[str, float]) -> str:
    """Replace what stands between the markers of a model card."""
    head, rest = card.split(BEGIN)
    return f"{head}{BEGIN}\n{measured_text(measured)}\n{END}{rest.split(END)[1]}"


def kept_section(card: str, old: str, name: str) -> str:
    """A model card with what an older one has between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in card or begin not in old:
        return card
    kept = old.split(begin)[1].split(end, maxsplit=1)[0]
    head, rest = card.split(begin)
    return f"{head}{begin}{kept}{end}{rest.split(end)[1]}"


def measured_text(measured: Mapping[str, float]) -> str:
    """Tables of the figures: the whole test folder, then recall and AUC of each class."""
    if "test_accuracy" not in measured:
        return NOT_MEASURED
    lines = [f"n = {measured['test_images']:.0f} images, through the product's own loader and pre-processing.", ""]
    lines += ["| figure | value |", "|---|---|"]
    lines += [f"| {title} | {measured[key]:.4f} |" for key, title in _ROWS]
    lines += ["", "| class | n | recall | AUC against the rest |", "|---|---|---|---|"]
    for key in sorted(measured):
        if key.startswith("test_recall_"):
            name = key.removeprefix("test_recall_")
            count = measured[f"test_images_{name}"]
            lines.append(f"| {name} | {count:.0f} | {measured[key]:.3f} | {measured[f'test_auc_{name}']:.3f} |")
    return "\n".join(lines)
