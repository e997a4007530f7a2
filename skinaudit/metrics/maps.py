"""Distances between saliency maps, one number per image.

Every function takes two float tensors (N, h, w) with values in [0, 1] at the interpreter's native resolution and
returns a float tensor (N,) on the device of the first one. A map with NaN or infinity never yields a plausible number:
the torch functions return a value that is not finite, the functions that run on the CPU raise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import Tensor

#: Side of scikit-image's default uniform SSIM window.
SSIM_WINDOW = 7

#: From this value on a pixel counts as marked.
BRIGHT = 0.5

DoubleMap = NDArray[np.float64]


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference per image: (N, h, w) twice -> (N,) in [0, 1]; differentiable.

    Raises:
        ValueError: the maps are not two float tensors of one shape (N, h, w).

    >>> l1(torch.tensor([[[0.0, 0.5], [1.0, 1.0]]]), torch.tensor([[[0.0, 0.0], [1.0, 0.5]]]))
    tensor([0.2500])
    """
    first, second = _flat_pair(a, b)
    return (first - second).abs().mean(dim=1)


def rms(a: Tensor, b: Tensor) -> Tensor:
    """Root of the mean squared difference per image: (N, h, w) twice -> (N,) in [0, 1].

    Differentiable, also where the maps are equal (the gradient is 0 there).

    Raises:
        ValueError: the maps are not two float tensors of one shape (N, h, w).

    >>> rms(torch.tensor([[[0.0, 0.5], [1.0, 1.0]]]), torch.tensor([[[0.0, 0.0], [1.0, 0.5]]]))
    tensor([0.3536])
    """
    first, second = _flat_pair(a, b)
    # vector_norm, because sqrt(mean(.)) has the gradient 0 * inf = NaN at equal maps.
    norm: Tensor = torch.linalg.vector_norm(first - second, dim=1)
    scale: float = first.shape[1] ** -0.5
    return norm * scale


