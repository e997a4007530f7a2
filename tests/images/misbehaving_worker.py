"""A decoding process whose decoder does by a file's name what hostile files do to real ones."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from skinaudit.images.decode import Picture, decode
from skinaudit.images.reading import Reading
from skinaudit.images.worker import serve


def misbehave(path: Path, reading: Reading) -> Picture:
    match path.stem:
        case "hang":
            time.sleep(3600)
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "bug":
            raise ZeroDivisionError
        case "memory":
            np.ones(2**36, dtype=np.uint8)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
        case "large":
            return Picture(np.zeros((6001, 10_000, 3), dtype=np.uint8), "PNG", drawn=False)
        case "chatter":
            os.write(1, b"a name on stdout\n")
            sys.stdout.write("a name on stdout\n")
            sys.stdout.flush()
            os.write(2, b"a name on stderr\n")
        case "report":
            return report()
    return decode(path, reading)


def report() -> Picture:
    """What the process finds out about itself, as a picture: its answers carry nothing else."""
    found = [
        any(name in sys.modules for name in ("torch", "monai")),
        resource.getrlimit(resource.RLIMIT_CORE) == (0, 0),
        resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0),
        resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= 64,
        resource.getrlimit(resource.RLIMIT_AS)[1] < 4 * 2**30,
        os.getsid(0) == os.getpid(),
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "SECRET_OF_THE_RUN" in os.environ,
    ]
    return Picture(np.array([[[flag] * 3 for flag in found]], dtype=np.uint8), "PNG", drawn=False)


if __name__ == "__main__":
    serve(misbehave)
