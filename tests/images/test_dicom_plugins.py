"""Transfer syntaxes of the extra: read where it is installed, elsewhere refused with the command that installs it."""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless

from skinaudit.images.dicom import read_dicom
from skinaudit.images.dicom_layout import Layout
from skinaudit.images.dicom_plugins import check_plugin, plugin_samples
from skinaudit.images.dicom_syntaxes import syntax_of
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from tests.images.dicom_files import write_dicom

MODULES = {JPEGLossless: "gdcm", JPEGLosslessSV1: "gdcm", JPEGLSLossless: "jpeg_ls", JPEGLSNearLossless: "jpeg_ls"}

PIXELS = np.random.default_rng(1).integers(0, 256, (8, 9, 3), dtype=np.uint8)


def _installed(syntax: UID) -> bool:
    return importlib.util.find_spec(MODULES[syntax]) is not None


def test_a_decoder_that_is_missing_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(ImageRefused) as caught:
        check_plugin(replace(syntax_of(JPEGLSLossless), plugin="no such decoder"))
    assert caught.value.refused
    assert caught.value.reason == (
        "DICOM: the transfer syntax JPEG-LS Lossless Image Compression needs a decoder that is not installed; "
        "pip install 'skinaudit[dicom]'"
    )


@pytest.mark.parametrize("syntax", MODULES)
def test_what_is_installed_is_known(tmp_path: Path, syntax: UID) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, syntax=syntax, frames=[b"\xff\xd8\xff\xd9"])
    with pytest.raises(ImageRefused) as caught:
        read_dicom(path, Reading())
    assert ("pip install" in caught.value.reason) != _installed(syntax)


def test_a_decoder_that_fails_makes_the_picture_unreadable() -> None:
    """A sound header of a JPEG-LS stream, and nothing behind it."""
    header = b"\xff\xf7" + struct.pack(">HBHHB", 17, 8, 8, 9, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    layout = Layout(8, 9, 3, "RGB", planes=False, allocated=8, stored=8, frames=1, frame=0)
    with pytest.raises(ImageRefused, match="compressed pixels are truncated or damaged") as caught:
        plugin_samples(b"\xff\xd8" + header + b"\xff\xd9", layout, syntax_of(JPEGLSLossless))
    assert not caught.value.refused


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("SC_rgb_jpeg_gdcm.dcm", JPEGLosslessSV1),
        ("SC_rgb_jls_lossy_line.dcm", JPEGLSNearLossless),
        ("SC_rgb_jls_lossy_sample.dcm", JPEGLSNearLossless),
    ],
)
def test_files_of_other_programs_look_as_pydicom_shows_them(name: str, syntax: UID) -> None:
    path = get_testdata_file(name, download=False)
    if path is None or not _installed(syntax):
        pytest.skip('needs the extra "dicom" and pydicom\'s sample files')
    np.testing.assert_array_equal(read_dicom(Path(str(path)), Reading()), pixel_array(dcmread(path)))


@pytest.mark.parametrize("syntax", [JPEGLSLossless])
def test_lossless_coding_gives_the_picture_back(tmp_path: Path, syntax: UID) -> None:
    if not _installed(syntax):
        pytest.skip('needs the extra "dicom"')
    data = dcmread(write_dicom(tmp_path / "a.dcm", PIXELS))
    data.compress(syntax, generate_instance_uid=False)
    data.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_dicom(tmp_path / "a.dcm", Reading()), PIXELS)


@pytest.mark.parametrize("syntax", MODULES)
@pytest.mark.parametrize(
    "stream", [b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xf7\0\x11\x08\xff\xff\xff\xff\3" + b"\1\x11\0" * 3]
)
def test_a_header_that_lies_never_reaches_a_decoder(tmp_path: Path, syntax: UID, stream: bytes) -> None:
    if not _installed(syntax):
        pytest.skip('needs the extra "dicom"')
    path = write_dicom(tmp_path / "a.dcm", PIXELS, syntax=syntax, frames=[stream + b"\0" * (len(stream) % 2)])
    with pytest.raises(ImageRefused, match=r"header of the JPEG stream|another process|compressed pixels declare"):
        read_dicom(path, Reading())


@pytest.mark.parametrize("syntax", [JPEGLSLossless])
def test_torn_streams_are_unreadable(tmp_path: Path, syntax: UID) -> None:
    if not _installed(syntax):
        pytest.skip('needs the extra "dicom"')
    data = dcmread(write_dicom(tmp_path / "a.dcm", PIXELS))
    data.compress(syntax, generate_instance_uid=False)
    data.PixelData = data.PixelData[:-40] + b"\xfe\xff\xdd\xe0\0\0\0\0"
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(ImageRefused):
        read_dicom(tmp_path / "a.dcm", Reading())
