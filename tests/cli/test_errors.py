"""Failures nobody foresaw, and interruptions, end in one line as well."""

from __future__ import annotations

import json

import pytest
import torch
import typer

from skinaudit.audit.failures import RunLocked
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.cli.errors import TRACEBACK, CommandFailed, one_line_errors
from skinaudit.cli.exit_codes import ExitCode
from skinaudit.images.folder import LabelsError


def _code(error: BaseException, *, as_json: bool = False) -> int:
    with pytest.raises(typer.Exit) as caught, one_line_errors(as_json=as_json):
        raise error
    return int(caught.value.exit_code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandFailed("x", ExitCode.INTERRUPTED), 5),
        (ModelRefused("x"), 4),
        (LabelsError("x"), 3),
        (PermissionError(13, "no", "file"), 3),
        (RunLocked("x"), 6),
        (KeyboardInterrupt(), 5),
        (torch.OutOfMemoryError("x"), 2),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), 2),
        (ZeroDivisionError("x"), 7),
        (ValueError("x"), 7),
    ],
)
def test_each_kind_of_failure_has_its_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert _code(error) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_a_bug_is_called_one_and_names_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    _code(ZeroDivisionError("division by zero"))
    line = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: division by zero. This is a bug" in line
    assert "Traceback" not in line


def test_a_traceback_for_those_who_ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACEBACK, "1")
    _code(ZeroDivisionError("x"))
    assert "Traceback" in capsys.readouterr().err


def test_a_message_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _code(LabelsError("two\nlines \x1b[31mred"), as_json=True)
    printed = capsys.readouterr()
    assert printed.err == "skinaudit: two lines ?[31mred\n"
    assert json.loads(printed.out)["error"] == "two lines ?[31mred"
