"""Weights of a bundle: read without running anything, fitted strictly to the network, named by their content."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the error that torch.load raises, nothing else of it
from typing import TypeGuard

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from skinaudit.classifier.archive import check_torch_archive
from skinaudit.classifier.config_file import parse_json
from skinaudit.classifier.files import size_of_file
from skinaudit.classifier.refusal import ModelRefused

#: Header of a safetensors file: enough for 40 000 tensors.
MAX_HEADER_BYTES = 4 * 2**20
MAX_BYTES = 2 * 2**30
MAX_DIMENSIONS = 8

#: What torch raises on damaged files.
_UNREADABLE = (
    *(UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError),
)
#: safetensors name of a type -> bytes of one element.
_ELEMENT_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8"), 1),
    **dict.fromkeys(("F16", "BF16", "I16"), 2),
    **dict.fromkeys(("F32", "I32"), 4),
    **dict.fromkeys(("F64", "I64"), 8),
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a weights file: safetensors by its ending, anything else with ``torch.load(weights_only=True)``.

    There is no fallback to unsafe loading (CVE-2025-32434).

    Returns:
        Name -> tensor on the CPU. One level of nesting under "state_dict" or "model" is undone.

    Raises:
        ModelRefused: The file is too large, damaged, needs code to be read, or holds something else than tensors; or
            its path is no UTF-8, which the libraries that read weights cannot open.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ModelRefused(f"{path.name}: the file's path is not UTF-8; rename the file or its folder.") from error
    if path.suffix == ".safetensors":
        size_of_file(path, MAX_BYTES)
        check_safetensors_header(path)
        try:
            return load_file(path, device="cpu")
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise ModelRefused(f"{path.name}: damaged safetensors file: {error}") from error
    return _read_torch(path)


def check_safetensors_header(path: Path) -> None:
    """Check a safetensors header before any tensor is read.

    The format is eight bytes of header length, a JSON header and the data; every tensor must have a known type and
    fill its own stretch of the data, without gap or overlap.

    Raises:
        ModelRefused: One of these does not hold.
    """
    size = size_of_file(path, MAX_BYTES)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise ModelRefused(
                f"{path.name}: the header says {length} bytes, the file has {size}, at most {MAX_HEADER_BYTES} are "
                "accepted; it is cut off or damaged."
            )
        raw = file.read(length)
    try:
        header = parse_json(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{path.name}: the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise ModelRefused(f"{path.name}: the header is not an object.")
    spans = sorted(_span(path.name, name, entry) for name, entry in header.items() if name != "__metadata__")
    ends = [(0, 0), *spans, (size - 8 - length, size - 8 - length)]
    if any(end != start for (_, end), (start, _) in pairwise(ends)):
        raise ModelRefused(f"{path.name}: the tensors do not fill the file exactly; it is cut off or damaged.")


def _span(file: str, name: str, entry: object) -> tuple[int, int]:
    """Give (start, end) of one tensor's data after checking it against type and shape."""
    fields = entry if isinstance(entry, dict) else {}
    shape, offsets = fields.get("shape"), fields.get("data_offsets")
    element = _ELEMENT_BYTES.get(str(fields.get("dtype")))
    if element is None or not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        raise ModelRefused(f"{file}: tensor {name[:100]!r} has no readable type, shape and place in the header.")
    start, end = offsets
    if end - start != math.prod(shape) * element:
        raise ModelRefused(f"{file}: tensor {name[:100]!r} has {end - start} bytes, its shape {shape} needs others.")
    return start, end


def _whole_numbers(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= MAX_DIMENSIONS
        and all(type(item) is int and 0 <= item <= MAX_BYTES for item in value)
    )


def _read_torch(path: Path) -> dict[str, Tensor]:
    loaded: object = read_checkpoint(path)
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    return tensors_of(loaded, path.name)


