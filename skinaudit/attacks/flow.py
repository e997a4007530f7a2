"""Where the attacker may go, by moving pixels instead of changing them: stAdv (Xiao et al., ICLR 2018).

z is a flow field: the pixel at p shows what the image has at p + z(p), in between by bilinear interpolation. No colour
is made that was not beside the pixel before.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

#: Below the root of the flow's roughness (Xiao et al., equation 4): where neighbours move alike its slope stays finite.
_SMOOTHING = 1e-8
#: Weight of the roughness. On four photographs at a limit of half a pixel it took the mean displacement from 0.40 to
#: 0.26 pixels, with maps kept as well as without it; ten times as much began to cost the map.
TAU = 5.0


@dataclass(frozen=True)
class Flow:
    """Every pixel is fetched from at most ``limit`` pixels away; ``tau`` weighs the roughness of the flow in the loss.

    z is (N,2,H,W) in pixels, first down, then right.
    """

    limit: float
    tau: float = TAU

    def start(self, x0: Tensor, begin: Tensor | None = None) -> Tensor:
        """Nothing moves: a picture does not tell by which flow it was made."""
        del begin
        return x0.new_zeros(len(x0), 2, *x0.shape[2:])

    def apply(self, x0: Tensor, z: Tensor) -> Tensor:
        """Each pixel's own place plus its flow, read bilinearly; beyond the edge lies the edge's colour."""
        height, width = x0.shape[2:]
        down = torch.arange(height, dtype=z.dtype, device=z.device).view(1, -1, 1) + z[:, 0]
        right = torch.arange(width, dtype=z.dtype, device=z.device).view(1, 1, -1) + z[:, 1]
        # align_corners: −1 and 1 are the centres of the outermost pixels. A side of one pixel has nowhere to go.
        grid = torch.stack([2 * right / max(1, width - 1) - 1, 2 * down / max(1, height - 1) - 1], dim=-1)
        return functional.grid_sample(x0, grid, mode="bilinear", padding_mode="border", align_corners=True)

    def seen(self, pictures: Tensor) -> Tensor:
        """The pictures themselves."""
        return pictures

    def pull_back(self, x0: Tensor, z: Tensor, gradient: Tensor) -> Tensor:
        """Through the interpolation, and the slope of τ times the flow's roughness beside it."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.apply(x0, leaf), leaf, gradient)
            if self.tau:
                (rough,) = torch.autograd.grad(roughness(leaf).sum(), leaf)
                slope = slope + self.tau * rough
        return slope

    def direction(self, velocity: Tensor) -> Tensor:
        """Every pixel one unit down its slope."""
        return -velocity / velocity.square().sum(1, keepdim=True).sqrt().clamp_min(torch.finfo(velocity.dtype).tiny)

    def step(self, x0: Tensor, z: Tensor, direction: Tensor, size: Tensor) -> Tensor:
        """z + size·direction, drawn back to ``limit`` pixels where it is longer."""
        del x0
        moved = torch.addcmul(z, direction, size.view(-1, 1, 1, 1))
        length = moved.square().sum(1, keepdim=True).sqrt()
        return moved * (self.limit / length.clamp_min(self.limit))

    def extent(self, z: Tensor) -> Tensor:
        """Largest and mean length of the flow in pixels, (N,2)."""
        length = z.square().sum(1).sqrt()
        return torch.stack([length.amax((1, 2)), length.mean((1, 2))], dim=1)


def roughness(flow: Tensor) -> Tensor:
    """How unlike the flows of neighbours are, down and right, a pixel on average: (N,) of flows (N,2,H,W) in pixels.

    A mean, so that τ means the same for pictures of every size; the source sums over pixels, and counts a pair twice.
    Source: Xiao et al., "Spatially Transformed Adversarial Examples", ICLR 2018, equation 4.
    """
    down = (flow[:, :, 1:] - flow[:, :, :-1]).square().sum(1)
    right = (flow[:, :, :, 1:] - flow[:, :, :, :-1]).square().sum(1)
    total = (down + _SMOOTHING).sqrt().sum((1, 2)) + (right + _SMOOTHING).sqrt().sum((1, 2))
    return total / (flow.shape[2] * flow.shape[3])
