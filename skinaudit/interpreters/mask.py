"""MASK: the smallest blurred region that takes the class away (Fong & Vedaldi, ICCV 2017; perturbation guided)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from skinaudit.interpreters.base import InterpreterUnavailable

#: Decay of the two moments of Adam and the guard of its division (Kingma & Ba, ICLR 2015).
_MEAN_DECAY, _VARIANCE_DECAY, _GUARD = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class MaskSettings:
    """How a mask is searched; the defaults are the settings of Fong & Vedaldi as Zhang et al. (2020) use them.

    Kernels are widths in pixels; their σ follows from the width as in OpenCV. ``sparsity`` (λ₁) and ``smoothness``
    (λ₂) weigh sums over the cells of the mask. The learning rate is ``learning_rate``; with ``late_from`` it goes from
    that step on from the first to the last of ``late_rates`` in equal ratios, and Adam's second moment is multiplied
    by ``late_memory`` once, before that step.
    """

    iterations: int = 300
    learning_rate: float = 0.1
    late_from: int | None = None
    late_rates: tuple[float, float] = (0.1, 0.1)
    late_memory: float = 1.0
    start: float = 0.5
    sparsity: float = 1e-4
    smoothness: float = 1e-2
    exponent: float = 3.0
    jitter: int = 4
    image_kernel: int = 21
    mask_kernel: int = 11
    cell: int = 8  # pixels of the image along a side of a mask's cell: 28 × 28 cells for 224 × 224 pixels
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step; beyond the last step it stays."""
        if self.late_from is None or step < self.late_from:
            return self.learning_rate
        first, last = self.late_rates
        share = min(1.0, (step - self.late_from) / max(1, self.iterations - 1 - self.late_from))
        return float(first * (last / first) ** share)

    def fast(self) -> MaskSettings:
        """Less than a third of the steps, longer ones towards the end; settings that are fast stay as they are.

        The first steps decide which of many near-optima a search ends in, so they stay. What follows is a slow drift,
        because Adam remembers large early gradients: forgetting most of them, and larger rates, make it in a third of
        the time. Chosen on validation photographs.
        """
        if self.late_from is not None:
            return self
        rates = (3 * self.learning_rate, self.learning_rate)
        count, late = max(1, self.iterations * 8 // 25), self.iterations // 10
        return replace(self, iterations=count, late_from=late, late_rates=rates, late_memory=1 / 16)


PUBLISHED = MaskSettings()
FAST = PUBLISHED.fast()


@dataclass(frozen=True)
class Solution:
    """Masks (N,h,w) in [0,1] on their way, with the state of Adam: moments (N,h,w), steps taken (N,) int64."""

    mask: Tensor
    mean: Tensor
    variance: Tensor
    step: Tensor


@dataclass(frozen=True)
class Mask:
    """m minimises f_c(x·m↑ + blur(x)·(1−m↑)) + λ₁‖1−m‖₁ + λ₂·Σ‖∇m‖_β^β over [0,1], by Adam from ``start``.

    f_c is the probability of class c; m↑ is m brought to the size of the image and blurred. The image moves by up to
    ``jitter`` pixels at every step (it wraps around), by the same known sequence for every image, so the map is a
    function of the image alone. A low m marks what matters; what people are shown, ``explain``, is 1 − m, not scaled.
    """

    classifier: nn.Module
    settings: MaskSettings = PUBLISHED
    name: str = "mask"

    def explain(self, x: Tensor, classes: Tensor) -> Tensor:
        """Maps 1 − m (N, H/8, W/8) in [0,1], high where blurring takes the class away; one pass an iteration."""
        return 1 - self.solve(x, classes).mask

    def differentiable(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Not available: the map is the result of hundreds of steps.

        Raises:
            InterpreterUnavailable: always.
        """
        raise InterpreterUnavailable("the map of MASK has no differentiable form; attack it with its own objective")

    def start(self, x: Tensor) -> Solution:
        """Where the search begins for images x (N,3,H,W)."""
        cells = tuple(max(1, round(side / self.settings.cell)) for side in x.shape[2:])
        mask = x.new_full((len(x), *cells), self.settings.start)
        none = torch.zeros_like(mask)
        return Solution(mask, none, none, torch.zeros(len(x), dtype=torch.int64, device=x.device))

    def solve(
        self, x: Tensor, classes: Tensor, begin: Solution | None = None, iterations: int | None = None
    ) -> Solution:
        """Search on from ``begin`` (default: the start) for so many iterations (default: all of the settings)."""
        solution = begin or self.start(x)
        taken: list[int] = solution.step.tolist()
        blurred = self.blur(x.detach())
        for number in range(self.settings.iterations if iterations is None else iterations):
            steps = [count + number for count in taken]
            with torch.enable_grad():
                leaf = solution.mask.detach().requires_grad_()
                loss = self.map_loss(leaf, x.detach(), blurred, classes, steps)
                (gradient,) = torch.autograd.grad(loss.sum(), leaf)
            solution = self.advance(solution, gradient, steps)
        return solution

    def advance(self, solution: Solution, gradient: Tensor, steps: Sequence[int]) -> Solution:
        """One step of Adam with the gradient (N,h,w), cut to [0,1]; cell by cell, so no row touches another."""

        def per_row(values: list[float]) -> Tensor:
            return gradient.new_tensor(values).view(-1, 1, 1)

        late = self.settings.late_from
        remembered = per_row([self.settings.late_memory if step == late else 1.0 for step in steps]) * solution.variance
        mean = _MEAN_DECAY * solution.mean + (1 - _MEAN_DECAY) * gradient
        variance = _VARIANCE_DECAY * remembered + (1 - _VARIANCE_DECAY) * gradient.square()
        size = per_row([self.settings.rate(step) / (1 - _MEAN_DECAY ** (step + 1)) for step in steps])
        spread = per_row([(1 - _VARIANCE_DECAY ** (step + 1)) ** 0.5 for step in steps])
        mask = solution.mask - size * mean / (variance.sqrt() / spread + _GUARD)
        return Solution(mask.clamp(0, 1), mean, variance, solution.step + 1)

    def map_loss(self, mask: Tensor, x: Tensor, blurred: Tensor, classes: Tensor, steps: Sequence[int]) -> Tensor:
        """What the search minimises, (N,), for masks (N,h,w) at steps of the jitter (one a row); with a graph."""
        logits = self.classifier(self.masked(mask, x, blurred, steps))
        return self.evidence(logits, classes) + self.penalty(mask)

    def evidence(self, logits: Tensor, classes: Tensor) -> Tensor:
        """f_c, the probability (N,) of each row's class."""
        return logits.softmax(1).gather(1, classes[:, None])[:, 0]

    def penalty(self, mask: Tensor) -> Tensor:
        """λ₁‖1−m‖₁ + λ₂·Σ‖∇m‖_β^β, (N,), with forward differences inside the mask."""
        beta = self.settings.exponent
        down, right = mask.diff(dim=1).abs().pow(beta), mask.diff(dim=2).abs().pow(beta)
        variation = down.sum((1, 2)) + right.sum((1, 2))
        # Without |·|: m never exceeds 1, and at m = 1 the slope must not vanish as that of |·| would.
        return self.settings.sparsity * (1 - mask).sum((1, 2)) + self.settings.smoothness * variation

    def masked(self, mask: Tensor, x: Tensor, blurred: Tensor, steps: Sequence[int]) -> Tensor:
        """Images (N,3,H,W) with the masked-out part blurred, moved by the jitter of each row's step."""
        height, width = x.shape[2:]
        rows = _enlarging(mask.shape[1], height, self.settings.mask_kernel).to(mask)
        columns = _enlarging(mask.shape[2], width, self.settings.mask_kernel).to(mask)
        shown = _both_sides(rows, mask, columns)[:, None]
        # The mask stays while the image moves, as in the paper; only their difference is needed of the two images.
        return self.jittered(blurred, steps) + shown * self.jittered(x - blurred, steps)

    def blur(self, x: Tensor) -> Tensor:
        """Images (N,3,H,W) without the detail that the class is read from."""
        rows, columns = (_blurring(side, self.settings.image_kernel).to(x) for side in x.shape[2:])
        return _both_sides(rows, x.flatten(0, 1), columns).view_as(x)

    def jittered(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        """Each image (N,3,H,W) rolled by the shift of its step."""
        shifts = _shifts(self.settings.jitter, self.settings.iterations, self.settings.seed)
        wanted = [shifts[step % len(shifts)] for step in steps]
        if len(set(wanted)) == 1:
            return x.roll(wanted[0], (2, 3))
        return torch.stack([row.roll(shift, (1, 2)) for row, shift in zip(x, wanted, strict=True)])


def _both_sides(rows: Tensor, maps: Tensor, columns: Tensor) -> Tensor:
    """rows · map · columnsᵀ for maps (N,h,w); a product for each map, so that none depends on the others."""
    count = len(maps)
    left = torch.bmm(rows.expand(count, *rows.shape), maps)
    return torch.bmm(left, columns.T.expand(count, *columns.T.shape))


@lru_cache(maxsize=16)
def _shifts(reach: int, count: int, seed: int) -> tuple[tuple[int, int], ...]:
    """Shifts in pixels, uniform in ±reach, one for each step."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(-reach, reach + 1, (max(1, count), 2), generator=generator)
    return tuple((int(down), int(right)) for down, right in drawn.tolist())


@lru_cache(maxsize=16)
def _blurring(side: int, width: int) -> Tensor:
    """Matrix (side, side) of a Gaussian blur of that kernel width, mirrored at the border as OpenCV does."""
    sigma = 0.3 * ((width - 1) * 0.5 - 1) + 0.8
    place = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    kernel = torch.exp(-place.square() / (2 * sigma**2))
    signals = functional.pad(torch.eye(side, dtype=torch.float64)[:, None], [width // 2] * 2, "reflect")
    return functional.conv1d(signals, (kernel / kernel.sum()).view(1, 1, -1))[:, 0].T.contiguous()


@lru_cache(maxsize=16)
def _enlarging(cells: int, side: int, width: int) -> Tensor:
    """Matrix (side, cells): bilinear enlargement, then a blur. Both are separable, so this is half of either."""
    signals = torch.eye(cells, dtype=torch.float64)[None]
    enlarged = functional.interpolate(signals, size=side, mode="linear", align_corners=False)[0]
    return _blurring(side, width) @ enlarged.T
