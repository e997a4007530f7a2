"""Records as a table that opens in any spreadsheet and harms none."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType

from skinaudit.audit.records import MapDistances, Record

_NESTED = ("prediction", "to_target", "to_benign", "original_class", "artifacts")
_SCALARS = tuple(name for name in Record.model_fields if name not in _NESTED)
_DISTANCES = tuple(field.name for field in fields(MapDistances))

#: Columns of ``results.csv``, in order; where a run has subgroups, ``subgroup_<label column>`` follow.
COLUMNS = (
    *_SCALARS,
    "predicted_class",
    "confidence",
    *(f"target_{name}" for name in _DISTANCES),
    *(f"original_{name}" for name in _DISTANCES),
    *(f"benign_{name}" for name in _DISTANCES),
)

# What a spreadsheet takes for the start of a formula (CWE-1236).
_FORMULA_STARTS = ("=", "+", "-", "@")

_NO_SUBGROUPS: Mapping[str, Mapping[str, str]] = MappingProxyType({})

Cell = str | int | float | bool | None


def results_table(
    records: Sequence[Record],
    classes: Sequence[str],
    columns: Sequence[str] = (),
    subgroups: Mapping[str, Mapping[str, str]] = _NO_SUBGROUPS,
) -> str:
    """All records as CSV text: a header line, then one line a record, in the order given.

    Args:
        records: the rows.
        classes: class names by index; they stand in the class columns.
        columns: label columns of subgroups.
        subgroups: image id -> label column -> value.

    Returns:
        Comma-separated text with line feeds. Numbers have six significant digits, true and false are words, what is
        not known is empty, and text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"subgroup_{name}" for name in columns)])
    for record in records:
        own = subgroups.get(record.image_id, {})
        writer.writerow([cell(value) for value in (*_row(record, classes), *(own.get(name) for name in columns))])
    return text.getvalue()


def _row(record: Record, classes: Sequence[str]) -> list[Cell]:
    values: dict[str, Cell] = {name: getattr(record, name) for name in _SCALARS}
    values["source_class"] = _class_name(record.source_class, classes)
    values["target_class"] = _class_name(record.target_class, classes)
    if record.prediction is not None:
        values["predicted_class"] = _class_name(record.prediction.index, classes)
        values["confidence"] = record.prediction.confidence
    measured = (("target", record.to_target), ("original", record.original_class), ("benign", record.to_benign))
    for prefix, distances in measured:
        if distances is not None:
            values.update({f"{prefix}_{name}": getattr(distances, name) for name in _DISTANCES})
    return [values.get(column) for column in COLUMNS]


def _class_name(index: int | None, classes: Sequence[str]) -> str | None:
    if index is None:
        return None
    return classes[index] if 0 <= index < len(classes) else f"class {index}"


def cell(value: Cell) -> str:
    """One value as such a table holds it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"  # + 0.0 turns -0.0 into 0
    if isinstance(value, int):
        return str(value)
    return f"'{value}" if value.lstrip().startswith(_FORMULA_STARTS) else value
