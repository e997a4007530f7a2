"""Our own plain implementation of the published settings of ADV² on MASK, a bi-level attack.

Source: Zhang et al., "Interpretable Deep Learning under Fire" (USENIX Security 2020), with the settings of the authors'
published research code: a warm start of targeted PGD, then alternately a step on the margin of the class, a few steps
of the interpreter's own optimiser on the map, and a step on the map through the last of those. The length of that step
comes from a bisection which holds the margin; theirs sums the margins of a batch, here each image has its own, as there
with a batch of one. ``python -m benchmarks.published --interpreter mask`` runs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from benchmarks.machine import unit_seconds, wait
from skinaudit.interpreters.mask import Mask, Solution
from skinaudit.metrics.maps import l1


@dataclass(frozen=True)
class MaskAttackSettings:
    """Lengths of steps in units of the [0,1] pixel range; those of margin and map are L2 lengths."""

    epsilon: float = 0.031
    warm_steps: int = 400
    warm_step: float = 1 / 255
    joint_steps: int = 1000
    margin_step: float = 0.05
    inner_steps: int = 4  # without a graph, and as many again with one
    bisections: int = 10
    longest: float = 0.08
    longest_late: float = 0.04
    late_from: int = 900
    margin: float = -10.0
    solve_every: int = 50
    kept_mean: float = 0.5
    kept_variance: float = 0.25

    @property
    def steps(self) -> int:
        """Steps of the whole attack."""
        return self.warm_steps + self.joint_steps


@dataclass
class MaskState:
    """A batch on its way: iterates x, the inner search, the iterate whose re-solved map was nearest, seconds, units.

    ``moved`` counts the map steps of a length above zero, over all images.
    """

    step: int
    x: Tensor
    inner: Solution
    best: Tensor
    best_distance: Tensor
    seconds: float
    units: list[float]
    moved: int = 0

    def save(self, file: Path) -> None:
        """Write it, whole or not at all."""
        temporary = file.with_suffix(".tmp")
        torch.save({**vars(self), "inner": vars(self.inner)}, temporary)
        temporary.replace(file)

    @classmethod
    def load(cls, file: Path, device: torch.device) -> MaskState:
        """What ``save`` wrote."""
        found = torch.load(file, map_location=device, weights_only=True)
        return cls(**{**found, "inner": Solution(**found["inner"])})


@dataclass(frozen=True)
class MaskAttack:
    """The attack on one batch: clean images (N,3,H,W) in [0,1], target classes (N,), target maps 1 − m (N,h,w)."""

    classifier: nn.Module
    interpreter: Mask
    settings: MaskAttackSettings
    x0: Tensor
    target: Tensor
    target_map: Tensor

    def run(self, file: Path, say: str) -> MaskState:
        """All steps, saved at every re-solve so that an interruption costs little."""
        state = MaskState.load(file, self.x0.device) if file.exists() else self.start()
        size = (self.x0.shape[2], self.x0.shape[3])
        while state.step < self.settings.steps:
            state.units.append(unit_seconds(self.classifier, len(self.x0), size, self.x0.device))
            begun = time.perf_counter()
            for _ in range(min(self.settings.solve_every, self.settings.steps - state.step)):
                self.advance(state)
            wait(self.x0.device)
            state.seconds += time.perf_counter() - begun
            state.save(file)
            print(
                f"{say}: step {state.step} of {self.settings.steps}, {state.seconds:.0f} s, "
                f"{state.moved} map steps longer than zero",
                flush=True,
            )
        return state

    def start(self) -> MaskState:
        """Before the first step."""
        nowhere = torch.full((len(self.x0),), float("inf"), device=self.x0.device)
        return MaskState(0, self.x0.clone(), self.interpreter.start(self.x0), self.x0.clone(), nowhere, 0.0, [])

    def result(self, state: MaskState) -> Tensor:
        """The attacked images as 8-bit pixels: the nearest of the re-solved iterates, else the last."""
        found = torch.isfinite(state.best_distance).view(-1, 1, 1, 1)
        return (torch.where(found, state.best, state.x).clamp(0, 1) * 255).round().to(torch.uint8).cpu()

    def advance(self, state: MaskState) -> None:
        """One step of the warm start or of the alternation; the inner problem is solved anew every few steps."""
        place = state.step - self.settings.warm_steps
        if place < 0:
            gradient = self.slope(state.x, self.cross_entropy)
            state.x = self.inside(state.x - self.settings.warm_step * gradient.sign())
        else:
            if place == 0:
                self.solve(state)
            state.x = self.inside(state.x - self.settings.margin_step * unit(self.slope(state.x, self.margin)))
            self.map_step(
                state, self.settings.longest if place < self.settings.late_from else self.settings.longest_late
            )
            if (place + 1) % self.settings.solve_every == 0 or place + 1 == self.settings.joint_steps:
                self.solve(state)
        state.step += 1

    def map_step(self, state: MaskState, longest: float) -> None:
        """Bring the map of a few more inner steps nearer to its target, as far as the margin allows."""
        inner = self.interpreter.solve(state.x, self.target, state.inner, self.settings.inner_steps)
        leaf = state.x.detach().requires_grad_()
        unrolled = self.unroll(leaf, inner)
        distance = (1 - unrolled.mask - self.target_map).square().mean((1, 2))
        (gradient,) = torch.autograd.grad(distance.sum(), leaf)
        direction = unit(gradient.nan_to_num(0.0, 0.0, 0.0))
        low = torch.zeros(len(leaf), 1, 1, 1, device=leaf.device)
        high = torch.full_like(low, longest)
        for _ in range(self.settings.bisections):
            middle = (low + high) / 2
            with torch.no_grad():
                held = self.margin(self.inside(state.x - middle * direction)) < self.settings.margin
            low, high = (torch.where(held.view(-1, 1, 1, 1), *pair) for pair in ((middle, low), (high, middle)))
        state.x = self.inside(state.x - low * direction)
        state.moved += int((low > 0).sum())
        state.inner = Solution(**{field.name: getattr(unrolled, field.name).detach() for field in fields(unrolled)})

    def unroll(self, x: Tensor, inner: Solution) -> Solution:
        """A few inner steps with a graph to x, through the update and its moments."""
        blurred = self.interpreter.blur(x)
        solution = replace(inner, mask=inner.mask.detach().requires_grad_())
        taken: list[int] = inner.step.tolist()
        with torch.enable_grad():
            for number in range(self.settings.inner_steps):
                steps = [count + number for count in taken]
                loss = self.interpreter.map_loss(solution.mask, x, blurred, self.target, steps)
                (gradient,) = torch.autograd.grad(loss.sum(), solution.mask, create_graph=True)
                solution = self.interpreter.advance(solution, gradient, steps)
        return solution

    def solve(self, state: MaskState) -> None:
        """The honest map of the iterate; the nearest one that holds the class is remembered."""
        solution = self.interpreter.solve(state.x, self.target)
        distance = l1(1 - solution.mask, self.target_map)
        with torch.no_grad():
            held = self.margin(state.x) < 0
        better = held & (distance < state.best_distance)
        state.best = torch.where(better.view(-1, 1, 1, 1), state.x, state.best)
        state.best_distance = torch.where(better, distance, state.best_distance)
        mean, variance = self.settings.kept_mean * solution.mean, self.settings.kept_variance * solution.variance
        state.inner = replace(solution, mean=mean, variance=variance)

    def inside(self, x: Tensor) -> Tensor:
        """The nearest images in the ball and in [0,1]."""
        near = torch.minimum(torch.maximum(x, self.x0 - self.settings.epsilon), self.x0 + self.settings.epsilon)
        return near.clamp(0, 1)

    def cross_entropy(self, x: Tensor) -> Tensor:
        """Of the target class, (N,)."""
        return functional.cross_entropy(self.classifier(x), self.target, reduction="none")

    def margin(self, x: Tensor) -> Tensor:
        """Highest logit of another class less that of the target class, (N,)."""
        logits: Tensor = self.classifier(x)
        wanted = functional.one_hot(self.target, logits.shape[1]).bool()
        return logits.masked_fill(wanted, float("-inf")).amax(1) - logits[wanted]

    @staticmethod
    def slope(x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Gradient of each image's own loss."""
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss(leaf).sum(), leaf)
        return gradient


def unit(gradient: Tensor) -> Tensor:
    """Each image's gradient (N,3,H,W) at L2 length 1; zero stays zero."""
    length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
    return gradient / length.view(-1, 1, 1, 1)
