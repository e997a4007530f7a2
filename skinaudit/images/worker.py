"""A decoding process: ``python -m skinaudit.images.worker``, started and fed by `skinaudit.images.workers`.

It reads settings, then paths, from stdin and answers on stdout (`skinaudit.images.frames`). Before the first path it
takes away from itself what a decoder does not need: memory beyond a bound, writing files, core dumps (they would hold
patients' pictures), and outliving the run. This holds a decoder that hangs, crashes or eats memory; it is no sandbox
against one that has been taken over, which may still read what the user may read.

On Windows only the time limit of the run exists: there is no ``resource`` module, no alarm and no parent-death signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from skinaudit.images.decode import Picture, decode
from skinaudit.images.frames import read_frame, write_answer, write_frame
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused

#: Exit status that says that memory ran out.
OUT_OF_MEMORY = 77

#: First frame to the run: the process is up and limited.
READY = b"ready"

_OPEN_FILES = 32
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4  # <linux/prctl.h>

Decode = Callable[[Path, Reading], Picture]


def serve(decoder: Decode = decode) -> None:
    """Be a decoding process until stdin ends; tests bring decoders that misbehave."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's business, which then ends this process
    answers = _claim_stdout()
    settings = read_frame(sys.stdin.buffer)
    if settings is None:
        return
    chosen = json.loads(settings)
    reading = Reading(chosen["max_pixels"], chosen["frame"], chosen["burned_in"])
    if sys.platform.startswith("linux"):
        _tie_to_parent(chosen["parent"])
    limit_resources(chosen["memory"])
    write_frame(answers, READY)
    answers.flush()
    try:
        answer_requests(sys.stdin.buffer, answers, decoder, reading, chosen["alarm"])
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # a process that is short of memory is in no state to go on


def answer_requests(requests: BinaryIO, answers: BinaryIO, decoder: Decode, reading: Reading, alarm: float) -> None:
    """Decode what is asked for until the requests end. Whatever but a refusal is raised ends the process.

    Args:
        requests: frames of paths, as bytes of the file system.
        answers: gets one answer for each.
        decoder: reads one file.
        reading: how.
        alarm: seconds after which a decoder that hangs is ended from within, should the run be gone by then.

    Raises:
        MemoryError: memory ran out.
    """
    while (path := read_frame(requests)) is not None:
        _set_alarm(alarm)
        try:
            answer: Picture | ImageRefused = decoder(Path(os.fsdecode(path)), reading)
        except ImageRefused as error:
            answer = error
        _set_alarm(0)
        write_answer(answers, answer)


def limit_resources(memory: int) -> None:
    """Bound this process for good: address space, files written, files open, core dumps.

    Args:
        memory: bytes of address space beside what is mapped now. Where a system lacks a limit, the others still hold.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        "RLIMIT_AS": _mapped_bytes() + memory,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": _OPEN_FILES,
    }
    for name, most in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS refuses RLIMIT_AS
            resource.setrlimit(kind, (bound, bound))


def _mapped_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 512 * 2**20  # no Linux: more than Python with NumPy, Pillow and pydicom maps


def _tie_to_parent(parent: int) -> None:
    """Linux: die with the run, be the first that the kernel ends when memory is short, leave no core dump."""
    import ctypes

    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # a core dump that goes to a pipe asks for no RLIMIT_CORE
    if os.getppid() != parent:  # it died before the signal was asked for
        os._exit(1)


def _claim_stdout() -> BinaryIO:
    """Keep stdout for answers alone: what a library prints goes nowhere, where it can name nobody."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return answers


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)  # nobody catches SIGALRM: it ends the process, hung in C or not


if __name__ == "__main__":
    serve()
