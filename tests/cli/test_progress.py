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


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    return found


def test_units_of_a_batch_come_in_together_and_tell_the_time_left_when_all_are_there(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = PlainProgress()
    listener.expect({"cam": 100.5})
    listener.begin("cam", "ADV² on CAM", 12, 0)
    clock.now += 30
    for _ in range(4):
        listener.advance("cam", 1)  # not 30 seconds each: the bound holds
        clock.now += 0.1
    clock.now += 29.6
    listener.advance("cam", 1)  # the group before took 30 seconds for 4
    assert [line.removeprefix("ADV² on CAM: ") for line in capsys.readouterr().err.splitlines()] == [
        "0 of 12, at most 2 min left",
        "1 of 12, at most 2 min left",
        "2 of 12, at most 2 min left",
        "3 of 12, at most 2 min left",
        "4 of 12, at most 2 min left",
        "5 of 12, about 41 s left",
    ]


def test_units_of_a_batch_that_come_in_slowly_are_one_batch(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    listener = PlainProgress()
    listener.begin("cam", "ADV² on CAM", 32, 8)
    for _ in range(2):
        clock.now += 100
        for _ in range(8):
            listener.advance("cam", 1)
            clock.now += 0.5
    lines = [line.removeprefix("ADV² on CAM: ") for line in capsys.readouterr().err.splitlines()]
    assert lines[:9] == [f"{8 + n} of 32" for n in range(9)]
    assert lines[9] == "17 of 32, about 4 min left"  # 15 units, as slow as eight in 104 seconds
    assert lines[16] == "24 of 32, about 2 min left"


def test_after_the_bound_a_first_unit_alone_tells_no_time(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    listener = PlainProgress()
    listener.expect({"cam": 50.0})
    listener.begin("cam", "ADV² on CAM", 32, 8)
    clock.now += 60
    listener.advance("cam", 1)
    assert capsys.readouterr().err.splitlines() == ["ADV² on CAM: 8 of 32, at most 50 s left", "ADV² on CAM: 9 of 32"]


def test_units_that_come_in_one_by_one_tell_the_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    listener = PlainProgress()
    listener.begin("survey", "Reading images", 1000, 0)
    for _ in range(250):
        clock.now += 0.1
        listener.advance("survey", 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[2] == "Reading images: 2 of 1000"
    assert lines[5] == "Reading images: 5 of 1000, about 2 min left"
    assert lines[-1] == "Reading images: 250 of 1000, about 2 min left"


def test_what_comes_later_than_expected_comes_soon(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    stream = LiveProgress()
    stream.begin("cam", "ADV² on CAM", 10, 0)
    clock.now += 20
    stream.advance("cam", 5)
    (stage,) = stream._by_task.values()
    assert stage.left() == ""
    clock.now += 5
    assert stage.left() == "about 15 s left"
    clock.now += 60
    assert stage.left() == "about 2 s left"
    capsys.readouterr()


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
