"""Archives that hold a program beside its weights, told from plain weights by the names in them alone."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from skinaudit.classifier.archive import check_end

CodeArchive = Literal["TorchScript archive", "torch.export archive"]

_EXPORTED = frozenset({"archive_format", "models/model.json", "serialized_exported_program.json"})


def code_archive(path: Path) -> CodeArchive | None:
    """Say what kind of program a file holds; None for plain weights and for anything that is no archive.

    TorchScript keeps its source under ``code/`` and its constants in ``constants.pkl``; torch.export keeps a graph in
    ``models/model.json`` (before torch 2.8, ``serialized_exported_program.json``). Nothing is read but the directory,
    and that only when it is small.
    """
    if path.suffix == ".safetensors":
        return None
    try:
        with path.open("rb") as file:
            check_end(file)  # else a directory of any length would be read
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return None
    inside = {name.partition("/")[2] for name in names} | set(names)
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return "TorchScript archive"
    return "torch.export archive" if inside & _EXPORTED else None
