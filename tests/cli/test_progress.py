"""Progress: bars with time left in a terminal, lines elsewhere, on stderr in both cases."""

from __future__ import annotations

import sys
from io import StringIO

import pytest

from skinaudit.cli import progress
from skinaudit.cli.progress import LiveProgress, PlainProgress


def test_lines_say_where_a_stage_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as listener:
        listener.expect({"cam": 90.0})
        listener.begin("cam", "ADV² on CAM", 3, 1)
        listener.advance("cam", 1)
        listener.advance("cam", 1)
        listener.begin("grad", "ADV² on GRAD", 2, 2)
        listener.say("by the way")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "ADV² on CAM: 1 of 3, at most 2 min left",
        "ADV² on CAM: done in 1 s",
        "ADV² on GRAD: 2 of 2, nothing left to do",
        "by the way",
    ]


def test_a_counter_is_a_stage_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as listener:
        count = listener.counter("Reading")
        count(1, 2)
        count(2, 2)
    assert capsys.readouterr().err.splitlines() == ["Reading: 0 of 2", "Reading: done in 1 s"]


def test_lines_between_tell_the_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with PlainProgress() as listener:
        listener.begin("cam", "ADV² on CAM", 10, 0)
        listener.advance("cam", 2)
    assert capsys.readouterr().err.splitlines()[1:] == ["ADV² on CAM: 2 of 10, about 1 s left"]


def test_a_stage_that_takes_longer_than_its_bound_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as listener:
        listener.expect({"cam": -1.0})
        listener.begin("cam", "ADV² on CAM", 10, 0)
    assert capsys.readouterr().err == "ADV² on CAM: 0 of 10, slower than forecast\n"


def test_lines_between_are_rare(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as listener:
        listener.begin("cam", "ADV² on CAM", 10, 0)
        for _ in range(9):
            listener.advance("cam", 1)
    assert capsys.readouterr().err == "ADV² on CAM: 0 of 10\n"


def test_bars_show_count_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with LiveProgress() as listener:
        listener.expect({"cam": 90.0})
        listener.begin("nothing", "Nothing to do", 0, 0)
        listener.begin("cam", "ADV² on CAM", 2, 0)
        listener.say("by the way")
        listener.advance("cam", 2)
    printed = stream.getvalue()
    assert "ADV² on CAM" in printed
    assert "2/2" in printed
    assert "done in" in printed
    assert "by the way" in printed
