"""What a TIFF page is made of, with every number checked against the rules before a pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from skinaudit.images import tiff_directory as tags
from skinaudit.images.refusal import ImageRefused, check_size
from skinaudit.images.tiff_directory import Directory

#: Strips or tiles of one page.
_MOST_BLOCKS = 2**17


class Compression(IntEnum):
    """What is decoded; one name for the two numbers of deflate."""

    NONE = 1
    LZW = 5
    JPEG = 7
    DEFLATE = 8
    PACKBITS = 32773


class Photometric(IntEnum):
    """What the samples mean."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2
    PALETTE = 3
    CMYK = 5
    YCBCR = 6


class Alpha(IntEnum):
    """What the sample behind the colours is, by the numbers of ExtraSamples."""

    NONE = 0
    PREMULTIPLIED = 1
    STRAIGHT = 2


_OLD_DEFLATE = 32946
_COLOURS = {Photometric.RGB: 3, Photometric.CMYK: 4, Photometric.YCBCR: 3}


@dataclass(frozen=True)
class Layout:
    """One page, checked.

    Attributes:
        order: "<" or ">", byte order of 16-bit samples.
        width, height: pixels.
        bits: 8 or 16 a sample.
        colours: samples that are colour; samples: all of them, those of no meaning included.
        alpha: what the first sample behind the colours is.
        differences: samples are stored as differences to their left neighbour (predictor 2).
        planar: every sample has a plane of its own.
        tiled: blocks are tiles, and those at the border are padded; else strips.
        block_width, block_height: pixels of a whole block.
        offsets, lengths: where the blocks lie, row by row, plane by plane.
        orientation: 1 to 8, as in EXIF.
        color_map: 768 values for a palette, else empty.
        jpeg_tables: tables that all blocks share, may be empty.
    """

    order: str
    width: int
    height: int
    bits: int
    colours: int
    samples: int
    alpha: Alpha
    photometric: Photometric
    compression: Compression
    differences: bool
    planar: bool
    tiled: bool
    block_width: int
    block_height: int
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    orientation: int
    color_map: tuple[int, ...]
    jpeg_tables: bytes

    @property
    def across(self) -> int:
        """Blocks beside each other."""
        return -(-self.width // self.block_width)

    @property
    def down(self) -> int:
        """Blocks below each other."""
        return -(-self.height // self.block_height)

    @property
    def planes(self) -> int:
        """Planes that follow each other."""
        return self.samples if self.planar else 1


def layout_of(page: Directory, file_size: int, max_pixels: int) -> Layout:
    """Check a page against the rules and say how its pixels lie.

    Args:
        page: the directory.
        file_size: bytes, which all blocks must lie within.
        max_pixels: most pixels of the picture.

    Returns:
        The layout; its blocks cover the picture exactly once.

    Raises:
        ImageRefused: with the rule that decided.
    """
    width, height = page.one(tags.IMAGE_WIDTH), page.one(tags.IMAGE_LENGTH)
    check_size(width, height, max_pixels)
    photometric, compression = _photometric(page), _compression(page)
    colours = _COLOURS.get(photometric, 1)
    samples = page.one(tags.SAMPLES_PER_PIXEL, 1)
    tiled = tags.TILE_WIDTH in page.values
    layout = Layout(
        order=page.order,
        width=width,
        height=height,
        bits=_bits(page),
        colours=colours,
        samples=samples,
        alpha=_alpha(page, colours, samples),
        photometric=photometric,
        compression=compression,
        differences=_differences(page, compression),
        planar=_planar(page, samples),
        tiled=tiled,
        block_width=page.one(tags.TILE_WIDTH) if tiled else width,
        block_height=page.one(tags.TILE_LENGTH) if tiled else min(page.one(tags.ROWS_PER_STRIP, height), height),
        offsets=page.values.get(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS, ()),
        lengths=page.values.get(tags.TILE_BYTE_COUNTS if tiled else tags.STRIP_BYTE_COUNTS, ()),
        orientation=page.one(tags.ORIENTATION, 1),
        color_map=page.values.get(tags.COLOR_MAP, ()) if photometric == Photometric.PALETTE else (),
        jpeg_tables=bytes(page.values.get(tags.JPEG_TABLES, ())),
    )
    _check_blocks(layout, file_size, max_pixels)
    _check_together(layout)
    return layout


def _photometric(page: Directory) -> Photometric:
    number = page.one(tags.PHOTOMETRIC)
    if number not in set(Photometric):
        raise ImageRefused(f"TIFF: PhotometricInterpretation {number} is not supported; save it as RGB")
    if number == Photometric.CMYK and page.one(tags.INK_SET, 1) != 1:
        raise ImageRefused("TIFF: inks other than CMYK are not supported; save it as RGB")
    return Photometric(number)


def _compression(page: Directory) -> Compression:
    number = page.one(tags.COMPRESSION, 1)
    number = Compression.DEFLATE if number == _OLD_DEFLATE else number
    if number not in set(Compression):
        raise ImageRefused(f"TIFF: compression {number} is not supported; save it with LZW or deflate")
    if page.one(tags.FILL_ORDER, 1) != 1:
        raise ImageRefused("TIFF: FillOrder 2 is not supported; save the file anew")
    return Compression(number)


def _bits(page: Directory) -> int:
    """Bits of all samples, which must be unsigned whole numbers."""
    bits = set(page.values.get(tags.BITS_PER_SAMPLE, (1,)))
    if bits not in ({8}, {16}):
        raise ImageRefused("TIFF: only 8 and 16 bits a sample are supported; save it with 8 bits")
    if set(page.values.get(tags.SAMPLE_FORMAT, (1,))) != {1}:
        raise ImageRefused("TIFF: only unsigned whole numbers are supported as samples; save it with 8 bits")
    return bits.pop()


def _alpha(page: Directory, colours: int, samples: int) -> Alpha:
    """What follows the colours. One sample that is not declared counts as alpha, as Pillow has it."""
    extra = page.values.get(tags.EXTRA_SAMPLES, ())
    if not colours <= samples <= colours + 4 or len(extra) not in {0, samples - colours}:
        raise ImageRefused(f"TIFF: {samples} samples a pixel do not go with the colours of the file", "unreadable")
    if samples == colours:
        return Alpha.NONE
    if not extra and samples > colours + 1:
        raise ImageRefused(f"TIFF: the file does not say what its {samples} samples a pixel mean")
    meaning = extra[0] if extra else Alpha.STRAIGHT
    if meaning not in set(Alpha):
        raise ImageRefused(f"TIFF: ExtraSamples {meaning} is not supported")
    return Alpha(meaning)


def _differences(page: Directory, compression: Compression) -> bool:
    """Predictors belong to LZW and deflate alone; elsewhere the tag has no effect."""
    if compression not in {Compression.LZW, Compression.DEFLATE}:
        return False
    predictor = page.one(tags.PREDICTOR, 1)
    if predictor not in {1, 2}:
        raise ImageRefused(f"TIFF: predictor {predictor} is not supported")
    return predictor == 2


def _planar(page: Directory, samples: int) -> bool:
    number = page.one(tags.PLANAR_CONFIGURATION, 1)
    if number not in {1, 2}:
        raise ImageRefused(f"TIFF: PlanarConfiguration {number} is unknown", "unreadable")
    return number == 2 and samples > 1


def _check_blocks(layout: Layout, file_size: int, max_pixels: int) -> None:
    """Exactly the blocks that the picture needs, all inside the file, and little padding."""
    if layout.block_width < 1 or layout.block_height < 1:
        raise ImageRefused("TIFF: strips or tiles without pixels", "unreadable")
    padded = layout.across * layout.down * layout.block_width * layout.block_height
    if padded > max(max_pixels, 2 * layout.width * layout.height):
        raise ImageRefused(f"TIFF: tiles of {padded} pixels are more than the {max_pixels} that are allowed")
    blocks = layout.across * layout.down * layout.planes
    if blocks > _MOST_BLOCKS:
        raise ImageRefused(f"TIFF: more than {_MOST_BLOCKS} strips or tiles; save the file anew")
    if not len(layout.offsets) == len(layout.lengths) == blocks:
        raise ImageRefused("TIFF: the strips or tiles do not cover the picture", "unreadable")
    if any(offset + length > file_size for offset, length in zip(layout.offsets, layout.lengths, strict=True)):
        raise ImageRefused("TIFF: the data is truncated", "unreadable")
    # Blocks may share bytes, as blank tiles do, but not a whole file each.
    if sum(layout.lengths) > file_size + padded * layout.samples * layout.bits // 8:
        raise ImageRefused("TIFF: the strips or tiles lie over each other", "unreadable")


def _check_together(layout: Layout) -> None:
    """Rules about tags that depend on each other."""
    if layout.orientation not in range(1, 9):
        raise ImageRefused(f"TIFF: orientation {layout.orientation} is unknown", "unreadable")
    if layout.photometric == Photometric.PALETTE and (layout.bits != 8 or len(layout.color_map) != 3 * 256):
        raise ImageRefused("TIFF: only palettes of 256 colours are supported; save it as RGB")
    if layout.photometric == Photometric.CMYK and layout.alpha != Alpha.NONE:
        raise ImageRefused("TIFF: CMYK with transparency is not supported; save it as RGB")
    if layout.photometric == Photometric.YCBCR and (layout.compression != Compression.JPEG or layout.planar):
        raise ImageRefused("TIFF: YCbCr is only supported with JPEG compression in one plane; save it as RGB")
    if layout.compression == Compression.JPEG and (layout.bits != 8 or layout.samples != layout.colours):
        raise ImageRefused("TIFF: JPEG compression is only supported with 8 bits and without transparency")
    if layout.compression == Compression.JPEG and layout.photometric in {Photometric.CMYK, Photometric.PALETTE}:
        # Writers disagree whether the inks are inverted.
        raise ImageRefused("TIFF: JPEG compression is only supported for grey, RGB and YCbCr; save it as RGB")
