"""What a person sees: results on stdout, everything about the way there on stderr. Plain unless both are a terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from skinaudit.cli.progress import Listener

#: Width of a table when nobody looks at it through a window: nothing is folded.
_WIDE = 250
#: Room for the mark before a block, and the fewest columns that words are folded to.
_MARGIN, _NARROW = 8, 40


def printable(text: str) -> str:
    r"""Text from outside without anything a terminal would obey.

    >>> printable("a\x1b[31mb")
    'a?[31mb'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text.replace("\u00a0", " "))


def _harmless(document: str) -> str:
    """Escape in JSON what a terminal would obey; the document stays the same."""
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in document)


def duration(seconds: float) -> str:
    """A length of time in words.

    >>> duration(8.4), duration(95), duration(1500), duration(9000)
    ('9 s', '2 min', '25 min', '2 h 30 min')
    """
    if seconds < 60:
        return f"{int(-(-seconds // 1))} s"
    minutes = int(-(-seconds // 60))
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def is_interactive() -> bool:
    """Does a person look at this in a terminal that may have colours and bars?"""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


class Console:
    """The one place where a command prints.

    Args:
        as_json: stdout holds one JSON document and nothing else; what people read goes to stderr.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.interactive = is_interactive()

    def say(self, text: str = "") -> None:
        """A line of the result."""
        typer.echo(printable(text), err=self.as_json)

    def sentence(self, text: str) -> None:
        """A sentence of the result; in a terminal it is folded between words."""
        width = shutil.get_terminal_size((_WIDE, 24)).columns
        lines = textwrap.wrap(printable(text), max(_NARROW, width), break_on_hyphens=False) if self.interactive else []
        for line in lines or [text]:
            self.say(line)

    def note(self, text: str) -> None:
        """A line about the way there."""
        typer.echo(printable(text), err=True)

    def document(self, content: Mapping[str, object]) -> None:
        """The JSON document, when one was asked for."""
        if self.as_json:
            typer.echo(_harmless(json.dumps(content, ensure_ascii=False, indent=1)))

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and what stands behind them."""
        self.table((), rows)

    def block(self, mark: str, title: str, paragraphs: Sequence[str]) -> None:
        """A mark, a title behind it, and paragraphs below, folded to the width of the window.

        Where there is no window, the environment variable COLUMNS may say how wide it would be.
        """
        margin = " " * _MARGIN
        width = max(_NARROW, shutil.get_terminal_size((_WIDE, 24)).columns)
        head = f"{printable(mark):<{_MARGIN}}{printable(title)}"
        lines = [head if not self.interactive else typer.style(head, bold=True)]
        for paragraph in paragraphs:
            lines += textwrap.wrap(
                printable(paragraph), width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
            )
        typer.echo("\n".join(lines), err=self.as_json)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], *, gaps: Sequence[int] = ()) -> None:
        """A table; ``gaps`` are the rows before which a line stays empty."""
        from rich import box
        from rich.console import Console as RichConsole
        from rich.table import Table
        from rich.text import Text

        stream = sys.stderr if self.as_json else sys.stdout
        plain = not self.interactive
        target = RichConsole(
            file=stream, highlight=False, markup=False, emoji=False, no_color=plain, force_terminal=not plain,
            width=_WIDE if plain else None,
        )  # fmt: skip
        table = Table(
            box=None if plain or not heads else box.SIMPLE_HEAD, show_header=bool(heads), pad_edge=False,
            padding=(0, 2, 0, 0), header_style="bold",
        )  # fmt: skip
        for head in heads or ["" for _ in rows[0]]:
            table.add_column(Text(head), overflow="fold")
        if not heads:
            table.columns[0].style = "bold"
            table.columns[0].no_wrap = True
        for place, row in enumerate(rows):
            if place in gaps:
                table.add_row()
            table.add_row(*(Text(printable(cell)) for cell in row))
        if plain:
            with target.capture() as captured:
                target.print(table)
            typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), err=self.as_json)
        else:
            target.print(table)

    def progress(self) -> AbstractContextManager[Listener]:
        """Somebody who listens to a long job, with bars in a terminal and lines elsewhere."""
        from skinaudit.cli.progress import LiveProgress, PlainProgress

        return LiveProgress() if self.interactive else PlainProgress()
