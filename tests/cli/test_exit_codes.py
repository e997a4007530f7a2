"""One table of exit codes, printed by help and by the documentation."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from skinaudit.cli import main
from skinaudit.cli.exit_codes import MEANINGS, ExitCode

DOCUMENT = Path(__file__).parents[2] / "docs" / "exit-codes.md"


def test_every_code_has_a_meaning_and_codes_count_from_zero() -> None:
    assert list(MEANINGS) == list(ExitCode)
    assert [int(code) for code in ExitCode] == [*range(8), 128 + signal.SIGPIPE]


def test_help_prints_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in printed


def test_the_documented_table_is_the_one_of_the_code() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert rows[2:] == [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
