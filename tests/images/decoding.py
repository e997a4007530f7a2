"""What tests of decoders ask again and again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skinaudit.images.decode import decode
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused

Pixels = NDArray[np.uint8]

#: What shows a stored picture upright, after the table of the EXIF specification.
ORIENTATIONS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


def pixels_of(path: Path, data: bytes | None = None) -> Pixels:
    """Decode the file, after writing it where data is given; the result is always of one form."""
    if data is not None:
        path.write_bytes(data)
    pixels = decode(path).pixels
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous
    return pixels


def refusal(path: Path, data: bytes | None = None, reading: Reading = Reading()) -> ImageRefused:
    """Why the file gives no picture. The reason never holds its place or name."""
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ImageRefused) as caught:
        decode(path, reading)
    assert str(path.parent) not in caught.value.reason
    assert path.stem not in caught.value.reason
    return caught.value


def rounded(samples: NDArray[np.uint16]) -> Pixels:
    """16 bits to 8 in floating point: the nearest of 255 equal steps."""
    return np.rint(samples.astype(np.float64) / 65535 * 255).astype(np.uint8)


def composed(colour: NDArray[np.generic], alpha: NDArray[np.generic]) -> NDArray[np.float64]:
    """Colour (H, W, C) and alpha (H, W), both 0 to 255, over white."""
    share = alpha[..., None].astype(np.float64) / 255
    return colour.astype(np.float64) * share + 255 * (1 - share)
