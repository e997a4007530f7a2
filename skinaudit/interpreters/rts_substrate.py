"""φ(x; m) of RTS: an image whose masked-out part is replaced by blur, noise or one colour."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

#: Standard deviation of the blur, as a share of the shorter side: 10 pixels of 224 (Dabkowski and Gal 2017).
_BLUR_SHARE = 10 / 224
#: Standard deviation of the noise around the image's own mean colour, pixels in [0,1].
_NOISE = 0.2
#: The blur is made at a quarter of the resolution, where it looks the same and costs a tenth.
_COARSE = 4


def keep_masked(x: Tensor, masks: Tensor, substrate: Tensor) -> Tensor:
    """x·m + substrate·(1−m): images (N,3,H,W), masks (N,h,w) in [0,1] enlarged to H × W, substrate as x."""
    wide = functional.interpolate(masks[:, None], x.shape[2:], mode="bilinear", align_corners=False)
    return substrate + wide * (x - substrate)


def substrates(x: Tensor, seeds: list[int]) -> Tensor:
    """A replacement for each image (N,3,H,W) in [0,1]: blur, noise or one colour, chosen and drawn by its own seed."""
    blurred = blur(x)
    rows = []
    for row, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        kind = int(torch.randint(3, (), generator=generator))
        if kind == 0:
            rows.append(blurred[row])
        elif kind == 1:
            noise = torch.randn(x.shape[1:], generator=generator).to(x) * _NOISE
            rows.append((x[row].mean((1, 2), keepdim=True) + noise).clamp(0, 1))
        else:
            rows.append(torch.rand((3, 1, 1), generator=generator).to(x).expand_as(x[row]))
    return torch.stack(rows)


def blur(x: Tensor, share: float = _BLUR_SHARE) -> Tensor:
    """Gaussian blur of images (N,C,H,W), standard deviation ``share`` × the shorter side; borders are repeated."""
    height, width = x.shape[2:]
    factor = _COARSE if min(height, width) >= 16 * _COARSE else 1
    coarse = functional.avg_pool2d(x, factor, ceil_mode=True) if factor > 1 else x
    deviation = max(share * min(height, width) / factor, 0.1)
    radius = max(1, math.ceil(3 * deviation))
    places = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = (-0.5 * (places / deviation).square()).exp()
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    wide = functional.pad(coarse, (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(wide, kernel, groups=x.shape[1])
    both = functional.conv2d(rows, kernel.transpose(2, 3), groups=x.shape[1])
    return functional.interpolate(both, (height, width), mode="bilinear", align_corners=False) if factor > 1 else both
