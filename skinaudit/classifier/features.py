"""The last feature map of any convolutional classifier, seen during one ordinary forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode

#: Functions that mix tokens by their likeness.
ATTENTION = {
    torch.softmax, Tensor.softmax, functional.softmax, functional.scaled_dot_product_attention,
    torch.ops.aten.softmax, torch.ops.aten.scaled_dot_product_attention,
}  # fmt: skip
CONVOLUTION = {torch.conv2d, functional.conv2d, torch.ops.aten.conv2d}
_LINEAR = {functional.linear, torch.ops.aten.linear}
#: Steps of a head that is affine in the features; any other step (an activation, say) may not be.
_AFFINE = {
    "__getitem__", "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "contiguous", "conv2d", "dropout", "flatten",
    "float", "linear", "mean", "permute", "reshape", "squeeze", "sum", "to", "unsqueeze", "view",
}  # fmt: skip


class FeaturesUnavailable(ValueError):
    """The network has no last convolutional feature map (a transformer, a multi-layer perceptron)."""


def without_overload(func: Callable[..., object]) -> Callable[..., object]:
    """The operator that a torch.export program calls by one of its overloads; any other function as it is."""
    packet: Callable[..., object] = func.overloadpacket if isinstance(func, OpOverload) else func
    return packet


class LastFeatureMap(TorchFunctionMode):
    """Remembers the last (N,C,h,w) tensor with h·w > 1 that stood at or after a convolution of a forward pass.

    Works on functions, not on modules: networks that call ``F.relu`` or ``x.mean`` in ``forward`` (torchvision's
    DenseNet) have no module to hook, and in-place activations break module backward hooks. Gone after the ``with``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._features: Tensor | None = None
        self._extent = (0, 0)
        self._tokens = False
        self._in_parts = False
        self._after: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if func is functional.multi_head_attention_forward:
            self._tokens = True
        if isinstance(result, Tensor):
            self._note(without_overload(func), result)
            # Logits of several passes put under each other: what was seen are the features of the last pass.
            along = (kwargs or {}).get("dim", args[1] if len(args) > 1 else 0)
            self._in_parts |= func is torch.cat and result.dim() == 2 and along == 0
        return result

    def _note(self, func: Callable[..., object], result: Tensor) -> None:
        spatial = result.dim() == 4 and result.shape[2] * result.shape[3] > 1 and result.is_floating_point()
        if (func in ATTENTION and result.dim() > 2) or (func in _LINEAR and result.dim() == 3):
            self._tokens = True
        elif func in CONVOLUTION and spatial:
            self._tokens = False
            self._extent = (result.shape[2], result.shape[3])
        # A convolution says where the pixels are: a pooled (N,1,1,C), as ConvNeXt's last norm sees it, is no map.
        if spatial and result.shape[2] <= self._extent[0] and result.shape[3] <= self._extent[1]:
            self._features = result
            self._after.clear()
        else:
            self._after.append(getattr(func, "__name__", ""))

    @property
    def features(self) -> Tensor:
        """The feature map (N,C,h,w), with its graph.

        Raises:
            FeaturesUnavailable: when tokens or nothing spatial stand between the last convolution and the logits.
        """
        if self._in_parts:
            raise FeaturesUnavailable(
                "this network takes its images in parts, so that CAM sees the features of the last part alone; export "
                "it for any number of images (dynamic_shapes), or audit it with --interpreters grad"
            )
        if self._features is None or self._tokens:
            raise FeaturesUnavailable(
                "this network ends in attention, so CAM and RTS find no feature map; audit it with --interpreters "
                "grad-cam, which reads the tokens as a grid of patches, or with --interpreters grad"
                if self._tokens
                else "this network has no spatial features or cannot be looked into (TorchScript), so there is no "
                "feature map to weigh; audit it with --interpreters grad"
            )
        return self._features

    @property
    def ends_in_tokens(self) -> bool:
        """Did attention or a linear layer over tokens follow the last convolution?"""
        return self._tokens

    @property
    def came_in_parts(self) -> bool:
        """Did the network split its images into several passes, of which only the last was seen?"""
        return self._in_parts

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of what the last spatial convolution gave; zeros without one."""
        return self._extent

    @property
    def head_is_affine(self) -> bool:
        """Did only pooling, reshaping and linear layers follow the feature map? False when in doubt."""
        return all(name in _AFFINE for name in self._after)
