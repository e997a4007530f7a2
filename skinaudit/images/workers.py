"""Decoding in processes of their own, so that no file can take a run down.

A decoder that takes too long is killed, one that crashes or runs out of memory is replaced; the file gets a reason and
the run goes on. The processes import neither torch nor MONAI. On Windows they have the time limit only.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from skinaudit.images.decode import Picture
from skinaudit.images.process import PROGRAM, DecoderUnavailable, DecodingProcess, DiedBefore, Limits
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused

__all__ = ["DecoderPool", "DecoderUnavailable", "Limits"]

_HEED_SECONDS = 0.25  # an interruption that comes just before a wait begins does not end that wait


class DecoderPool:
    """A few decoding processes as one `Decoder`; a context manager, after which no process is left.

    Args:
        reading: choices that decide what a file's pixels are.
        limits: what one file may take.
        processes: how many at most; None: 2, or 1 on a machine with one processor. They start when first needed.
        program: arguments of the interpreter that make it a decoding process.
    """

    def __init__(
        self,
        reading: Reading = Reading(),
        limits: Limits = Limits(),
        processes: int | None = None,
        program: tuple[str, ...] = PROGRAM,
    ) -> None:
        self._reading = reading
        self._limits = limits
        self._program = program
        most = min(2, os.cpu_count() or 1) if processes is None else processes
        self._ahead = most + 1
        # One process for each thread: Linux ends a process with the *thread* that started it, and these live as long.
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="decoder")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._processes: set[DecodingProcess] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, in the middle of a file if need be; a second call does nothing."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.end()
        self._processes.clear()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Ids of the processes that are there now."""
        with self._lock:
            return tuple(sorted(process.pid for process in self._processes))

    def decode(self, path: Path) -> Picture:
        """The picture in a file, pixels (H, W, 3) uint8.

        Raises:
            ImageRefused: with a reason free of paths and patient data; also when the decoder took too long, crashed
                or ran out of memory.
            DecoderUnavailable: no decoding process starts.
        """
        answer = _result(self._threads.submit(self._answer, path))
        if isinstance(answer, ImageRefused):
            raise answer
        return answer

    def stream(self, paths: Iterable[Path]) -> Iterator[Picture | ImageRefused]:
        """For each path, in their order, the picture or why there is none; one more than the processes is read ahead.

        Raises:
            DecoderUnavailable: no decoding process starts.
        """
        waiting: deque[Future[Picture | ImageRefused]] = deque()
        try:
            for path in paths:
                waiting.append(self._threads.submit(self._answer, path))
                if len(waiting) > self._ahead:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def _answer(self, path: Path) -> Picture | ImageRefused:
        """Ask this thread's process; one that died while it was idle is replaced and not held against the file."""
        try:
            return self._process().ask(path)
        except DiedBefore:
            return self._process().ask(path)

    def _process(self) -> DecodingProcess:
        process: DecodingProcess | None = getattr(self._mine, "process", None)
        if process is not None and process.usable:
            return process
        with self._lock:
            if self._closed:
                raise DecoderUnavailable("the processes that decode images were ended")
            if process is not None:
                self._processes.discard(process)
            process = self._mine.process = DecodingProcess(self._reading, self._limits, self._program)
            self._processes.add(process)
        process.await_ready()
        return process


def _result(future: Future[Picture | ImageRefused]) -> Picture | ImageRefused:
    """What a future gives, waited for in slices, so that no Ctrl-C goes unheard until the decoder answers."""
    while not future.done():
        wait((future,), _HEED_SECONDS)
    return future.result()
