"""Networks that torch saved as programs, made to behave like any other network in an audit."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from skinaudit.classifier.refusal import ModelRefused


class ScriptedNetwork(nn.Module):
    """A TorchScript module in evaluation mode."""

    def __init__(self, program: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.program = program.eval()

    def forward(self, x: Tensor) -> object:
        """Run the program as written.

        Its optimiser looks on for the first calls and then computes otherwise: equal images would not give equal bits.
        """
        with torch.jit.optimized_execution(should_optimize=False):  # type: ignore[attr-defined]
            return self.program(x)


class ExportedNetwork(nn.Module):
    """The graph of a torch.export archive; one exported for a fixed batch gets its images in such batches."""

    def __init__(self, exported: torch.export.ExportedProgram) -> None:
        super().__init__()
        self.program = exported.module()
        self.batch = _fixed_batch(exported)

    def forward(self, x: Tensor) -> object:
        """Run the graph on (N,3,h,w)."""
        if self.batch is None:
            return self.program(x)
        short = -len(x) % self.batch
        whole = torch.cat([x, x[-1:].expand(short, *x.shape[1:])]) if short else x
        parts = [self.program(part) for part in whole.split(self.batch)]
        logits = [part[0] if isinstance(part, tuple | list) else part for part in parts]
        return torch.cat(logits)[: len(x)]

    def train(self, mode: bool = True) -> Self:
        """Stay as exported: a graph has the mode that it was exported in, and torch refuses to change it."""
        del mode
        self.training = False
        return self


def _fixed_batch(exported: torch.export.ExportedProgram) -> int | None:
    """Images that the graph takes at once; None when it takes any number."""
    names = exported.graph_signature.user_inputs
    inputs = [node for node in exported.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(inputs) != 1 or not isinstance(inputs[0].meta.get("val"), Tensor) or inputs[0].meta["val"].ndim != 4:
        raise ModelRefused("the exported program must take one tensor of images (N,3,height,width).")
    images = inputs[0].meta["val"].shape[0]
    return images if isinstance(images, int) else None
