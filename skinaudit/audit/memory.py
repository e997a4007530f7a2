"""What happens when the device's memory does not hold a batch: the work is done again in batches half as large.

Results are repeatable at one batch shape only, so what was half done in the larger shape is thrown away, and every
record says in which shape it was computed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from skinaudit.audit.chain import Event
from skinaudit.audit.database import DATABASE_NAME
from skinaudit.audit.failures import HalfWritten, one_line_for
from skinaudit.audit.machine import DeviceUnavailable
from skinaudit.audit.progress import Progress
from skinaudit.audit.reader import RunReader
from skinaudit.audit.records import RunHeader
from skinaudit.audit.session import AuditRequest, Prepared, prepare
from skinaudit.classifier.device_memory import is_out_of_memory
from skinaudit.images.decoder import Decoder

#: Kind of the event that says that a run goes on in smaller batches; its detail holds "from", "to" and "stage".
HALVED = "batch shape halved"


class DeviceTooSmall(DeviceUnavailable):
    """The device's memory does not hold even one image; the message says what to do."""


def within_memory(size: int, work: Callable[[int], None], halved: Callable[[int, int], None]) -> int:
    """Do some work in batches that the device holds.

    Args:
        size: the batch shape to begin with.
        work: does it in the batch shape that it is given, from the start or from what it stored.
        halved: is told the old and the new shape before the next attempt.

    Returns:
        The shape in which the work was done.

    Raises:
        DeviceTooSmall: not even a batch of one fits.
    """
    while True:
        try:
            work(size)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        else:
            return size
        # Only here, after the handler, has the error let go of the tensors that its traceback held.
        _free()
        if size == 1:
            raise DeviceTooSmall(
                "the device's memory does not hold one image with this network; free memory on the device and run the"
                " same command again, or use --device cpu and another run directory"
            )
        halved(size, size // 2)
        size //= 2


def prepare_within_memory(request: AuditRequest, folder: Path, decoder: Decoder, progress: Progress) -> Prepared:
    """``prepare``, in the largest batch shape that the device holds; a run that goes on keeps the shape it began with.

    Raises:
        DeviceTooSmall: not even a batch of one fits.
        ModelRefused and the other errors of ``prepare``.
    """
    asked = request.config.batch_size
    header = _stored_header(folder)
    checks = None if header is None else header.checks
    found: list[Prepared] = []

    def work(size: int) -> None:
        config = request.config.model_copy(update={"batch_size": size})
        found.append(prepare(replace(request, config=config), decoder, progress, checks))

    size = within_memory(_opening_shape(header, asked), work, _teller(progress))
    prepared = found[-1]
    if size == asked:
        return prepared
    return replace(prepared, header=prepared.header.model_copy(update={"batch_size_asked": asked}))


def shape_so_far(prepared: Prepared, events: Sequence[Event]) -> int:
    """The batch shape in which a run goes on: the smallest that it had to take."""
    taken = [int(event.detail["to"]) for event in events if event.kind == HALVED]
    return min([prepared.bench.config.batch_size, *taken])


def _opening_shape(header: RunHeader | None, asked: int) -> int:
    """The shape in which a stored run began, where it began in a smaller one than this command asks for."""
    if header is None or header.batch_size_asked != asked:
        return asked
    return min(asked, header.config.batch_size)


def _stored_header(folder: Path) -> RunHeader | None:
    with one_line_for(folder, "read"):
        if not (folder / DATABASE_NAME).exists():
            return None
    try:
        with RunReader(folder) as run:
            return run.header
    except HalfWritten:
        return None  # whoever opens it next for writing repairs it and compares then


def _teller(progress: Progress) -> Callable[[int, int], None]:
    def tell(old: int, new: int) -> None:
        progress.say(f"The device's memory does not hold {old} images at once; going on with {new}.")

    return tell


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
