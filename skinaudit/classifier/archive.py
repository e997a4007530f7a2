"""Files of ``torch.save`` looked at before PyTorch reads them: an archive that could cost memory is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO

from skinaudit.classifier.pickled import MAX_BYTES, NotPlainWeights, check_pickle
from skinaudit.classifier.refusal import ModelRefused

#: One entry for each tensor and a few more.
MAX_ENTRIES = 20_000
MAX_DIRECTORY_BYTES = 4 * 2**20

_MAGIC = b"PK\x03\x04"
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_END64, _END64_BYTES = b"PK\x06\x06", 56


def check_torch_archive(path: Path) -> None:
    """Check a file of ``torch.save`` without unpickling it.

    Raises:
        ModelRefused: It is not such an archive (nor are files from before torch 1.6), its directory contradicts itself
            or the file, an entry is compressed, or its pickle asks for more than tensors in dictionaries and lists.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise NotPlainWeights("no archive of torch 1.6 or newer")
            check_end(file)
            with zipfile.ZipFile(file) as archive:
                pickled = _check_entries(archive.infolist(), path.stat().st_size)
                check_pickle(archive.read(pickled))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise ModelRefused(
            f"{path.name}: not plain weights: {error}. Save the state_dict alone, best as models/model.safetensors."
        ) from error


def check_end(file: BinaryIO) -> None:
    """Hold the end of an archive to the one form that every reader of archives understands in the same way.

    Raises:
        NotPlainWeights: It has another form, or a directory that costs memory.
    """
    size = file.seek(0, 2)
    longest = _END_BYTES + _LOCATOR_BYTES + _END64_BYTES
    file.seek(max(0, size - longest))
    tail = file.read(longest)
    end, locator = tail[-_END_BYTES:], tail[-_END_BYTES - _LOCATOR_BYTES : -_END_BYTES]
    if end[:4] != _END or end[20:] != b"\0\0":
        raise NotPlainWeights("the archive is cut off, or something stands behind its end")
    directory = int.from_bytes(end[12:16], "little")
    if locator[:4] == _LOCATOR:
        if len(tail) < longest or tail[:4] != _END64 or int.from_bytes(locator[8:16], "little") != size - longest:
            raise NotPlainWeights("the archive has a second directory")
        directory = int.from_bytes(tail[40:48], "little")
    if directory > MAX_DIRECTORY_BYTES:
        raise NotPlainWeights(f"the archive's directory has {directory} bytes; at most {MAX_DIRECTORY_BYTES}")


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> zipfile.ZipInfo:
    """Check the directory of an archive of ``size`` bytes and give the entry of the pickle."""
    if len(entries) > MAX_ENTRIES:
        raise NotPlainWeights(f"the archive has {len(entries)} entries; at most {MAX_ENTRIES}")
    # PyTorch looks names up without regard to case.
    names = {entry.orig_filename.lower() for entry in entries}
    if len(names) < len(entries) or not all(name.isascii() and name.isprintable() for name in names):
        raise NotPlainWeights("two entries of the archive have one name, or a name is not plain text")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        raise NotPlainWeights("an entry of the archive is compressed or encrypted; torch.save does neither")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size:
        raise NotPlainWeights(f"an archive of {size} bytes unpacks to {unpacked} bytes")
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl") and entry.filename.count("/") == 1]
    if len(pickles) != 1:
        raise NotPlainWeights("the archive has no data.pkl")
    if pickles[0].file_size > MAX_BYTES:
        raise NotPlainWeights(f"its pickle has {pickles[0].file_size} bytes; at most {MAX_BYTES}")
    return pickles[0]
