"""Weights of a bundle: read without running anything, fitted strictly to the network, named by their content."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the error that torch.load raises, nothing else of it
from typing import TypeGuard

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from skinaudit.classifier.refusal import ModelRefused

MAX_HEADER_BYTES = 100 * 2**20
MAX_BYTES = 2 * 2**30

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
        ModelRefused: The file is too large, damaged, needs code to be read, or holds something else than tensors.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelRefused(f"{path.name}: {size} bytes; weights may have at most {MAX_BYTES}.")
    if path.suffix == ".safetensors":
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
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise ModelRefused(
                f"{path.name}: the header says {length} bytes, the file has {size}; it is cut off or damaged."
            )
        raw = file.read(length)
    try:
        header = json.loads(raw)
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
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _read_torch(path: Path) -> dict[str, Tensor]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise ModelRefused(f"{path.name}: unpacks to {unpacked} bytes; weights may have at most {MAX_BYTES}.")
    try:
        loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise ModelRefused(
            f"{path.name}: not plain weights ({first}). Save the state_dict alone, best as models/model.safetensors."
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping):
        raise ModelRefused(f"{path.name}: holds a {type(loaded).__name__}, not a state_dict of tensors.")
    state: dict[str, Tensor] = {}
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise ModelRefused(
                f"{path.name}: entry {str(name)[:100]!r} is not a dense tensor. Save the state_dict alone."
            )
        state[name] = value
    return state


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
    told = [f"{len(keys)} {kind}: {', '.join(keys[:5])}" for kind, keys in problems.items() if keys]
    if told:
        raise ModelRefused(f"{name}: the weights do not belong to the network; {'; '.join(told)}.")
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
