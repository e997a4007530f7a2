"""How image files are read: the choices that a user makes, and the caps that nobody passes."""

from __future__ import annotations

from dataclasses import dataclass

#: Most pixels of one picture: far above any dermatoscope, and 150 MB once decoded.
MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class Reading:
    """Choices that decide what a file's pixels are.

    Attributes:
        max_pixels: most pixels of one picture, held against the header before decoding.
        frame: which frame of a multi-frame DICOM file is meant, counted from 1; None refuses such files.
        burned_in: read DICOM files whose BurnedInAnnotation says YES.
    """

    max_pixels: int = MAX_PIXELS
    frame: int | None = None
    burned_in: bool = False
