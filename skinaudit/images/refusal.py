"""Why a file gave no picture: the one exception of every decoder."""

from __future__ import annotations

from typing import Literal

#: Bytes a file may have beside its pixels (metadata, previews, headers).
_METADATA_ROOM = 64 * 2**20


class ImageRefused(Exception):
    """A file that gave no picture, with a reason that may be printed anywhere.

    Attributes:
        reason: one line without paths, file names or patient data.
        status: ``"refused"`` when a rule turned the file away, ``"unreadable"`` when it is damaged or cannot be opened.
    """

    def __init__(self, reason: str, status: Literal["refused", "unreadable"] = "refused") -> None:
        super().__init__(reason, status)  # both, so that the exception survives pickling between processes
        self.reason = reason
        self.status = status

    def __str__(self) -> str:
        return self.reason

    @property
    def refused(self) -> bool:
        """True when a rule turned the file away, False when it could not be read."""
        return self.status == "refused"


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Hold the size that a header declares against the cap, before anything is decoded.

    Args:
        width: declared columns.
        height: declared rows.
        max_pixels: most pixels that a picture may have.

    Raises:
        ImageRefused: no pixels, or more than the cap.
    """
    if width < 1 or height < 1:
        raise ImageRefused(f"the header declares {width} x {height} pixels", "unreadable")
    if width * height > max_pixels:
        raise ImageRefused(f"{width} x {height} pixels are more than the {max_pixels} that are allowed")


def check_file_size(size: int, max_pixels: int, bytes_per_pixel: int = 4) -> None:
    """Hold a file's length against what the largest picture could need, so that no parser meets an endless file.

    Args:
        size: bytes.
        max_pixels: most pixels that a picture may have.
        bytes_per_pixel: allowed for each pixel; 64 MiB of metadata are allowed beside them.

    Raises:
        ImageRefused: larger.
    """
    if size > bytes_per_pixel * max_pixels + _METADATA_ROOM:
        raise ImageRefused(f"the file is larger than a picture of {max_pixels} pixels can need")
