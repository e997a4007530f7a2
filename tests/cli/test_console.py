"""Output for people: plain text outside a terminal, colour in one, nothing from outside obeyed."""

from __future__ import annotations

import json
import sys
from io import StringIO

import pytest

from skinaudit.cli.console import Console, is_interactive


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def open_terminal(patch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of both streams; in the test itself, because pytest sets them anew before it."""
    stream = Terminal()
    patch.setattr(sys, "stdout", stream)
    patch.setattr(sys, "stderr", stream)
    patch.delenv("NO_COLOR", raising=False)
    patch.setenv("TERM", "xterm-256color")
    return stream


def test_a_table_outside_a_terminal_is_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("Name", "Value"), [("a", "1"), ("bcdefg", "22")], gaps=[1])
    assert capsys.readouterr().out == "Name    Value\na       1\n\nbcdefg  22\n"


def test_pairs_have_no_heading(capsys: pytest.CaptureFixture[str]) -> None:
    Console().pairs([("Model", "tiny"), ("", "[red]not markup[/red]")])
    assert capsys.readouterr().out == "Model  tiny\n       [red]not markup[/red]\n"


def test_a_long_cell_is_not_folded_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Console().pairs([("x", "word " * 40 + "end")])
    assert capsys.readouterr().out.count("\n") == 1


def test_a_terminal_gets_colour_and_no_color_takes_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    assert is_interactive()
    Console().table(("Name",), [("a",)])
    assert "\x1b[1m" in terminal.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_interactive()


def test_text_from_outside_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    console = Console()
    console.say("file\x1b]0;title\x07")
    console.table(("Name",), [("\x1b[2Jgone",)])
    assert "\x1b]0" not in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


def test_a_block_is_folded_to_the_window_and_hangs_together(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    Console().block("note", "A title", ["word " * 12, "last\x1b[31m"])
    assert capsys.readouterr().out == (
        f"note    A title\n        {'word ' * 8}".rstrip()
        + f"\n        {'word ' * 4}".rstrip()
        + "\n        last?[31m\n"
    )
    monkeypatch.setenv("COLUMNS", "1")
    Console().block("", "x", ["word " * 12])
    assert max(map(len, capsys.readouterr().out.splitlines())) > 30


def test_a_block_has_a_bold_title_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    Console().block("note", "A title", [])
    assert terminal.getvalue() == "\x1b[1mnote    A title\x1b[0m\n"


def test_json_has_stdout_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    console.say("for people")
    console.table(("Name",), [("a",)])
    console.document({"value": "µ"})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"value": "µ"}
    assert "for people" in printed.err
    assert "Name" in printed.err


def test_no_document_without_json(capsys: pytest.CaptureFixture[str]) -> None:
    Console().document({"value": 1})
    assert capsys.readouterr().out == ""


def test_a_sentence_is_folded_between_words_in_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    Console().sentence("word " * 11 + "end")
    assert capsys.readouterr().out == "word " * 11 + "end\n"
    terminal = open_terminal(monkeypatch)
    Console().sentence("word " * 11 + "end")
    assert terminal.getvalue() == ("word " * 10).rstrip() + "\nword end\n"
    Console().sentence("")
    assert terminal.getvalue().endswith("end\n\n")
