"""The file of a fitted mask generator: written whole or not at all, read without trust."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from skinaudit.classifier.files import size_of_file
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.weights import check_safetensors_header, fit_weights, read_weights
from skinaudit.interpreters.rts_network import MaskGenerator

MAX_BYTES = 64 * 2**20
_FORMAT = "skinaudit-rts-1"


class RtsFileRefused(ValueError):
    """The file is damaged, was fitted for another model, or does not fit this one; the message says which."""


def write_generator(file: Path, generator: MaskGenerator, model_digest: str) -> str:
    """Store a generator as 16-bit floats and give the SHA-256 of the file.

    Raises:
        OSError: it cannot be written.
    """
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous().clone()
        for name, tensor in generator.state_dict().items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    try:
        save_file(state, temporary, metadata={"format": _FORMAT, "model_digest": model_digest})
    except SafetensorError as error:
        raise OSError(f"{file.name}: cannot be written: {error}") from error
    temporary.chmod(0o644)  # safetensors leaves it readable by its owner alone
    temporary.replace(file)
    return file_digest(file)


def file_digest(file: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_generator(file: Path, generator: MaskGenerator, model_digest: str, stated_digest: str | None = None) -> None:
    """Fill a generator with the weights of a file.

    Args:
        file: what ``write_generator`` left.
        generator: of the shapes that this model asks for; filled in place.
        model_digest: of the classifier; the file must have been fitted for it.
        stated_digest: SHA-256 that the bundle's metadata states of the file, so that a run on other maps is another
            run; None where there is no metadata.

    Raises:
        RtsFileRefused: too large, damaged, fitted for another model, other names or shapes, or a value is not finite.
    """
    try:
        size_of_file(file, MAX_BYTES)
        if stated_digest is not None and stated_digest != file_digest(file):
            raise RtsFileRefused(
                f"{file.name}: is not the file that configs/metadata.json names; run `skinaudit fit-rts` again"
            )
        check_safetensors_header(file)
        with safe_open(file, framework="pt") as opened:
            stated = opened.metadata() or {}
        if stated.get("format") != _FORMAT:
            raise RtsFileRefused(f"{file.name}: is no fitted RTS of this version; run `skinaudit fit-rts` again")
        if stated.get("model_digest") != model_digest:
            raise RtsFileRefused(
                f"{file.name}: was fitted for other weights ({stated.get('model_digest', '')[:12]}, the model is "
                f"{model_digest[:12]}); run `skinaudit fit-rts` again"
            )
        state = read_weights(file)
        wide = [name for name, tensor in state.items() if tensor.dtype not in {torch.float16, torch.int64}]
        if wide:
            raise RtsFileRefused(f"{file.name}: {wide[0][:100]!r} is {state[wide[0]].dtype}, expected 16-bit floats")
        fit_weights(generator, state, file.name)
    except (ModelRefused, SafetensorError) as error:
        raise RtsFileRefused(str(error)) from error
