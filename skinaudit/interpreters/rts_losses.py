"""What the mask generator of RTS is fitted to: small, smooth masks that carry the class and whose removal destroys it.

Dabkowski and Gal, "Real time image saliency for black box classifiers", NeurIPS 2017, equations 2 and 5. The paper
asks for −log f_c and f_c^λ; the weights that were published with the attack belong to the margin forms below.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

#: Published settings for skin lesions (Zhang et al., USENIX Security 2020, research code).
AREA_WEIGHT = 8.0
AREA_POWER = 0.3
SMOOTHNESS_WEIGHT = 0.5
PRESERVER_WEIGHT = 0.3
DESTROYER_WEIGHT = 1.0
PRESERVER_MARGIN = 1.0
DESTROYER_MARGIN = 5.0
#: Power λ₄ of the destroyer in the paper (its section 3).
DESTROYER_POWER = 0.2
#: Edge of a cut mask, as a share of the mask's standard deviation, and its least width.
CUT_SOFTNESS = 0.25
_NARROWEST = 1e-3
#: Below this value a mask is empty: the derivative of m^0.3 has no bound at 0.
_EMPTY = 1e-5


def total_variation(masks: Tensor, power: float = 2.0) -> Tensor:
    """Σ |m_{i+1,j} − m_{i,j}|^power + Σ |m_{i,j+1} − m_{i,j}|^power: masks (N,h,w) -> (N,).

    Each derivative is summed over every pair of neighbours of its own direction. Power 1 is the anisotropic total
    variation; power 2, the default, hardly depends on the resolution of a soft edge.

    >>> total_variation(torch.tensor([[[0.0, 1.0], [0.0, 0.5]]])).tolist()
    [1.5]
    """
    down = (masks[:, 1:] - masks[:, :-1]).abs().pow(power).sum((1, 2))
    right = (masks[:, :, 1:] - masks[:, :, :-1]).abs().pow(power).sum((1, 2))
    return down + right


def area(masks: Tensor, power: float = AREA_POWER) -> Tensor:
    """mean(m^power): masks (N,h,w) in [0,1] -> (N,). A power below 1 prefers masks of zeros and ones.

    >>> area(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), 1.0).tolist()
    [0.25...]
    """
    return masks.clamp_min(_EMPTY).pow(power).mean((1, 2))


def preserver(logits: Tensor, classes: Tensor) -> Tensor:
    """−log f_c of what the mask keeps: logits (N,K), classes (N,) -> (N,)."""
    return functional.cross_entropy(logits, classes, reduction="none")


def destroyer(logits: Tensor, classes: Tensor, power: float = DESTROYER_POWER) -> Tensor:
    """f_c^power of what is left without the masked part: logits (N,K), classes (N,) -> (N,) in [0,1]."""
    return (functional.log_softmax(logits, 1).gather(1, classes[:, None])[:, 0] * power).exp()


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """z_c − max_{j≠c} z_j: logits (N,K), classes (N,) -> (N,)."""
    own = logits.gather(1, classes[:, None])[:, 0]
    others = logits.scatter(1, classes[:, None], -torch.inf).amax(1)
    return own - others


def preserver_margin(logits: Tensor, classes: Tensor, least: float = PRESERVER_MARGIN) -> Tensor:
    """How far the class stays below a lead of ``least``: max(0, least − margin), (N,)."""
    return (least - margin(logits, classes)).clamp_min(0)


def destroyer_margin(logits: Tensor, classes: Tensor, least: float = DESTROYER_MARGIN) -> Tensor:
    """How far the class stays above falling behind by ``least``: max(0, least + margin), (N,)."""
    return (least + margin(logits, classes)).clamp_min(0)


def cut(masks: Tensor, shares: Tensor, softness: float = CUT_SOFTNESS) -> Tensor:
    """Masks (N,h,w) cut at the level above which a share (N,) of their cells lies: near 1 above, near 0 below.

    The edge is a sigmoid as wide as ``softness`` × the mask's standard deviation, so that a gradient reaches the cells
    around the level: what lies there is to change places. The level itself is taken as given.

    >>> cut(torch.tensor([[[0.9, 0.1], [0.5, 0.0]]]), torch.tensor([0.5]), 0.01)[0].round().tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    flat = masks.detach().flatten(1)
    place = ((1 - shares) * (flat.shape[1] - 1)).round().long()
    level = flat.sort(1).values.gather(1, place[:, None])[:, :, None]
    width = softness * flat.std(1)[:, None, None] + _NARROWEST
    return ((masks - level) / width).sigmoid()
