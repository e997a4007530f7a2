"""Files full of things that tell who a patient is, and a search for these in whatever was written."""

from __future__ import annotations

import base64
import io
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pypdf import PdfReader
from pypdf.generic import StreamObject

from tests.images.dicom_files import patient_dataset

#: DICOM attribute -> value. What is looked for is the value, without the signs that only DICOM knows.
DICOM = {
    "PatientName": "Quastenflosser^Ottilie",
    "PatientID": "PID-7741902",
    "PatientBirthDate": "19310229",
    "OtherPatientNames": "Zwiebelfisch^Ottilie",
    "PatientBirthName": "Kaulquappe",
    "PatientMotherBirthName": "Rohrdommel",
    "PatientAddress": "Krummlinde 17b Entenhausen",
    "PatientTelephoneNumbers": "+49-5555-019931",
    "PatientComments": "allergic to molefoam",
    "ReferringPhysicianName": "Haubentaucher^Prof",
    "PerformingPhysicianName": "Wiedehopf^Dr",
    "OperatorsName": "Mauersegler",
    "InstitutionName": "Klinik Sonnentau",
    "InstitutionAddress": "Moorweg 99 Sonnentau",
    "InstitutionalDepartmentName": "Station Bergamotte",
    "StationName": "DERMACAM-77",
    "DeviceSerialNumber": "SN-4485-QX",
    "AccessionNumber": "ACC-9958120",
    "StudyID": "STY-66120",
    "StudyDate": "20190731",
    "StudyTime": "113355.778812",
    "StudyDescription": "Nevus of Frau Q",
    "SeriesDescription": "left shoulderblade of FQ",
    "ImageComments": "seen by Wiedehopf twice",
    "ProtocolName": "protocol-brachvogel",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.771.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.771.2",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.771.3",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.771.4",
}
PRIVATE = {"private text": "PRIVATE-HEKTOR-5", "private bytes": "PRIVATE-BYTES-6", "source title": "AE-BACHSTELZE"}
#: Where in the other formats -> text.
ELSEWHERE = {
    "EXIF artist": "Fotograf Pirol",
    "EXIF camera serial number": "BODY-882-113-X",
    "EXIF maker note": "MAKERNOTE-GIMPEL",
    "EXIF date": "2018:04:05 06:07:08",
    "EXIF GPS area": "Praxis am Erlengrund",
    "JPEG comment": "comment by Girlitz",
    "JPEG after its end": "TRAILER-STIEGLITZ",
    "XMP": "xmp-creator-Zeisig",
    "PNG text": "Bilddatei von Amsel",
    "PNG compressed text": "Befund von Drossel",
    "PNG international text": "Überweisung von Fink",
    "PNG EXIF": "png-exif-Star",
    "TIFF document name": "Akte Regenpfeifer",
    "TIFF host computer": "PRAXIS-PC-KIEBITZ",
    "TIFF private tag": "tiff-tag-Uferschnepfe",
    "WebP EXIF": "webp-exif-Rotschenkel",
}
#: Names of files and folders: nowhere in an audit, and in predict and explain, which print them, nothing beside them.
NAMES = {
    "folder": "Patientin_Bekassine",
    "DICOM file": "IMG_Sumpfohreule_1931",
    "JPEG file": "foto-Waldkauz-links",
    "PNG file": "scan-Schleiereule",
    "torn file": "defekt-Sperlingskauz",
}
#: Degrees, minutes and seconds as EXIF holds them.
LATITUDE = ((47, 1), (11, 1), (81517, 1000))


@dataclass(frozen=True)
class Identifier:
    """Something that tells who a patient is, and the bytes it can be written as (in lower case where it is text)."""

    where: str
    forms: tuple[bytes, ...]


def identifiers(texts: dict[str, str]) -> list[Identifier]:
    """Texts in UTF-8, Latin-1, UTF-16, hexadecimal and the two inner alignments of Base64 that stay readable."""
    found = []
    for where, text in texts.items():
        forms = {_folded(form) for variant in {text, text.replace("^", " ")} for form in _forms(variant)}
        found.append(Identifier(where, tuple(sorted(forms))))
    return found


def gps() -> Identifier:
    """The latitude, in either byte order."""
    packed = {struct.pack(order + "6I", *(number for pair in LATITUDE for number in pair)) for order in "<>"}
    return Identifier("EXIF GPS latitude", tuple(sorted(_folded(form) for form in packed)))


def metadata() -> list[Identifier]:
    """All that stands inside the files."""
    return [*identifiers(DICOM | PRIVATE | ELSEWHERE), gps()]


def plant(folder: Path) -> None:
    """Write eight small pictures, three of them damaged, with everything in them."""
    below = folder / NAMES["folder"]
    below.mkdir(parents=True)
    plant_dicom(below / f"{NAMES['DICOM file']}.dcm", 1)
    plant_jpeg(below / f"{NAMES['JPEG file']}.jpg", 2)
    plant_png(below / f"{NAMES['PNG file']}.png", 3)
    plant_tiff(folder / "a.tif", 4)
    plant_webp(folder / "b.webp", 5)
    whole = (below / f"{NAMES['DICOM file']}.dcm").read_bytes()
    (below / f"{NAMES['torn file']}.dcm").write_bytes(whole[: len(whole) - 900])
    # A word where a number is expected: the errors of parsers quote what they found.
    damaged = whole.replace(_ONE_FRAME, _ONE_FRAME[:6] + b"\x0c\x00" + DICOM["PatientID"].encode() + b" ")
    (below / f"{NAMES['torn file']}2.dcm").write_bytes(damaged)
    (below / f"{NAMES['torn file']}3.png").write_bytes((below / f"{NAMES['PNG file']}.png").read_bytes()[:-400])


