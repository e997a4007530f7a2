"""How far a long job is: bars with time left in a terminal, a line now and then elsewhere. Always on stderr."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import typer
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from skinaudit.cli.console import duration, printable

#: Seconds between two lines about one stage.
LINE_EVERY = 20.0
#: Longest pause, in seconds, between units of one piece of work that come in.
TOGETHER = 1.0


class Listener(Protocol):
    """Who listens to a long job."""

    def begin(self, stage: str, title: str, total: int, done: int) -> None:
        """A stage starts: ``done`` of ``total`` units are there already."""

    def advance(self, stage: str, count: int) -> None:
        """That many more units of a stage are done."""

    def say(self, text: str) -> None:
        """Something a person should know."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Longest time that stages will take, known before they begin."""

    def counter(self, title: str) -> Callable[[int, int], None]:
        """A stage of its own for a job that says how many of how many are done."""


@dataclass
class _Stage:
    """How far one stage is."""

    title: str
    total: int
    before: int  # units that an earlier run left
    done: int
    bound: float | None
    begun: float
    told: float
    pace: float | None = None  # seconds a unit took, without those that are coming in
    came: float = 0.0  # when these began to come in
    moved: float = 0.0  # when the last unit came in

    @property
    def finished(self) -> bool:
        return self.done >= self.total

    def advance(self, count: int) -> None:
        """So many more units are done; those of a batch come in together."""
        now = time.monotonic()
        if now - self.moved > TOGETHER:
            self.pace, self.came = self._pace(), now
        self.done += count
        self.moved = now

    def _pace(self) -> float | None:
        """Seconds a unit took so far, all that came in counted."""
        return (self.moved - self.begun) / (self.done - self.before) if self.done > self.before else None

    def left(self) -> str:
        """Time left in words: by what units took so far, and no longer than the bound; empty when unknown."""
        now = time.monotonic()
        ahead = None if self.bound is None else self.bound - (now - self.begun)
        # Units that have come in for longer than all before them took are no group, but come one by one.
        coming = now - self.moved <= TOGETHER and now - self.came <= self.came - self.begun
        pace = self.pace if coming else self._pace()
        if pace is not None:
            whole = pace * (self.total - self.done)
            rate = max(whole - (now - self.moved), whole / 10)  # later than expected: soon, but nobody knows when
            return f"about {duration(min(rate, ahead) if ahead and ahead > 0 else rate)} left"
        if ahead is not None and ahead > 0:
            return f"at most {duration(ahead)} left"
        return "" if ahead is None or self.done > self.before else "slower than forecast"


class _Stages(ABC):
    """Stages by name."""

    def __init__(self) -> None:
        self._bounds: dict[str, float] = {}
        self._stages: dict[str, _Stage] = {}

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Longest time that stages will take, known before they begin."""
        self._bounds.update(seconds)

    def counter(self, title: str) -> Callable[[int, int], None]:
        """A stage of its own for a job that says how many of how many are done."""
        before: int | None = None

        def advance(done: int, total: int) -> None:
            nonlocal before
            if before is None:
                self.begin(title, title, total, 0)
                before = 0
            self.advance(title, done - before)
            before = done

        return advance

    @abstractmethod
    def begin(self, stage: str, title: str, total: int, done: int) -> None:
        """A stage starts: ``done`` of ``total`` units are there already."""

    @abstractmethod
    def advance(self, stage: str, count: int) -> None:
        """That many more units of a stage are done."""

    def _started(self, stage: str, title: str, total: int, done: int) -> _Stage:
        now = time.monotonic()
        self._stages[stage] = _Stage(title, total, done, done, self._bounds.get(stage), now, now)
        return self._stages[stage]

    def _moved(self, stage: str, count: int) -> _Stage:
        found = self._stages[stage]
        found.advance(count)
        return found


def _line(stage: _Stage) -> str:
    """How far a stage is, and how long it still takes where that is known."""
    return ", ".join(filter(None, (f"{stage.title}: {stage.done} of {stage.total}", stage.left())))


class PlainProgress(_Stages):
    """A line when a stage begins, now and then while it runs, and when it ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    def begin(self, stage: str, title: str, total: int, done: int) -> None:
        """Say that a stage starts."""
        found = self._started(stage, title, total, done)
        if found.finished:
            typer.echo(f"{title}: {done} of {total}, nothing left to do", err=True)
        else:
            typer.echo(_line(found), err=True)

    def advance(self, stage: str, count: int) -> None:
        """Say how far a stage is, unless it was said a moment ago."""
        found = self._moved(stage, count)
        now = time.monotonic()
        if found.finished:
            typer.echo(f"{found.title}: done in {duration(now - found.begun)}", err=True)
        elif now - found.told >= LINE_EVERY:
            found.told = now
            typer.echo(_line(found), err=True)

    def say(self, text: str) -> None:
        """Print a line."""
        typer.echo(printable(text), err=True)


class _TimeLeft(ProgressColumn):
    """Time left, or the time that a finished stage took."""

    def __init__(self, stages: Mapping[TaskID, _Stage]) -> None:
        super().__init__()
        self._of = stages

    def render(self, task: Task) -> Text:
        """Words for one bar."""
        stage = self._of.get(task.id)
        if stage is None:
            return Text("")
        if stage.finished:
            return Text(
                "nothing left to do" if stage.before >= stage.total else f"done in {duration(task.finished_time or 0)}",
                "dim",
            )
        return Text(stage.left(), style="cyan")


class LiveProgress(_Stages):
    """A bar for each stage."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, TaskID] = {}
        self._by_task: dict[TaskID, _Stage] = {}
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _TimeLeft(self._by_task),
            console=RichConsole(stderr=True, highlight=False, markup=False),
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the bars as they are and give the terminal back."""
        self._bars.stop()

    def begin(self, stage: str, title: str, total: int, done: int) -> None:
        """Show a new bar."""
        found = self._started(stage, title, total, done)
        self._tasks[stage] = self._bars.add_task(title, total=max(1, total))
        self._by_task[self._tasks[stage]] = found
        self._bars.update(self._tasks[stage], completed=max(1, done) if total == 0 else done)

    def advance(self, stage: str, count: int) -> None:
        """Move a bar."""
        self._moved(stage, count)
        self._bars.advance(self._tasks[stage], count)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(printable(text))
