"""Who turns image files into pixels: the shape of every decoder, and the one that works in this very process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from skinaudit.images.decode import Picture, decode
from skinaudit.images.folder import FoundFile
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused


class Decoder(Protocol):
    """Anything that reads image files by one set of choices."""

    def decode(self, path: Path) -> Picture:
        """The picture in a file, pixels (H, W, 3) uint8.

        Raises:
            ImageRefused: with a reason free of paths and patient data.
        """

    def stream(self, paths: Iterable[Path]) -> Iterator[Picture | ImageRefused]:
        """For each path, in their order, the picture or why there is none; some may be read ahead."""


class DirectDecoder:
    """Decodes in this process, without limits: for files that are trusted, such as those of tests and benchmarks."""

    def __init__(self, reading: Reading = Reading()) -> None:
        self._reading = reading

    def decode(self, path: Path) -> Picture:
        """The picture in a file, pixels (H, W, 3) uint8.

        Raises:
            ImageRefused: with a reason free of paths and patient data.
        """
        return decode(path, self._reading)

    def stream(self, paths: Iterable[Path]) -> Iterator[Picture | ImageRefused]:
        """For each path, in their order, the picture or why there is none."""
        for path in paths:
            try:
                yield self.decode(path)
            except ImageRefused as error:
                yield error


def decode_found(files: Sequence[FoundFile], decoder: Decoder) -> Iterator[Picture | ImageRefused]:
    """For each file that a folder search found, in their order, the picture or why there is none.

    Args:
        files: those that the search turned away are not opened.
        decoder: reads the others.
    """
    pictures = decoder.stream(file.path for file in files if file.reason is None)
    for file in files:
        yield next(pictures) if file.reason is None else ImageRefused(file.reason)
