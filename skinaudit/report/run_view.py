"""What a report needs to see of a run: a read-only view, whoever stores it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from skinaudit.audit.records import ImageRecord, Record, RunHeader


class RunView(Protocol):
    """A closed run. Every call gives the same answer however often it is asked."""

    @property
    def header(self) -> RunHeader:
        """What was fixed before the first attack."""
        ...

    @property
    def closed_at(self) -> str:
        """Time the run was closed, ISO 8601 in UTC: the date that the report carries."""
        ...

    def images(self) -> list[ImageRecord]:
        """Every file that was found, attacked or not."""
        ...

    def records(self) -> list[Record]:
        """Every verdict and every failed unit."""
        ...

    def artifact(self, relative: str) -> Path:
        """Where the artifact that a record names lies on disk."""
        ...

    def chain_head(self) -> str:
        """Digest of the last event of the run's hash chain."""
        ...