#: Number of Frames, explicit little endian: "1 ".
_ONE_FRAME = b"\x28\x00\x08\x00IS\x02\x001 "


def plant_dicom(path: Path, seed: int) -> None:
    data = patient_dataset(photograph(seed))
    for attribute, value in DICOM.items():
        setattr(data, attribute, value)
    data.NumberOfFrames = 1
    block = data.private_block(0x0011, "HEKTOR", create=True)
    block.add_new(1, "LO", PRIVATE["private text"])
    block.add_new(2, "OB", PRIVATE["private bytes"].encode() + b"\0")
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.SourceApplicationEntityTitle = PRIVATE["source title"]
    data.save_as(path, enforce_file_format=True)


def plant_jpeg(path: Path, seed: int) -> None:
    exif = Image.Exif()
    exif[0x013B] = ELSEWHERE["EXIF artist"]
    inner = exif.get_ifd(0x8769)
    inner[0x9003], inner[0xA431] = ELSEWHERE["EXIF date"], ELSEWHERE["EXIF camera serial number"]
    inner[0x927C] = ELSEWHERE["EXIF maker note"].encode()
    position = exif.get_ifd(0x8825)
    position[1], position[2] = "N", tuple(TiffImagePlugin.IFDRational(*pair) for pair in LATITUDE)
    position[0x1C] = b"ASCII\0\0\0" + ELSEWHERE["EXIF GPS area"].encode()
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><creator>{ELSEWHERE["XMP"]}</creator></x:xmpmeta>'.encode()
    picture = Image.fromarray(photograph(seed))
    picture.save(path, "JPEG", quality=95, exif=exif, xmp=xmp, comment=ELSEWHERE["JPEG comment"])
    with path.open("ab") as stream:
        stream.write(ELSEWHERE["JPEG after its end"].encode())


def plant_png(path: Path, seed: int) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", ELSEWHERE["PNG text"])
    notes.add_text("Comment", ELSEWHERE["PNG compressed text"] * 3, zip=True)
    notes.add_itxt("Title", ELSEWHERE["PNG international text"])
    exif = Image.Exif()
    exif[0x013B] = ELSEWHERE["PNG EXIF"]
    Image.fromarray(photograph(seed)).save(path, "PNG", pnginfo=notes, exif=exif)


def plant_tiff(path: Path, seed: int) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[269], tags[316] = ELSEWHERE["TIFF document name"], ELSEWHERE["TIFF host computer"]
    tags[65001] = ELSEWHERE["TIFF private tag"]
    tags.tagtype[65001] = 2
    Image.fromarray(photograph(seed)).save(path, "TIFF", tiffinfo=tags)


def plant_webp(path: Path, seed: int) -> None:
    exif = Image.Exif()
    exif[0x013B] = ELSEWHERE["WebP EXIF"]
    Image.fromarray(photograph(seed)).save(path, "WEBP", lossless=True, exif=exif)


def photograph(seed: int) -> NDArray[np.uint8]:
    """Soft random colours, 40 x 40 pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((40, 40), Image.Resampling.BICUBIC))


def leaks(folder: Path, wanted: list[Identifier]) -> list[tuple[str, str]]:
    """(file, where the identifier came from) for all that is found in the files below a folder, or in their names."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        texts = [relative.encode()] + ([*contents(path)] if path.is_file() else [])
        found += [(relative, one.where) for one in within(texts, wanted)]
    return found


def within(texts: list[bytes], wanted: list[Identifier]) -> list[Identifier]:
    """Those that stand in one of the texts."""
    folded = [_folded(text) for text in texts]
    return [one for one in wanted if any(form in text for text in folded for form in one.forms)]


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is compressed in it."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"\x89PNG"):
        yield from _png_texts(data)
    elif data.startswith(b"%PDF-"):
        yield from _pdf_texts(data)
    elif data.startswith(b"SQLite format 3\0"):
        yield from _database_texts(path)


def _png_texts(data: bytes) -> Iterator[bytes]:
    place = 8
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        if kind == b"IDAT":
            pass  # pixels
        elif (start := body.find(b"\x78")) >= 0:
            for at in range(start, len(body)):
                try:
                    yield zlib.decompressobj().decompress(body[at:])
                except zlib.error:
                    continue
        place += 12 + length


def _pdf_texts(data: bytes) -> Iterator[bytes]:
    reader = PdfReader(io.BytesIO(data))
    for number in range(1, int(reader.trailer["/Size"])):
        thing = reader.get_object(number)
        yield repr(thing).encode()
        if isinstance(thing, StreamObject):
            yield thing.get_data()
    for page in reader.pages:
        yield page.extract_text().encode()
    yield repr(reader.metadata).encode()


def _database_texts(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from (cell if isinstance(cell, bytes) else str(cell).encode() for cell in row)


def _forms(text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield raw
    yield text.encode("latin-1")
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    yield raw.hex().encode()
    for lead in range(3):
        # What Base64 makes of it at each alignment, without the signs that its neighbours share.
        yield base64.b64encode(b"\0" * lead + raw)[4 if lead else 0 :].rstrip(b"=")[:-1]


def _folded(data: bytes) -> bytes:
    return data.lower()
