"""Bundles and weights made to do harm, and a watch over what happens while they are loaded."""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

import skinaudit
from skinaudit.classifier.config_file import Value
from tests.bundles import change_config, tiny_densenet, usual_transforms

WEIGHTS = "models/model.safetensors"
#: Events of sys.audit that no load may cause: programs, network, writing, unpickling.
_FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "subprocess.", "pty.", "socket.", "urllib."),
    *(
        "pickle.",
        "shutil.",
        "http.",
        "ftplib.",
        "webbrowser.",
        "ctypes.",
        "os.chmod",
        "os.chown",
    ),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink"),
)
_listeners: list[list[tuple[str, tuple[object, ...]]]] = []


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    for heard in _listeners:
        heard.append((event, arguments))


sys.addaudithook(_listen)


@contextmanager
def nothing_happens(bundle: Path, *, command_line: bool = False) -> Iterator[None]:
    """Fail if a program starts, code of the bundle runs, or a file outside of it and of Python is opened.

    Args:
        bundle: what may be read.
        command_line: typer evaluates the annotations of our own functions.
    """
    heard: list[tuple[str, tuple[object, ...]]] = []
    _listeners.append(heard)
    try:
        yield
    finally:
        _listeners.remove(heard)
    places = (bundle, sys.prefix, sys.base_prefix, Path(torch.__file__).parent, Path(skinaudit.__file__).parent)
    at_home = [str(Path(place).resolve()) for place in places]
    for event, arguments in heard:
        assert not event.startswith(_FORBIDDEN), (event, repr(arguments)[:300])
        if event in {"exec", "compile"}:
            code = arguments[0]
            source = str(getattr(code, "co_filename", arguments[-1]))
            assert str(bundle) not in source, (event, source)
            assert command_line or event != "exec" or source.startswith("<frozen") or Path(source).is_file(), (
                event,
                source,
            )
        if event == "import":
            assert str(arguments[0]).split(".")[0] not in {"scripts", "configs", "payload"}, arguments
        if event == "open" and isinstance(arguments[0], str | bytes):
            opened = str(Path(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode()).resolve())
            assert any(opened.startswith(place) for place in at_home), (event, repr(arguments)[:300])


def network(**changes: Value) -> dict[str, Value]:
    """Give a tiny network definition with some arguments changed."""
    return {**tiny_densenet(3), **changes}


def config(**entries: Value) -> Callable[[Path], Path]:
    """Replace entries of inference.json."""
    return lambda bundle: change_config(bundle, "inference.json", entries)


def first_step(**changes: Value) -> Callable[[Path], Path]:
    """Change arguments of the first transform."""
    steps = usual_transforms(32)
    assert isinstance(steps[0], dict)
    return config(preprocessing=[{**steps[0], **changes}, *steps[1:]])


def written(name: str, content: str | bytes, *, instead_of: str | None = None) -> Callable[[Path], Path]:
    """Write a file into the bundle, in place of another one if that is named."""

    def spoil(bundle: Path) -> Path:
        if instead_of is not None:
            (bundle / instead_of).unlink()
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return bundle

    return spoil


def as_yaml(text: str) -> Callable[[Path], Path]:
    """Write inference.yaml in place of inference.json."""
    return written("configs/inference.yaml", text, instead_of="configs/inference.json")


def as_torch(make: Callable[[], bytes]) -> Callable[[Path], Path]:
    """Write model.pt in place of the safetensors file."""

    def spoil(bundle: Path) -> Path:
        return written("models/model.pt", make(), instead_of=WEIGHTS)(bundle)

    return spoil


def grown(name: str, size: int) -> Callable[[Path], Path]:
    """Make a file as long as one likes; nothing of it takes room on the disk."""

    def spoil(bundle: Path) -> Path:
        with (bundle / name).open("ab") as file:
            file.truncate(size)
        return bundle

    return spoil


class Command:
    """An object whose pickle is a shell command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (self.command,)


def saved(content: object) -> bytes:
    """Give what ``torch.save`` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def saved_as_before_1_6(content: object) -> bytes:
    """Give what ``torch.save`` wrote before archives."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def archive(
    pickled: bytes, others: Mapping[str, bytes] | None = None, *, compression: int = zipfile.ZIP_STORED
) -> bytes:
    """Give an archive as torch makes them around any pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("x/data.pkl", pickled)
        for name, content in {"x/version": b"3\n", "x/byteorder": b"little", **(others or {})}.items():
            file.writestr(name, content)
    return buffer.getvalue()


def text(words: str) -> bytes:
    """Give the pickle of a text."""
    return b"X" + struct.pack("<I", len(words)) + words.encode()


def entry(value: bytes, key: bytes = text("a")) -> bytes:
    """Give the pickle of a dictionary with one entry."""
    return b"\x80\x02}" + key + value + b"s."


def called(module: str, name: str, arguments: bytes) -> bytes:
    """Give the pickle of the result of a call with one argument."""
    return f"c{module}\n{name}\n".encode() + arguments + b"\x85R"


def whole(number: int) -> bytes:
    """Give the pickle of a whole number."""
    return b"\x8a\x08" + number.to_bytes(8, "little", signed=True)


def tensor(storage_numbers: int, shape: int, stride: int) -> bytes:
    """Give the pickle of a tensor over a storage of the archive's ``x/data/0`` that claims so many numbers."""
    pid = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + whole(storage_numbers) + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    sizes = whole(shape) + b"\x85" + whole(stride) + b"\x85"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"K\x00" + sizes + b"\x89" + hooks + b"tR"


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """Give a safetensors file with any header."""
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(words) if length is None else length) + words + data


def header(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    """Give one tensor's entry in a safetensors header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def changed_weights(**changes: Tensor | None) -> Callable[[Path], Path]:
    """Change tensors of the bundle's weights by name ("__" for "."); None takes one out."""

    def spoil(bundle: Path) -> Path:
        from safetensors.torch import load_file, save_file

        state = load_file(bundle / WEIGHTS)
        for name, value in changes.items():
            key = name.replace("__", ".")
            state.pop(key, None)
            if value is not None:
                state[key] = value
        save_file(state, bundle / WEIGHTS)
        return bundle

    return spoil


def pickled(content: object, protocol: int = 2) -> bytes:
    """Give the plain pickle of anything."""
    return pickle.dumps(content, protocol=protocol)
