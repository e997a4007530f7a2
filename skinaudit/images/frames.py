"""What a run and its decoding processes say to each other: frames with a length, and pixels whose size is known first.

The process is the untrusted side: whatever it sends is data, and is held against its bounds before it is used.
"""

from __future__ import annotations

import json
import struct
from typing import BinaryIO, Protocol

import numpy as np

from skinaudit.images.decode import Picture
from skinaudit.images.refusal import ImageRefused

#: Bytes of a settings frame, of a path, and of the header before an answer's pixels, at most.
MOST_FRAME_BYTES = 64 * 2**10

_LENGTH = struct.Struct(">I")
_MOST_FORMAT = 32  # characters of a format's name
_MOST_REASON = 400  # characters of a reason


class Source(Protocol):
    """A buffered stream of bytes, which gives less than it is asked for at its end only."""

    def read(self, size: int, /) -> bytes:
        """That many bytes."""

    def readinto(self, room: memoryview, /) -> int:
        """Fill the room, and say with how many bytes."""


class BrokenFrame(Exception):
    """The other side went away in the middle of a frame, or sent something that no frame is."""


def write_frame(stream: BinaryIO, payload: bytes) -> None:
    """Send bytes with their length before them; the stream is not flushed.

    Raises:
        ValueError: more than ``MOST_FRAME_BYTES``.
    """
    if len(payload) > MOST_FRAME_BYTES:
        raise ValueError(f"Expected a frame of at most {MOST_FRAME_BYTES} bytes, but got {len(payload)}")
    stream.write(_LENGTH.pack(len(payload)) + payload)


def read_frame(stream: BinaryIO | Source) -> bytes | None:
    """The next frame; None when the other side has closed.

    Raises:
        BrokenFrame: longer than ``MOST_FRAME_BYTES``, or cut off.
    """
    start = stream.read(_LENGTH.size)
    if not start:
        return None
    if len(start) < _LENGTH.size:
        raise BrokenFrame("cut off in its length")
    (length,) = _LENGTH.unpack(start)
    if length > MOST_FRAME_BYTES:
        raise BrokenFrame(f"{length} bytes long")
    payload = stream.read(length)
    if len(payload) < length:
        raise BrokenFrame("cut off")
    return payload


def write_answer(stream: BinaryIO, answer: Picture | ImageRefused) -> None:
    """Send a picture, or why there is none, and flush.

    Args:
        stream: where to.
        answer: pixels (H, W, 3) uint8, or the refusal.
    """
    if isinstance(answer, ImageRefused):
        write_frame(stream, json.dumps({"reason": answer.reason, "status": answer.status}).encode())
    else:
        height, width = answer.pixels.shape[:2]
        header = {"format": answer.file_format, "drawn": answer.drawn, "height": height, "width": width}
        write_frame(stream, json.dumps(header).encode())
        stream.write(np.ascontiguousarray(answer.pixels).data)
    stream.flush()


def read_answer(stream: Source, max_pixels: int) -> Picture | ImageRefused:
    """A picture, or why there is none.

    Args:
        stream: where from.
        max_pixels: most pixels; a header that declares more is no answer, and nothing is allocated for it.

    Raises:
        BrokenFrame: the stream ended, or holds anything but an answer.
    """
    frame = read_frame(stream)
    if frame is None:
        raise BrokenFrame("no answer")
    header = _parse(frame)
    if set(header) == {"reason", "status"}:
        return _refusal(header["reason"], header["status"])
    if set(header) != {"format", "drawn", "height", "width"}:
        raise BrokenFrame("other keys than an answer has")
    name, drawn, height, width = (header[key] for key in ("format", "drawn", "height", "width"))
    if not (isinstance(name, str) and name.isprintable() and len(name) <= _MOST_FORMAT and isinstance(drawn, bool)):
        raise BrokenFrame("no name of a format")
    if type(height) is not int or type(width) is not int or height < 1 or width < 1 or height * width > max_pixels:
        raise BrokenFrame("no size that a picture may have")
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    if stream.readinto(pixels.data.cast("B")) < pixels.nbytes:
        raise BrokenFrame("cut off in its pixels")
    return Picture(pixels, name, drawn)


def _parse(frame: bytes) -> dict[str, object]:
    try:
        header = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise BrokenFrame("no JSON") from error
    if not isinstance(header, dict):
        raise BrokenFrame("no JSON object")
    return header


def _refusal(reason: object, status: object) -> ImageRefused:
    if not (isinstance(reason, str) and reason.isprintable() and 0 < len(reason) <= _MOST_REASON):
        raise BrokenFrame("no reason that can be printed")
    if status == "refused":
        return ImageRefused(reason, "refused")
    if status == "unreadable":
        return ImageRefused(reason, "unreadable")
    raise BrokenFrame("no status of a refusal")