def top_iou(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Intersection over union of the most salient pixels per image: (N, h, w) twice -> (N,) in [0, 1].

    Each map gives exactly ``round(share * h * w)`` pixels (half to even), at least one. Among equal values the pixel
    that comes first in row order is taken, so a constant map gives its first rows. Not differentiable.

    Args:
        a: maps (N, h, w) in [0, 1].
        b: maps of the same shape.
        share: part of the pixels that counts as salient, in (0, 1].

    Raises:
        ValueError: the maps are not two float tensors of one shape (N, h, w), or ``share`` is outside (0, 1].

    >>> a = torch.tensor([[[0.9, 0.8], [0.1, 0.0]]])
    >>> b = torch.tensor([[[0.9, 0.1], [0.8, 0.0]]])
    >>> top_iou(a, b, share=0.5)
    tensor([0.3333])
    """
    shared, count, first, second = _shared_top(a, b, share)
    return _only_finite(shared / (2 * count - shared), first, second)


def top_k_intersection(a: Tensor, b: Tensor, k_share: float) -> Tensor:
    """Part of the most salient pixels of ``a`` that are among those of ``b``: (N, h, w) twice -> (N,) in [0, 1].

    Says how much of a reference map is left where the diagnosis stays and the map is sent elsewhere. Each map gives
    ``round(k_share * h * w)`` pixels as in ``top_iou``, so the order of the maps does not matter, and with an IoU of i
    the part is 2 i / (1 + i). Two unrelated maps share ``k_share`` of them on average. Not differentiable.

    Source: Ghorbani, Abid and Zou, "Interpretation of neural networks is fragile", AAAI 2019.

    Args:
        a: reference maps (N, h, w) in [0, 1].
        b: maps of the same shape.
        k_share: part of the pixels that counts as salient, in (0, 1].

    Raises:
        ValueError: the maps are not two float tensors of one shape (N, h, w), or ``k_share`` is outside (0, 1].

    >>> a = torch.tensor([[[0.9, 0.8], [0.1, 0.0]]])
    >>> b = torch.tensor([[[0.9, 0.1], [0.8, 0.0]]])
    >>> top_k_intersection(a, b, k_share=0.5)
    tensor([0.5000])
    """
    shared, count, first, second = _shared_top(a, b, k_share)
    return _only_finite(shared / count, first, second)


def half_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of the pixels >= half of the map's own maximum: (N, h, w) twice -> (N,) in [0, 1].

    A map whose maximum is 0 marks nothing: two such maps agree (1.0), one beside a map that marks something does not
    (0.0). A constant map above 0 marks every pixel. Not differentiable.

    Raises:
        ValueError: the maps are not two float tensors of one shape (N, h, w).

    >>> a = torch.tensor([[[1.0, 0.5], [0.4, 0.0]]])
    >>> b = torch.tensor([[[0.2, 0.1], [0.1, 0.0]]])
    >>> half_iou(a, b)
    tensor([0.6667])
    """
    first, second = _flat_pair(a, b)
    marked_first, marked_second = _half_mask(first), _half_mask(second)
    shared = (marked_first & marked_second).sum(dim=1).to(first.dtype)
    union = (marked_first | marked_second).sum(dim=1).to(first.dtype)
    overlap = torch.where(union > 0, shared / union.clamp(min=1), 1.0)
    return _only_finite(overlap, first, second)


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman rank correlation per image, ties at their average rank: (N, h, w) twice -> (N,) in [-1, 1].

    A constant map has no order: beside a map that varies the result is 0.0, beside another constant map 1.0. Runs on
    the CPU through SciPy and therefore waits for the device; not differentiable.

    Raises:
        ValueError: the maps are not two float tensors of one shape (N, h, w), or a value is not finite.

    >>> a = torch.tensor([[[0.1, 0.2], [0.3, 0.4]]])
    >>> b = torch.tensor([[[0.1, 0.2], [0.4, 0.3]]])
    >>> spearman(a, b)
    tensor([0.8000])
    """
    return _per_image(a, b, _spearman_of_one)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity per image: (N, h, w) twice -> (N,) in [-1, 1].

    scikit-image's ``structural_similarity`` with ``data_range=1.0`` and its uniform 7 x 7 window, in double precision.
    On a 7 x 7 map (CAM) the window is the map. Where a side is shorter than 7 the largest odd window that fits is used;
    where it is shorter than 3 that window is one pixel, which has no variance, and only the luminance term is left.
    Runs on the CPU and therefore waits for the device; not differentiable.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13, 2004.

    Raises:
        ValueError: the maps are not two float tensors of one shape (N, h, w), or a value is not finite.

    >>> ramp = torch.linspace(0, 1, 49).reshape(1, 7, 7)
    >>> ssim(ramp, ramp), ssim(ramp, ramp.flip(2))
    (tensor([1.]), tensor([0.9602]))
    """
    return _per_image(a, b, _ssim_of_one)


def marks_nothing(maps: Tensor) -> Tensor:
    """Whether no pixel of a map reaches one half: (N, h, w) -> (N,) bool. A map that is not finite marks nothing.

    A map with min-max always reaches 1, unless it is constant; those of RTS and MASK need not.

    >>> marks_nothing(torch.tensor([[[0.1, 0.2]], [[0.1, 0.6]]])).tolist()
    [True, False]
    """
    return ~(maps.flatten(1).amax(1) >= BRIGHT)


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 3 or a.shape[1] * a.shape[2] == 0:
        raise ValueError(
            f"expected two stacks of maps of one shape (N, h, w), got {tuple(a.shape)} and {tuple(b.shape)}; "
            "add the batch axis or compare at one resolution"
        )
    if not (a.is_floating_point() and b.is_floating_point()):
        raise ValueError(f"expected float maps in [0, 1], got {a.dtype} and {b.dtype}; divide 8-bit maps by 255")


def _flat_pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Checked maps as (N, h*w) in at least single precision: a mean over bfloat16 pixels keeps two digits."""
    _check_pair(a, b)
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.flatten(1).to(dtype), b.flatten(1).to(dtype)


def _shared_top(a: Tensor, b: Tensor, share: float) -> tuple[Tensor, int, Tensor, Tensor]:
    """Salient pixels that both maps mark (N,), how many each marks, and both maps as (N, h*w)."""
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share must lie in (0, 1], got {share}; give a part of the pixels such as 0.2")
    first, second = _flat_pair(a, b)
    count = max(1, round(share * first.shape[1]))
    shared = (_top_mask(first, count) & _top_mask(second, count)).sum(dim=1).to(first.dtype)
    return shared, count, first, second


def _top_mask(rows: Tensor, count: int) -> Tensor:
    order = torch.argsort(rows, dim=1, descending=True, stable=True)
    return torch.zeros_like(rows, dtype=torch.bool).scatter_(1, order[:, :count], True)


def _half_mask(rows: Tensor) -> Tensor:
    peak = rows.amax(dim=1, keepdim=True)
    # Doubling is exact; half of the smallest positive number would round to 0 and mark every pixel.
    return (2 * rows >= peak) & (peak > 0)


def _only_finite(values: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """NaN where a map is not finite: a comparison of NaN would otherwise end as an ordinary overlap."""
    finite = torch.isfinite(first).all(dim=1) & torch.isfinite(second).all(dim=1)
    return torch.where(finite, values, torch.nan)


def _per_image(a: Tensor, b: Tensor, measure: Callable[[DoubleMap, DoubleMap], float]) -> Tensor:
    _check_pair(a, b)
    first: DoubleMap = a.detach().to("cpu", torch.float64).numpy()
    second: DoubleMap = b.detach().to("cpu", torch.float64).numpy()
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a map contains NaN or infinity; check the interpreter's normalisation of flat maps")
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return torch.tensor([measure(x, y) for x, y in zip(first, second, strict=True)], dtype=dtype, device=a.device)


def _spearman_of_one(a: DoubleMap, b: DoubleMap) -> float:
    flat_a, flat_b = bool(a.min() == a.max()), bool(b.min() == b.max())
    if flat_a or flat_b:
        return 1.0 if flat_a and flat_b else 0.0
    return float(np.clip(spearmanr(a.ravel(), b.ravel()).statistic, -1.0, 1.0))


def _ssim_of_one(a: DoubleMap, b: DoubleMap) -> float:
    shortest = min(SSIM_WINDOW, *a.shape)
    window = shortest if shortest % 2 else shortest - 1
    # The sample covariance divides by (pixels of the window - 1).
    value = structural_similarity(a, b, win_size=window, data_range=1.0, use_sample_covariance=window > 1)
    return float(value)
