"""Who listens to an audit."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Who listens to an audit."""

    def begin(self, stage: str, title: str, total: int, done: int) -> None:
        """A stage starts: ``done`` of ``total`` units are there already."""

    def advance(self, stage: str, count: int) -> None:
        """That many more units of a stage are done."""

    def say(self, text: str) -> None:
        """Something a person should know."""
