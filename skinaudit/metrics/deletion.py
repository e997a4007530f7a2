"""Deletion and insertion curves: does the class go, or come, with the pixels that a map calls important?"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def importance_order(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Place of every pixel from the most to the least important: maps (N,h,w) enlarged to ``size`` -> (N,H·W) int64.

    Equal values keep the order of rows.

    >>> importance_order(torch.tensor([[[0.1, 0.9], [0.5, 0.2]]]), (2, 2)).tolist()
    [[1, 2, 3, 0]]
    """
    wide = maps[:, None]
    if maps.shape[1:] != size:
        wide = functional.interpolate(wide, size, mode="bilinear", align_corners=False)
    return wide.flatten(1).argsort(dim=1, descending=True, stable=True)


def replacements(image: Tensor, substrate: Tensor, order: Tensor, steps: int) -> Tensor:
    """The image whose first 0, 1/steps, …, 1 of the pixels in ``order`` come from the substrate: (steps+1,C,H,W).

    Deletion replaces the image by a substrate. Insertion is the same with both exchanged.

    Args:
        image: (C,H,W).
        substrate: likewise.
        order: (H·W,), as ``importance_order`` gives it for one image.
        steps: at least 1.

    Source: Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models", BMVC 2018, section 4.

    Raises:
        ValueError: shapes differ, or there is no step.
    """
    if image.shape != substrate.shape or order.shape != (image.shape[1] * image.shape[2],) or steps < 1:
        raise ValueError(
            f"expected image and substrate (C,H,W), an order (H·W,) and steps ≥ 1, got {tuple(image.shape)}, "
            f"{tuple(substrate.shape)}, {tuple(order.shape)} and {steps}"
        )
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    ends = torch.tensor([round(step / steps * len(order)) for step in range(steps + 1)], device=order.device)
    replaced = (rank.view(image.shape[1:])[None] < ends[:, None, None])[:, None]
    return torch.where(replaced, substrate, image)


def area_under_curve(scores: Tensor) -> Tensor:
    """Area under curves (…,steps+1) over [0,1], by trapezoids: (…,).

    >>> area_under_curve(torch.tensor([1.0, 0.5, 0.0])).item()
    0.5
    """
    return torch.trapezoid(scores, dim=-1) / (scores.shape[-1] - 1)
