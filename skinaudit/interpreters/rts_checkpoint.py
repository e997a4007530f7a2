"""State of a fit that goes on later: written whole or not at all, taken up by the same fit only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.weights import read_checkpoint


class CheckpointRefused(ValueError):
    """A checkpoint that is damaged or belongs to another fit; the message says what to do."""


@dataclass(frozen=True)
class FitState:
    """Steps taken, loss and parts of each epoch, weights now and at their best, and what Adam remembers."""

    position: int
    epochs: list[tuple[float, dict[str, float]]]
    generator: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: dict[str, object]


def write_state(file: Path, identity: str, state: FitState) -> None:
    """Keep a state.

    Raises:
        OSError: it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.tmp")
    content = {field.name: getattr(state, field.name) for field in fields(state)}
    try:
        torch.save({"identity": identity, **content}, temporary)
    except RuntimeError as error:  # how torch says that a folder cannot be written
        raise OSError(f"{file.name}: cannot be written: {str(error).splitlines()[0]}") from error
    temporary.replace(file)


def read_state(file: Path, identity: str) -> FitState:
    """Take up a state.

    Raises:
        CheckpointRefused: it is damaged, or was left by a fit of other weights, images or settings.
    """
    advice = f"delete {file.name} to begin anew, or name another with --checkpoint"
    try:
        content = read_checkpoint(file)
    except ModelRefused as error:
        raise CheckpointRefused(f"{file.name}: cannot be taken up ({error}); {advice}") from error
    names = {field.name for field in fields(FitState)}
    if not isinstance(content, Mapping) or set(content) != {"identity", *names}:
        raise CheckpointRefused(f"{file.name}: is no checkpoint of a fit; {advice}")
    if content["identity"] != identity:
        raise CheckpointRefused(
            f"{file.name}: belongs to a fit of other weights, images or settings; repeat those, or {advice}"
        )
    return FitState(**{name: content[name] for name in names})
