"""The bundle's pre-processing, split where the attacker stands: geometry before, intensity inside the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from monai.data.image_reader import PILReader
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import MetaKeys
from PIL import Image
from torch import Tensor, nn

from skinaudit.classifier.arguments import PreprocessError
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.transforms import read_steps

__all__ = ["Preprocess", "PreprocessError", "read_preprocess"]


@dataclass(frozen=True, eq=False)
class Preprocess:
    """Geometry and intensity of one model.

    ``spatial`` is the fixed (h, w) of what the network gets, in the model's own axis order: MONAI's LoadImage puts
    width before height, so this order differs from the photograph's when ``reverse_indexing`` is set. ``intensity``
    takes pixels (N,3,h,w) in [0,1]; it starts with the factor 255. ``ends_in_float`` says that geometry resamples, so
    that 8-bit pixels round what it gives.
    """

    reverse_indexing: bool
    steps: tuple[Callable[[Tensor], Tensor], ...]
    intensity: nn.Module
    spatial: tuple[int, int]
    ends_in_float: bool
    lines: tuple[str, ...]

    def geometry(self, pixels: np.ndarray) -> Tensor:
        """Run MONAI's own LoadImage reader and geometry on decoded pixels.

        Args:
            pixels: (H,W,3) uint8, as the photograph lies.

        Returns:
            (3,h,w) float32 in model orientation, about [0,255]; bicubic resampling may overshoot.

        Raises:
            ValueError: The array is not (H,W,3) uint8.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise ValueError(f"pixels: expected (H,W,3) uint8, got {pixels.shape} {pixels.dtype}")
        reader = PILReader(reverse_indexing=self.reverse_indexing)
        array, meta = reader.get_data(Image.fromarray(pixels))
        return self._through(MetaTensor(torch.from_numpy(array.astype(np.float32)), meta=meta))

    def differentiable(self, picture: Tensor) -> Tensor:
        """Run the same geometry with a graph to the picture; every step of it is linear in the pixels.

        Args:
            picture: (3,H,W) float, about [0,255], in model orientation, as a photograph of any size lies there.

        Returns:
            (3,h,w) float32 on the picture's device: what `geometry` gives for the same pixels.
        """
        return self._through(MetaTensor(picture.permute(1, 2, 0), meta={MetaKeys.ORIGINAL_CHANNEL_DIM: -1}))

    def _through(self, image: Tensor) -> Tensor:
        for step in self.steps:
            image = step(image)
        plain = image.as_tensor() if isinstance(image, MetaTensor) else image
        return plain.to(torch.float32).contiguous()

    def shown(self, pixels: np.ndarray) -> Tensor:
        """Round and clamp the geometry's result to 8 bits: (3,h,w) uint8, what the attack starts from."""
        return self.geometry(pixels).round().clamp(0, 255).to(torch.uint8)

    def to_display(self, tensor: Tensor) -> Tensor:
        """Turn (…,h,w) in model orientation so that it lies as the photograph does."""
        return tensor.transpose(-1, -2) if self.reverse_indexing else tensor

    def from_display(self, tensor: Tensor) -> Tensor:
        """Turn (…,h,w) as the photograph lies into model orientation."""
        return tensor.transpose(-1, -2) if self.reverse_indexing else tensor

    def describe(self) -> tuple[str, ...]:
        """One plain line for each transform, with the side of the attack on which it stands."""
        return self.lines


def read_preprocess(transforms: Value) -> Preprocess:
    """Read MONAI transforms given as literal dicts, in array or dictionary form (a list, or a Compose that holds one).

    Raises:
        PreprocessError: A transform, argument or order is not one that can be split; or no step fixes the size.
    """
    steps = read_steps(transforms)
    height, width = steps.spatial
    if height is None or width is None:
        raise PreprocessError(
            "preprocessing: the image's size stays free, but a fixed size is needed. Add a Resize with two numbers in "
            "spatial_size, or a ResizeWithPadOrCrop."
        )
    preprocess = Preprocess(
        reverse_indexing=steps.reverse_indexing,
        steps=tuple(steps.geometry),
        intensity=nn.Sequential(*steps.intensity),
        spatial=(height, width),
        ends_in_float=steps.resampled,
        lines=tuple(steps.lines),
    )
    _try_out(preprocess)
    return preprocess


def _try_out(preprocess: Preprocess) -> None:
    """Run the geometry once, so that what MONAI refuses is refused here and not at the first photograph."""
    try:
        size = tuple(preprocess.geometry(np.zeros((37, 53, 3), dtype=np.uint8)).shape)
    except (ValueError, RuntimeError, TypeError) as error:
        raise PreprocessError(f"preprocessing: MONAI cannot run these steps: {error}") from error
    if size != (3, *preprocess.spatial):
        raise PreprocessError(f"preprocessing: expected images of size {(3, *preprocess.spatial)}, MONAI gives {size}.")
