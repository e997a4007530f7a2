"""The bytes of a DICOM file, read once and forward: as they lie in the file, or inflated under a cap."""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO, Protocol

from skinaudit.images.refusal import ImageRefused, check_file_size

_CHUNK = 2**16


class Source(Protocol):
    """Bytes that are read forward. Callers bound what they ask for."""

    def take(self, size: int) -> bytes:
        """The next bytes: fewer than asked for only at the end."""

    def skip(self, size: int) -> None:
        """Pass over bytes.

        Raises:
            ImageRefused: there are not as many.
        """


class FileBytes:
    """A file from where its stream stands; lengths are held against its size before anything is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = stream.tell()
        self._size = os.fstat(stream.fileno()).st_size

    def take(self, size: int) -> bytes:
        """The next bytes: fewer than asked for only at the end."""
        data = self._stream.read(min(size, self._size - self._position))
        self._position += len(data)
        return data

    def skip(self, size: int) -> None:
        """Pass over bytes without reading them.

        Raises:
            ImageRefused: the file is shorter.
        """
        if size > self._size - self._position:
            raise truncated()
        self._position = self._stream.seek(size, os.SEEK_CUR)

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay the next ones."""
        data = self.take(size)
        self._position = self._stream.seek(-len(data), os.SEEK_CUR)
        return data


class InflatedBytes:
    """A raw deflate stream (PS3.5, A.5), inflated only as far as it is read and never past a cap.

    pydicom inflates the whole data set at once, whatever its size; a bomb would take the memory of the machine.

    Args:
        stream: stands at the first deflated byte.
        max_pixels: most pixels of a picture. What was inflated, the skipped parts included, is held against it by the
            rule for the length of a file.
    """

    def __init__(self, stream: BinaryIO, max_pixels: int) -> None:
        self._stream = stream
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._max_pixels = max_pixels
        self._inflated = 0

    def take(self, size: int) -> bytes:
        """The next bytes: fewer than asked for only at the end.

        Raises:
            ImageRefused: damaged, or more than the cap.
        """
        pieces = []
        while size and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Inflate bytes and forget them.

        Raises:
            ImageRefused: damaged, ended, or more than the cap.
        """
        while size:
            piece = self._piece(size)
            if not piece:
                raise truncated()
            size -= len(piece)

    def _piece(self, most: int) -> bytes:
        """Some of the next bytes; none at the end."""
        while not self._inflater.eof:
            data = self._inflater.unconsumed_tail or self._stream.read(_CHUNK)
            try:
                piece = self._inflater.decompress(data, min(most, _CHUNK))
            except zlib.error:
                raise ImageRefused("DICOM: the deflated data are damaged", "unreadable") from None
            if piece:
                self._inflated += len(piece)
                check_file_size(self._inflated, self._max_pixels)
                return piece
            if not data:
                break
        return b""


def exactly(source: Source, size: int) -> bytes:
    """That many bytes.

    Raises:
        ImageRefused: there are not as many.
    """
    data = source.take(size)
    if len(data) < size:
        raise truncated()
    return data


def truncated() -> ImageRefused:
    """The refusal of a file that ends too early."""
    return ImageRefused("DICOM: the file is truncated, or a length in it is wrong", "unreadable")
