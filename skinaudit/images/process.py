"""One decoding process, seen from the run: start it, ask it, and end it when it takes too long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from skinaudit.images.decode import Picture
from skinaudit.images.frames import BrokenFrame, read_answer, read_frame, write_frame
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from skinaudit.images.worker import OUT_OF_MEMORY, READY

#: What this interpreter runs as a decoding process. -P: no module of the folder that the user happens to be in.
PROGRAM = ("-P", "-m", "skinaudit.images.worker")

#: Bytes of address space for a pixel: the hungriest format (PNG, 16 bits, alpha, turned by EXIF) was seen to take 33.
_BYTES_PER_PIXEL = 40
_ROOM = 256 * 2**20

_START_SECONDS = 120.0  # imports from a cold network share
_ALARM_SECONDS = 10.0  # how much longer than the run a process waits before it ends itself
_LAST_SECONDS = 1.0  # for a process that has closed its answers to be gone as well

#: All that a process gets of the environment, beside where modules lie.
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "SYSTEMROOT")


class DecoderUnavailable(RuntimeError):
    """Decoding processes do not start; the message says how to see why."""


class DiedBefore(Exception):
    """The process was gone before it was asked, which is no fault of the file."""


@dataclass(frozen=True)
class Limits:
    """What one file may take.

    Attributes:
        seconds: of wall-clock time.
        memory: bytes of address space beside what the process maps anyhow; None: 256 MiB, and 40 for each pixel that
            a picture may have.
    """

    seconds: float = 30.0
    memory: int | None = None

    def memory_for(self, reading: Reading) -> int:
        """Bytes of address space that suffice for every picture that the choices allow."""
        return _BYTES_PER_PIXEL * reading.max_pixels + _ROOM if self.memory is None else self.memory


class DecodingProcess:
    """One process, asked by one thread at a time.

    Args:
        reading: choices that decide what a file's pixels are.
        limits: what one file may take.
        program: arguments of the interpreter.
    """

    def __init__(self, reading: Reading, limits: Limits, program: tuple[str, ...] = PROGRAM) -> None:
        self._reading = reading
        self._limits = limits
        self._program = program
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with arguments of ours
            [sys.executable, *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a library's warning may hold a name or a path
            env=_environment(),
            start_new_session=True,  # Ctrl-C at the terminal reaches the run alone
        )
        self._requests = cast("BinaryIO", self._process.stdin)
        self._answers = cast("BufferedReader", self._process.stdout)
        self.pid = self._process.pid
        self.usable = True

    def await_ready(self) -> None:
        """Hand over the settings and wait until the limits are set.

        Raises:
            DecoderUnavailable: the process does not come up.
        """
        settings = {
            **asdict(self._reading),
            "memory": self._limits.memory_for(self._reading),
            "alarm": self._limits.seconds + _ALARM_SECONDS,
            "parent": os.getpid(),
        }
        said = None
        with _Deadline(self._process, _START_SECONDS), suppress(OSError, BrokenFrame):
            self._send(json.dumps(settings).encode())
            said = read_frame(self._answers)
        if said != READY:
            self.end()
            command = " ".join((Path(sys.executable).name, *self._program))
            raise DecoderUnavailable(f"the process that decodes images does not start; run `{command}` to see why")

    def ask(self, path: Path) -> Picture | ImageRefused:
        """The picture in a file, or why there is none; after a time-out or a crash the process is not usable any more.

        Raises:
            DiedBefore: the process was gone already.
        """
        try:
            self._send(os.fsencode(path.absolute()))
        except OSError as error:
            self.end()
            raise DiedBefore from error
        answer = None
        with _Deadline(self._process, self._limits.seconds) as deadline, suppress(BrokenFrame):
            answer = read_answer(self._answers, self._reading.max_pixels)
        if answer is not None and not deadline.passed:
            return answer
        status = self.end()
        if deadline.passed:
            return ImageRefused(f"the decoder took longer than {self._limits.seconds:g} s", "unreadable")
        if status in {OUT_OF_MEMORY, _KILLED}:  # the latter: by the kernel, short of memory
            return ImageRefused("the decoder ran out of memory", "unreadable")
        return ImageRefused("the decoder crashed", "unreadable")

    def kill(self) -> None:
        """End the process now, from any thread; whoever waits for its answer gets none."""
        self._process.kill()

    def end(self) -> int | None:
        """See that the process is gone, and give its exit status (a signal as a negative number).

        Returns:
            None when it had to be killed here.
        """
        self.usable = False
        status: int | None
        try:
            status = self._process.wait(_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            status = None
        for stream in (self._requests, self._answers):
            with suppress(OSError):  # what was not sent any more
                stream.close()
        return status

    def _send(self, payload: bytes) -> None:
        write_frame(self._requests, payload)
        self._requests.flush()


_KILLED = -int(getattr(signal, "SIGKILL", 9))


class _Deadline:
    """Kills a process that is still at work when the time is up."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()  # from here on ``passed`` does not change

    def _end(self) -> None:
        self.passed = True
        self._process.kill()


def _environment() -> dict[str, str]:
    """What a process is told: where modules lie, one thread for each library, no files beside modules."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    modules = dict.fromkeys(str(Path(place).absolute()) for place in sys.path)
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(modules),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