def read_checkpoint(path: Path) -> object:
    """Load what a file of torch holds with ``torch.load(weights_only=True)``, whatever it is.

    Raises:
        ModelRefused: The file is too large, damaged, or needs code to be read.
    """
    size_of_file(path, MAX_BYTES)
    check_torch_archive(path)
    try:
        # Mapped, so that a tensor that claims more bytes than the file has meets the end of the file.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except _UNREADABLE as error:
        raise ModelRefused(f"{path.name}: not plain weights: {_why_not(error)}") from error


def _why_not(error: Exception) -> str:
    """What stands in the way of reading a file as data, without torch's advice to read it unsafely."""
    first = str(error).strip().split("\n")[0][:200]
    return f"{first}. Save the state_dict alone, best as models/model.safetensors."


def tensors_of(loaded: object, name: str) -> dict[str, Tensor]:
    """Narrow what was loaded to name -> tensor.

    Raises:
        ModelRefused: It is not a mapping of names to dense tensors.
    """
    if not isinstance(loaded, Mapping):
        raise ModelRefused(f"{name}: holds a {type(loaded).__name__}, not a state_dict of tensors.")
    state: dict[str, Tensor] = {}
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise ModelRefused(f"{name}: entry {str(key)[:100]!r} is not a dense tensor. Save the state_dict alone.")
        if _bytes_of(value) > value.untyped_storage().nbytes():
            raise ModelRefused(
                f"{name}: entry {key[:100]!r} of shape {tuple(value.shape)} repeats stored values. Save a copy of it."
            )
        state[key] = value
    total = sum(_bytes_of(value) for value in state.values())
    if total > MAX_BYTES:
        raise ModelRefused(f"{name}: its tensors take {total} bytes; at most {MAX_BYTES} are accepted.")
    return state


def _bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def check_weights(own: Mapping[str, Tensor], state: Mapping[str, Tensor], name: str) -> None:
    """Check that weights belong to a network, by names, shapes and types alone.

    Args:
        own: name -> tensor of the network; the tensors may be without memory.
        state: name -> tensor of the file.
        name: how messages call the weights.

    Raises:
        ModelRefused: Names or shapes differ, or a type cannot be taken.
    """
    problems = {
        "missing": sorted(set(own) - set(state)),
        "unexpected": sorted(set(state) - set(own)),
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
            for key in sorted(set(own) & set(state))
            if state[key].shape != own[key].shape
        ],
        "of another type": [
            f"{key} {state[key].dtype}" for key in sorted(set(own) & set(state)) if _kind(state[key]) != _kind(own[key])
        ],
    }
    told = [
        f"{len(keys)} {kind}: {', '.join(key[:100] for key in keys[:5])}" for kind, keys in problems.items() if keys
    ]
    if told:
        raise ModelRefused(f"{name}: the weights do not belong to the network; {'; '.join(told)}.")


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Copy weights into a network in place, after strict checks. Half-precision values take the network's type.

    Args:
        network: what receives the weights.
        state: name -> tensor.
        name: how messages call the weights.

    Raises:
        ModelRefused: Names or shapes differ, a type cannot be taken, or a value is NaN or infinite.
    """
    own: dict[str, Tensor] = network.state_dict()
    check_weights(own, state, name)
    fitted = {key: value.to(own[key].dtype) for key, value in state.items()}
    broken = [key for key, value in fitted.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise ModelRefused(
            f"{name}: NaN or infinite values in {', '.join(sorted(broken)[:5])}. Export the model again."
        )
    network.load_state_dict(fitted, strict=True)


def _kind(tensor: Tensor) -> str:
    if tensor.is_complex() or tensor.is_quantized:
        return str(tensor.dtype)
    return "float" if tensor.is_floating_point() else "whole"


def tensor_digest(state: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and bytes of a network's tensors: the name or format of the file plays no part.

    Args:
        state: name -> tensor, best ``network.state_dict()`` after ``fit_weights``.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        head = json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode()
        digest.update(len(head).to_bytes(8, "little") + head)
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
