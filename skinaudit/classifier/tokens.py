"""The last features that still say where in the image they are: of a convolution, or of a transformer's tokens.

Behind the last attention of a vision transformer often only the class token goes on, so that patch tokens taken there
have no gradient. What the last attention reads has one for every patch: the output of the normalisation before it or,
where that comes behind attention and is added to the tokens (Swin, version 2), their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from skinaudit.classifier.features import ATTENTION, CONVOLUTION, FeaturesUnavailable, LastFeatureMap, without_overload

_NORMALISATION = {
    functional.layer_norm, torch.layer_norm, torch.ops.aten.layer_norm,
    functional.rms_norm, torch.rms_norm, torch.ops.aten.rms_norm,
}  # fmt: skip
_ADDITION = {torch.add, Tensor.add, Tensor.add_, torch.ops.aten.add, torch.ops.aten.add_}
#: Class and register tokens before those of the patches; transformers in use have up to five.
_MOST_PREFIX_TOKENS = 8


@dataclass(frozen=True)
class SpatialFeatures:
    """Features as they stand in the graph, and where their parts lie in the image.

    ``values``: (N,C,h,w) when ``layout`` is "channels first", (N,h,w,C) for "channels last", (N,T,C) for "tokens", of
    which the last h·w are the patches, row by row.
    """

    values: Tensor
    layout: Literal["channels first", "channels last", "tokens"]
    size: tuple[int, int]

    def on_grid(self, values: Tensor) -> Tensor:
        """Anything of the shape of ``values``, as (N,C,h,w)."""
        if self.layout == "channels first":
            return values
        if self.layout == "channels last":
            return values.permute(0, 3, 1, 2)
        patches = self.size[0] * self.size[1]
        return values[:, -patches:].transpose(1, 2).reshape(len(values), -1, *self.size)


class LastSpatialFeatures(LastFeatureMap):
    """As ``LastFeatureMap``, and for networks that end in attention or in layers over tokens, those tokens."""

    def __init__(self) -> None:
        super().__init__()
        self._normalised: Tensor | None = None
        self._attended: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = super().__torch_function__(func, types, args, kwargs)
        called = without_overload(func)
        if called is functional.multi_head_attention_forward:
            self._attended = self._normalised
        elif isinstance(result, Tensor) and result.dim() > 2:
            if called in _ADDITION and self._normalised is not None and any(one is self._normalised for one in args):
                self._normalised = result
            self._note_tokens(called, result)
        return result

    def _note_tokens(self, func: Callable[..., object], result: Tensor) -> None:
        if func in ATTENTION:
            self._attended = self._normalised
        elif func in CONVOLUTION:
            self._normalised = self._attended = None
        elif func in _NORMALISATION and (result.dim() == 3 or self._lies_as_the_image(result)):
            self._normalised = result

    def _lies_as_the_image(self, result: Tensor) -> bool:
        """Is this (N,h,w,C)? Queries and keys, normalised head by head, are (N,heads,T,d)."""
        height, width = self.extent
        if result.dim() != 4:
            return False
        if not height * width:
            return self._normalised is None or self._normalised.dim() == 4
        # The grid of the patches, or a coarser one, rounded up or down.
        return abs(result.shape[1] * width - result.shape[2] * height) < max(height, width)

    def located(self, x: Tensor) -> SpatialFeatures:
        """The last features of the forward pass of images x (N,3,H,W), with their graph.

        Raises:
            FeaturesUnavailable: nothing spatial was seen, or the tokens do not make up a grid.
        """
        tokens = self._attended if self._attended is not None else self._normalised
        if not self.ends_in_tokens or tokens is None or self.came_in_parts:
            features = self.features
            return SpatialFeatures(features, "channels first", (features.shape[2], features.shape[3]))
        if tokens.dim() == 4 and len(tokens) == len(x) and tokens.shape[1] * tokens.shape[2] > 1:
            return SpatialFeatures(tokens, "channels last", (tokens.shape[1], tokens.shape[2]))
        size = self._size_of(tokens, x)
        if size is None:
            raise FeaturesUnavailable(
                f"tokens of shape {tuple(tokens.shape)} for images of {x.shape[2]} × {x.shape[3]} pixels make up no "
                "grid of patches, so there is no feature map to weigh; audit it with --interpreters grad"
            )
        return SpatialFeatures(tokens, "tokens", size)

    def _size_of(self, tokens: Tensor, x: Tensor) -> tuple[int, int] | None:
        """Height and width of the grid of patches: that of the last convolution (the patch embedding), or a square."""
        if tokens.dim() != 3 or len(tokens) != len(x):
            return None
        count = tokens.shape[1]
        square = (isqrt(count), isqrt(count)) if x.shape[2] == x.shape[3] else (0, 0)
        for height, width in (self.extent, square):
            if height * width > 1 and 0 <= count - height * width <= _MOST_PREFIX_TOKENS:
                return height, width
        return None
