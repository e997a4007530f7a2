"""The layout of a DICOM picture: attributes that were checked against each other, the caps and the user's choices."""

from __future__ import annotations

import re
from dataclasses import dataclass

from skinaudit.images.dicom_header import Attributes
from skinaudit.images.dicom_syntaxes import Codec
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused, check_size

#: Frames of one file. A photograph has one, a capture of a turning or moving lesion some hundreds.
MOST_FRAMES = 10_000

_GREY = ("MONOCHROME1", "MONOCHROME2")

#: Photometric interpretations of each way of writing pixels (PS3.5, 8.2; PS3.3, C.7.6.3.1.2).
_INTERPRETATIONS: dict[Codec, tuple[str, ...]] = {
    Codec.NATIVE: ("RGB", "YBR_FULL", "YBR_FULL_422", *_GREY, "PALETTE COLOR"),
    Codec.RLE: ("RGB", "YBR_FULL", *_GREY, "PALETTE COLOR"),
    Codec.JPEG: ("RGB", "YBR_FULL", "YBR_FULL_422", *_GREY),
    Codec.JPEG_2000: ("RGB", "YBR_FULL", "YBR_ICT", "YBR_RCT", *_GREY, "PALETTE COLOR"),
    Codec.JPEG_LOSSLESS: ("RGB", "YBR_FULL", *_GREY, "PALETTE COLOR"),
    Codec.JPEG_LS: ("RGB", "YBR_FULL", *_GREY, "PALETTE COLOR"),
}


@dataclass(frozen=True)
class Layout:
    """How the pixels of one file are laid out.

    Attributes:
        rows: height in pixels.
        columns: width in pixels.
        samples: 3 for colours, 1 for grey and palettes.
        interpretation: PhotometricInterpretation, one that the way of writing pixels allows.
        planes: whole planes of one colour follow each other (PlanarConfiguration 1); uncompressed pixels only.
        allocated: bits that a sample takes in the file, 8 or 16.
        stored: bits of these that count.
        frames: pictures in the file.
        frame: the one that is meant, counted from 0.
    """

    rows: int
    columns: int
    samples: int
    interpretation: str
    planes: bool
    allocated: int
    stored: int
    frames: int
    frame: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame. In YBR_FULL_422 two pixels share their two colour samples."""
        samples = 2 if self.interpretation == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.allocated // 8


def layout_of(attributes: Attributes, codec: Codec, reading: Reading) -> Layout:
    """Check what a file says about its picture. No pixel has been read yet.

    Args:
        attributes: as found in the file.
        codec: how pixels are written.
        reading: the cap on pixels, the frame, and whether burned-in text is allowed.

    Raises:
        ImageRefused: the reason names the attribute that decided and what is supported, never what the file says.
    """
    burned_in = attributes.texts.get("BurnedInAnnotation", "").strip(" \0\r\n\t").upper()
    if burned_in not in ("", "NO") and not reading.burned_in:
        what = "YES" if burned_in == "YES" else "neither YES nor NO"
        raise ImageRefused(f"DICOM: BurnedInAnnotation is {what}, so the pixels may identify a patient")
    samples, interpretation = _interpretation(attributes, codec)
    rows, columns = attributes.number("Rows"), attributes.number("Columns")
    check_size(columns, rows, reading.max_pixels)
    if interpretation == "YBR_FULL_422" and codec is Codec.NATIVE and columns % 2:
        raise ImageRefused("DICOM: Columns must be even with PhotometricInterpretation YBR_FULL_422", "unreadable")
    allocated, stored = _bits(attributes, samples)
    frames = _frames(attributes)
    planes = samples == 3 and codec is Codec.NATIVE and _planes(attributes, interpretation)
    return Layout(
        rows, columns, samples, interpretation, planes, allocated, stored, frames, _wanted_frame(frames, reading.frame)
    )


def _interpretation(attributes: Attributes, codec: Codec) -> tuple[int, str]:
    """(SamplesPerPixel, PhotometricInterpretation)."""
    samples = attributes.number("SamplesPerPixel")
    interpretation = attributes.texts.get("PhotometricInterpretation", "")
    if not interpretation:
        raise ImageRefused("DICOM: PhotometricInterpretation is missing", "unreadable")
    supported = _INTERPRETATIONS[codec]
    if interpretation not in supported:
        raise ImageRefused(
            f"DICOM: PhotometricInterpretation is not supported; with {codec.value} it must be "
            f"{', '.join(supported[:-1])} or {supported[-1]}"
        )
    expected = 1 if interpretation in {*_GREY, "PALETTE COLOR"} else 3
    if samples != expected:
        raise ImageRefused(f"DICOM: SamplesPerPixel must be {expected} with this PhotometricInterpretation")
    return samples, interpretation


def _bits(attributes: Attributes, samples: int) -> tuple[int, int]:
    """(BitsAllocated, BitsStored)."""
    allocated, stored = attributes.number("BitsAllocated"), attributes.number("BitsStored")
    allowed = (8,) if samples == 3 else (8, 16)
    if allocated not in allowed:
        raise ImageRefused(f"DICOM: BitsAllocated is not supported; it must be {' or '.join(map(str, allowed))}")
    if samples == 3 and stored != 8:
        raise ImageRefused("DICOM: BitsStored is not supported; it must be 8 for colours")
    if not 1 <= stored <= allocated:
        raise ImageRefused("DICOM: BitsStored must lie between 1 and BitsAllocated", "unreadable")
    if attributes.number("HighBit") != stored - 1:
        raise ImageRefused("DICOM: HighBit is not supported; it must be BitsStored less one")
    if attributes.number("PixelRepresentation") != 0:
        raise ImageRefused("DICOM: PixelRepresentation is not supported; it must be 0 (unsigned)")
    return allocated, stored


def _planes(attributes: Attributes, interpretation: str) -> bool:
    configuration = attributes.number("PlanarConfiguration")
    allowed = (0,) if interpretation == "YBR_FULL_422" else (0, 1)
    if configuration not in allowed:
        raise ImageRefused(f"DICOM: PlanarConfiguration is not supported; it must be {' or '.join(map(str, allowed))}")
    return configuration == 1


def _frames(attributes: Attributes) -> int:
    """NumberOfFrames; one when the file does not say."""
    text = attributes.texts.get("NumberOfFrames", "") or "1"
    if not re.fullmatch(r"\+?[0-9]{1,11}", text) or int(text) < 1:
        raise ImageRefused("DICOM: NumberOfFrames is no positive number", "unreadable")
    if int(text) > MOST_FRAMES:
        raise ImageRefused(f"DICOM: NumberOfFrames is more than the {MOST_FRAMES} that are allowed")
    return int(text)


def _wanted_frame(frames: int, wanted: int | None) -> int:
    """The frame that is meant, counted from 0. A single frame is always meant: folders mix both kinds of files."""
    if frames == 1:
        return 0
    if wanted is None:
        raise ImageRefused("DICOM: the file holds several frames; state which one is meant (--frame, from 1)")
    if not 1 <= wanted <= frames:
        raise ImageRefused(f"DICOM: the file has no frame {wanted}")
    return wanted - 1
