"""Audits in processes that die: a helper imports torch once and forks a process for each audit that is asked for.

A process dies of its own hand before the n-th line of the code that writes a run directory, of a signal in the middle
of a write (when a file would grow beyond a size), or of the helper's hand after a time. The helper itself never
computes a gradient: torch cannot be forked after that.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import torch

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.failures import StoreError
from skinaudit.audit.session import Prepared
from skinaudit.cli import main
from tests.audit.tiny_audit import DIRECT, Listener

ROOT = Path(__file__).parents[2]
WRITERS = ("store.py", "database.py", "artifacts.py", "lock.py", "chain.py", "local.py")

Request = Mapping[str, object]


@dataclass(frozen=True)
class End:
    """How an audit's process ended: exit code (or minus the signal), what it said, how many lines it went through."""

    code: int
    said: str
    lines: int


class Doomed:
    """The helper; ``audit`` and ``command`` wait for the end of the process, ``begin`` and ``end`` do it apart."""

    def __init__(self, folder: Path, prepared: Prepared) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prepared").write_bytes(pickle.dumps(prepared))
        self._helper = subprocess.Popen(
            [sys.executable, "-m", "tests.audit.doomed", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._helper.communicate()

    def audit(self, run: Path, *, line: int = 0, largest_file: int = 0, full_at: int = 0, seconds: float = 0.0) -> End:
        """Run the prepared audit, to its end or to the moment named: a line, a file's size, a time.

        A file that would grow beyond ``full_at`` is a full disk to it, not its death.
        """
        limits = {"line": line, "largest_file": largest_file, "full_at": full_at, "seconds": seconds}
        self._ask({"run": str(run), **limits})
        self._answer()
        return self.end()

    def command(self, *arguments: str | Path, full_at: int = 0) -> End:
        """Run a ``skinaudit`` command; see ``audit`` for ``full_at``."""
        self._ask({"arguments": [str(one) for one in arguments], "full_at": full_at})
        self._answer()
        return self.end()

    def begin(self, run: Path, *, stop: tuple[str, int]) -> int:
        """Start an audit that stops itself (SIGSTOP) after some units of a stage; gives its process id."""
        self._ask({"run": str(run), "stop": list(stop)})
        return int(str(self._answer()["process"]))

    def end(self) -> End:
        """Wait for the audit that was started."""
        found = self._answer()
        return End(int(str(found["code"])), str(found["said"]), int(str(found["lines"])))

    def _ask(self, request: Request) -> None:
        assert self._helper.stdin is not None
        self._helper.stdin.write(json.dumps(request) + "\n")
        self._helper.stdin.flush()

    def _answer(self) -> dict[str, object]:
        assert self._helper.stdout is not None
        found: dict[str, object] = json.loads(self._helper.stdout.readline())
        return found


# --- the helper


def serve(folder: Path) -> None:
    torch.set_num_threads(1)
    prepared: Prepared = pickle.loads((folder / "prepared").read_bytes())
    for line in sys.stdin:
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            _live(prepared, request, folder)
        if request.get("stop"):
            os.waitpid(process, os.WUNTRACED)
        _tell({"process": process})
        if request.get("seconds"):
            time.sleep(request["seconds"])
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        lines = folder / "lines"
        _tell(
            {
                "code": os.waitstatus_to_exitcode(status),
                "said": (folder / "said").read_text(encoding="utf-8"),
                "lines": int(lines.read_text()) if lines.exists() else 0,
            }
        )


def _tell(answer: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _live(prepared: Prepared, request: Mapping[str, object], folder: Path) -> None:
    """What a forked process does; it never returns."""
    (folder / "lines").unlink(missing_ok=True)
    descriptor = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(descriptor, number)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in ("largest_file", "full_at"):
        if request.get(name):
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(str(request[name])),) * 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if request.get("largest_file") else signal.SIG_IGN)
    arguments = request.get("arguments")
    code = main([str(one) for one in arguments]) if isinstance(arguments, list) else _audit(prepared, request, folder)
    sys.stdout.flush()
    os._exit(code)


def _audit(prepared: Prepared, request: Mapping[str, object], folder: Path) -> int:
    stop = request.get("stop")
    listener = Stopping(stop=(str(stop[0]), int(stop[1]))) if isinstance(stop, list) else Listener()
    counter = Lines(int(str(request.get("line") or 0)))
    sys.settrace(counter.look)
    try:
        run_audit(prepared, Path(str(request["run"])), DIRECT, listener)
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 6
    finally:
        sys.settrace(None)
        (folder / "lines").write_text(str(counter.count))
    return 0


class Lines:
    """Counts the lines that are gone through in the code that writes a run; kills the process before the last one."""

    def __init__(self, last: int) -> None:
        self.count, self._last = 0, last

    def look(self, frame: FrameType, event: str, argument: object) -> object:
        name = frame.f_code.co_filename
        return self._each if "skinaudit/audit/" in name and name.endswith(WRITERS) else None

    def _each(self, frame: FrameType, event: str, argument: object) -> object:
        if event == "line":
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._each


@dataclass
class Stopping(Listener):
    """Stops the process after some units of a stage, until somebody lets it go on."""

    stop: tuple[str, int] = ("", 0)

    def advance(self, stage: str, count: int) -> None:
        super().advance(stage, count)
        if self.stop == (stage, self.advanced[stage]):
            os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
    os._exit(0)  # unloading torch takes seconds
