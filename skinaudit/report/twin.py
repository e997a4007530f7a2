"""The report for machines: the same numbers and sentences as the PDF, as JSON."""

from __future__ import annotations

from pathlib import Path

from skinaudit.report.document import Report
from skinaudit.report.findings import summarise
from skinaudit.report.run_view import RunView


def write_json(view: RunView, path: Path) -> None:
    """Write ``report.json`` of a closed run to ``path``; read it back with ``read_json``."""
    path.write_text(f"{summarise(view).model_dump_json(indent=1)}\n", encoding="utf-8")


def read_json(path: Path) -> Report:
    """Read a report back.

    Raises:
        pydantic.ValidationError: the file is not a report of this schema version.
    """
    return Report.model_validate_json(path.read_text(encoding="utf-8"))
