"""What the exit code of a command means: the one table that help and documentation print."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    CONDITION_FAILED = 1
    USAGE = 2
    INPUT_UNUSABLE = 3
    MODEL_REFUSED = 4
    INTERRUPTED = 5
    RUN_REFUSED = 6
    BUG = 7
    OUTPUT_CLOSED = 141  # 128 + SIGPIPE: what a shell shows for any command whose reader went away


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.CONDITION_FAILED: "done, but a condition on the result failed: `models check` raised an alarm",
    ExitCode.USAGE: (
        "usage: an option or argument cannot be as given; --device cuda without a CUDA GPU or with too small a one"
    ),
    ExitCode.INPUT_UNUSABLE: "input unusable: images, labels, id key, calibration file; or an output cannot be written",
    ExitCode.MODEL_REFUSED: "model refused: missing, incomplete, not readable as data, or of no use to an interpreter",
    ExitCode.INTERRUPTED: "interrupted: the run is not finished, the same command again goes on",
    ExitCode.RUN_REFUSED: "run directory refused: other settings, in use, damaged, no run, or not writable",
    ExitCode.BUG: "internal error: a bug of skinaudit",
    ExitCode.OUTPUT_CLOSED: "nobody reads the output any more, as after `| head -1`; nothing is said about it",
}


def table() -> str:
    """Codes and meanings, one line each."""
    return "\n".join(f"{code.value}  {MEANINGS[code]}" for code in ExitCode)
