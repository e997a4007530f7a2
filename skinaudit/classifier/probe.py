"""Looking at a classifier from outside: plain passes, what a pass does inside, and everything put back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.refusal import ModelRefused

#: Images of one pass.
AT_ONCE = 8
#: What a network raises that cannot take a batch of this shape.
PASS_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, ModelRefused)

_BATCH_NORM = {F.batch_norm, torch.batch_norm}
_SIGMOID = {torch.sigmoid, Tensor.sigmoid, F.sigmoid, torch.special.expit, torch.sigmoid_, Tensor.sigmoid_}


def logits_of(classifier: Classifier, images: Tensor, at_once: int = AT_ONCE) -> Tensor:
    """Outputs (N,K) of images (N,3,h,w) in [0,1], on the CPU, in passes of at most ``at_once`` images."""
    with torch.no_grad():
        return torch.cat([classifier(part).float().cpu() for part in images.split(at_once)])


def largest_difference(first: Tensor, second: Tensor) -> float:
    """Largest absolute difference; two NaN are equal, NaN against a number is infinitely far."""
    apart = (first - second).abs()
    same = (first == second) | (first.isnan() & second.isnan())
    return float(torch.where(same, 0.0, apart.nan_to_num(nan=torch.inf)).max())


@contextmanager
def unchanged(classifier: Classifier) -> Iterator[None]:
    """Put buffers, modes and random states back: a network may change itself when it is called."""
    buffers = {name: buffer.clone() for name, buffer in classifier.named_buffers()}
    device = next(classifier.parameters(), torch.empty(0)).device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            for name, buffer in classifier.named_buffers():
                if name in buffers and buffer.shape == buffers[name].shape:
                    buffer.copy_(buffers[name])
            for module in classifier.modules():
                module.training = False


@contextmanager
def intensity_replaced(classifier: Classifier, layer: nn.Module) -> Iterator[None]:
    """Inside, the network gets what ``layer`` makes of pixels in [0,1] instead of the declared intensity steps."""
    declared = classifier.intensity
    try:
        setattr(classifier, "intensity", layer)  # noqa: B010  # any layer will do here, whatever the attribute's type
        yield
    finally:
        classifier.intensity = declared


class Watch(TorchFunctionMode):
    """Counts what a forward pass does that an evaluation should not do. Gone after the ``with``.

    ``batch_norms`` counts batch norms that took their statistics from the batch. A batch norm over a single row is
    none: instance norms and weight standardisation are written that way. So watch a pass of two images or more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batch_norms = 0
        self._squashed: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = dict(kwargs or {})
        if func in _BATCH_NORM and bool(named.get("training", args[5] if len(args) > 5 else False)):
            seen = args[0] if args else named.get("input")
            self.batch_norms += isinstance(seen, Tensor) and seen.shape[0] > 1
        result = func(*args, **named)
        if func in _SIGMOID and isinstance(result, Tensor) and result.ndim == 2:
            self._squashed = result.detach().clone()
        return result

    def ends_in_sigmoid(self, outputs: Tensor) -> bool:
        """Are these outputs (N,K) what the last sigmoid gave?"""
        last = self._squashed
        return last is not None and last.shape == outputs.shape and torch.equal(last.float().cpu(), outputs.cpu())
