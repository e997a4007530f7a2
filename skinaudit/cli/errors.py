"""Every failure becomes one clear line and an exit code; a traceback is for those who ask for it."""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

import typer

from skinaudit.cli.console import printable
from skinaudit.cli.exit_codes import ExitCode

#: Set to 1, this environment variable shows where an internal error happened.
TRACEBACK = "SKINAUDIT_TRACEBACK"
#: An audit goes on in smaller batches by itself; this is for the commands that begin anew in no time.
_NO_MEMORY = (
    "the device's memory does not hold a batch of images; free memory on it, take a smaller --batch-size where the "
    "command has one, or --device cpu"
)


class CommandFailed(Exception):
    """A command cannot do what was asked: the line for the user, and the exit code."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def one_line_errors(*, as_json: bool = False) -> Iterator[None]:
    """Turn any failure of the block into one line on stderr and its exit code.

    Args:
        as_json: say it on stdout as well, as a JSON document.

    Raises:
        typer.Exit: in place of the failure. A usage error passes, because the parser words it.
    """
    try:
        yield
    except (typer.Exit, typer.BadParameter):
        raise
    except BrokenPipeError as error:
        if not _closed((sys.stdout, sys.stderr)):
            raise _bug(error, as_json=as_json) from error
        raise typer.Exit(int(ExitCode.OUTPUT_CLOSED)) from None
    except KeyboardInterrupt:
        raise _said("stopped; nothing was changed", ExitCode.INTERRUPTED, as_json=as_json) from None
    except Exception as error:
        code = _code(error)
        if code is None and _no_memory(error):
            raise _said(_NO_MEMORY, ExitCode.USAGE, as_json=as_json) from error
        if code is None:
            raise _bug(error, as_json=as_json) from error
        raise _said(str(error), code, as_json=as_json) from error


def say_failure(message: str, code: ExitCode, *, as_json: bool = False) -> None:
    """One line on stderr; with ``as_json`` a document on stdout as well."""
    line = printable(" ".join(message.split()))
    with suppress(BrokenPipeError):  # nobody there to read it: the exit code says it
        typer.echo(f"skinaudit: {line}", err=True)
    if as_json:
        with suppress(BrokenPipeError):
            typer.echo(json.dumps({"exit_code": int(code), "error": line}, ensure_ascii=False, indent=1))


def drop_closed_output(streams: Sequence[TextIO | None]) -> bool:
    """Send to nowhere what a reader who went away did not take, so that the interpreter does not complain at its end.

    Args:
        streams: stdout and stderr; None where there is none.

    Returns:
        Whether a reader has gone away.
    """
    closed = _closed(streams)
    for stream in closed:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(closed)


def _closed(streams: Sequence[TextIO | None]) -> list[TextIO]:
    found = []
    for stream in streams:
        if stream is None:
            continue
        try:
            stream.flush()
        except BrokenPipeError:
            found.append(stream)
        else:
            if _reader_gone(stream):  # the write itself failed, and left nothing to flush
                found.append(stream)
    return found


def _reader_gone(stream: TextIO) -> bool:
    """Is the other end of this pipe closed? Where that cannot be asked (Windows, no pipe), it is not."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _said(message: str, code: ExitCode, *, as_json: bool) -> typer.Exit:
    say_failure(message, code, as_json=as_json)
    return typer.Exit(int(code))


def _bug(error: Exception, *, as_json: bool) -> typer.Exit:
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exception(error, file=sys.stderr)
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    advice = f"This is a bug of skinaudit; {TRACEBACK}=1 shows where it happened, please report it."
    return _said(f"internal error: {what}. {advice}", ExitCode.BUG, as_json=as_json)


def _no_memory(error: Exception) -> bool:
    from skinaudit.classifier.device_memory import is_out_of_memory

    return is_out_of_memory(error)


def _code(error: Exception) -> ExitCode | None:
    """Exit code of an error of the domain; None when nobody foresaw it."""
    # Imported here: by now the command has loaded what it needs, and help never comes this far.
    from skinaudit.audit.failures import StoreError
    from skinaudit.audit.machine import DeviceUnavailable
    from skinaudit.audit.scope import NothingToAudit
    from skinaudit.calibration.drift import CalibrationError
    from skinaudit.calibration.thresholds import ThresholdsError
    from skinaudit.classifier.features import FeaturesUnavailable
    from skinaudit.classifier.refusal import ModelRefused
    from skinaudit.images.folder import FolderError, LabelsError
    from skinaudit.images.identity import IdentityError
    from skinaudit.images.refusal import ImageRefused
    from skinaudit.interpreters.base import InterpreterUnavailable
    from skinaudit.interpreters.rts_checkpoint import CheckpointRefused
    from skinaudit.interpreters.rts_fit import FitError

    if isinstance(error, CommandFailed):
        return error.code
    kinds: tuple[tuple[type[Exception], ExitCode], ...] = (
        (DeviceUnavailable, ExitCode.USAGE),
        (StoreError, ExitCode.RUN_REFUSED),
        (ModelRefused, ExitCode.MODEL_REFUSED),
        (FeaturesUnavailable, ExitCode.MODEL_REFUSED),
        (InterpreterUnavailable, ExitCode.MODEL_REFUSED),
        (FolderError, ExitCode.INPUT_UNUSABLE),
        (LabelsError, ExitCode.INPUT_UNUSABLE),
        (ImageRefused, ExitCode.INPUT_UNUSABLE),
        (IdentityError, ExitCode.INPUT_UNUSABLE),
        (ThresholdsError, ExitCode.INPUT_UNUSABLE),
        (CalibrationError, ExitCode.INPUT_UNUSABLE),
        (FitError, ExitCode.INPUT_UNUSABLE),
        (CheckpointRefused, ExitCode.RUN_REFUSED),
        (NothingToAudit, ExitCode.INPUT_UNUSABLE),
        (OSError, ExitCode.INPUT_UNUSABLE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), None)
