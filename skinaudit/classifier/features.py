"""The last feature map of any convolutional classifier, seen during one ordinary forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from types import TracebackType

_ATTENTION = {torch.softmax, Tensor.softmax, functional.softmax, functional.scaled_dot_product_attention}
_CONVOLUTION = {torch.conv2d, functional.conv2d}


class FeaturesUnavailable(ValueError):
    """The network has no last convolutional feature map (a transformer, a multi-layer perceptron)."""


class LastFeatureMap(TorchFunctionMode):
    """Remembers the last (N,C,h,w) tensor with h·w > 1 that a forward pass produced.

    Works on functions, not on modules: networks that call ``F.relu`` or ``x.mean`` in ``forward`` (torchvision's
    DenseNet) have no module to hook, and in-place activations break module backward hooks. Gone after the ``with``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._features: Tensor | None = None
        self._attention = False

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if not isinstance(result, Tensor) or result.dim() < 3:
            return result
        if func in _ATTENTION:
            self._attention = True
        elif func in _CONVOLUTION:
            self._attention = False
        if result.dim() == 4 and result.shape[2] * result.shape[3] > 1 and result.is_floating_point():
            self._features = result
        return result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)

    @property
    def features(self) -> Tensor:
        """The feature map (N,C,h,w), with its graph.

        Raises:
            FeaturesUnavailable: when attention or nothing spatial stands between the last convolution and the logits.
        """
        if self._features is None or self._attention:
            raise FeaturesUnavailable(
                "this network ends in attention or has no spatial features, so CAM has no map to weigh; "
                "audit it with --interpreters grad"
            )
        return self._features
