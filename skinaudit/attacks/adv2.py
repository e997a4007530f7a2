"""Objectives: ℓ_prd(f(x), c_t) + λ·ℓ_int(g(x; c_t), m_t), the ADV² attack of Zhang et al. (USENIX Security 2020).

PGD is the same with λ = 0. Every quantity is per image; no sum over the batch couples two images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from skinaudit.interpreters.base import Interpreter, min_max
from skinaudit.interpreters.grad import Grad
from skinaudit.interpreters.gradient_map import GradientMap, mean_part
from skinaudit.metrics.maps import top_iou

#: What an objective keeps of each image from step to step: tensors of leading dimension N; empty for most.
State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Goal:
    """What the attacker wants of each image: leading dimension N everywhere."""

    target_class: Tensor  # (N,) int64
    target_maps: tuple[Tensor, ...] = ()  # one (N,h,w) in [0,1] for each map that is matched; none for PGD

    @property
    def target_map(self) -> Tensor:
        """The one map that is matched, (N,h,w)."""
        (only,) = self.target_maps
        return only


@dataclass(frozen=True)
class Evaluation:
    """An objective at x, per image: gradient (N,3,H,W), losses (N,), distances of its G maps (N,G), logits (N,K)."""

    gradient: Tensor
    class_loss: Tensor
    map_loss: Tensor
    map_distance: Tensor  # L1
    map_overlap: Tensor  # IoU of the top 20 % of pixels
    logits: Tensor
    state: State = ()


class Objective(Protocol):
    """Supplies the gradient; the loop owns λ, steps, momentum and candidates."""

    @property
    def matches_map(self) -> bool:
        """Does the map play a part? Without it candidates are ranked by the class loss alone."""

    def start(self, x0: Tensor, goal: Goal) -> State:
        """State of images x0 (N,3,H,W) in [0,1] before the first step, on the device of x0."""

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """Evaluate images x (N,3,H,W) in [0,1] with λ = ``weight`` (N,); the evaluation carries the next state."""


class Stateless:
    """An objective that keeps nothing from step to step."""

    def start(self, x0: Tensor, goal: Goal) -> State:
        """Nothing."""
        del x0, goal
        return ()


@dataclass(frozen=True)
class ClassObjective(Stateless):
    """PGD: the class loss alone (ADV² with λ = 0, without the cost of a map)."""

    classifier: nn.Module
    matches_map: bool = False

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """One forward and one backward pass; map loss is zero, and there is no map to be distant."""
        del weight, state
        logits, class_loss, gradient = Grad(self.classifier).input_gradient(x, goal.target_class)
        none = class_loss.new_zeros(len(x), 0)
        return Evaluation(gradient, class_loss, torch.zeros_like(class_loss), none, none, logits)


@dataclass(frozen=True)
class MapObjective(Stateless):
    """ADV² by automatic differentiation through the interpreter's differentiable form (CAM; GRAD smoothed)."""

    interpreter: Interpreter
    matches_map: bool = True

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """One shared forward pass, one backward pass of class and map loss together."""
        del state
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            logits, maps = self.interpreter.differentiable(leaf, goal.target_class)
            class_loss = functional.cross_entropy(logits, goal.target_class, reduction="none")
            map_loss = (maps - goal.target_map).square().mean((1, 2))
            (gradient,) = torch.autograd.grad((class_loss + weight * map_loss).sum(), leaf)
        distance, overlap = distances(maps.detach(), goal.target_map)
        return Evaluation(gradient, class_loss.detach(), map_loss.detach(), distance, overlap, logits.detach())


@dataclass(frozen=True)
class FiniteDifferenceObjective:
    """ADV² with first-order passes only, on maps that are made of input gradients (GRAD, SmoothGrad and the like).

    The map is a function of gradients G_i = ∇ℓ(p_i) at points p_i = s_i·x + b_i, and perhaps of x itself. With
    u_i = ∂ℓ_int/∂G_i and û_i = u_i/max|u_i| the map's own gradient is Σ_i s_i·H(p_i)·u_i + ∂ℓ_int/∂x, where
    H(p)·u ≈ (∇ℓ(p+δû) − ∇ℓ(p−δû))/2δ · max|u|: no second derivatives, any activation, memory for one pass at a time.
    GRAD has the one point x, whose gradient is also that of the class loss: three passes in all.

    With ``hold_low`` the lowest value of a map is taken for a constant in u. Through min-max it moves every pixel, so
    its derivative is a sum over the whole map, which can leave û little else; but it holds for next to no distance,
    since another pixel is the lowest once that one rises.

    A search that does with fewer points than an honest map keeps, as state, by how much that shifts the mean of the
    original image, and takes it off (a control variate): otherwise it would match the noise of a few points.
    """

    interpreter: GradientMap
    delta: float = 16 / 255
    hold_low: bool = True
    matches_map: bool = True

    def start(self, x0: Tensor, goal: Goal) -> State:
        """The shift (N,3,H,W) at the original image; nothing where the search visits every point."""
        interpreter = self.interpreter
        if len(interpreter.points(x0, searching=True)) == len(interpreter.points(x0, searching=False)):
            return ()
        few, honest = (mean_part(interpreter, x0, goal.target_class, searching=few) for few in (True, False))
        return (honest - few,)

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """On n points n + 1 passes while every weight is zero, else 3n + 1; on the image alone one, else three."""
        interpreter, classes = self.interpreter, goal.target_class
        logits, class_loss, gradient = Grad(interpreter.classifier).input_gradient(x, classes)
        points = interpreter.points(x, searching=True)
        known = interpreter.score == "loss"
        gradients = [
            gradient if known and point.is_the_image else interpreter.gradient_at(point.of(x), classes)
            for point in points
        ]
        with torch.enable_grad():
            image, leaves = x.detach().requires_grad_(), [one.detach().requires_grad_() for one in gradients]
            mean = torch.stack([interpreter.part(one) for one in leaves]).mean(0)
            unscaled = interpreter.unscaled(mean + state[0] if state else mean, image)
            maps = min_max(unscaled, hold_low=self.hold_low)
            map_loss = (maps - goal.target_map).square().mean((1, 2))
            *directions, through = torch.autograd.grad(map_loss.sum(), [*leaves, image], materialize_grads=True)
        distance, overlap = distances(maps.detach(), goal.target_map)
        if bool((weight > 0).any()):
            for point, direction in zip(points, directions, strict=True):
                through = through + point.scale * self._curvature(point.of(x), classes, direction)
            factor = weight.view(-1, 1, 1, 1)
            # A row whose weight is still zero must not feel a product that overflowed.
            gradient = gradient + torch.where(factor > 0, factor * through, 0.0)
        return Evaluation(gradient, class_loss, map_loss.detach(), distance, overlap, logits, state)

    def _curvature(self, pixels: Tensor, classes: Tensor, direction: Tensor) -> Tensor:
        """H·direction for each image at these pixels, by a central difference."""
        length = direction.abs().amax((1, 2, 3), keepdim=True)
        shift = direction * (self.delta / length.clamp_min(torch.finfo(pixels.dtype).tiny))
        ahead = self.interpreter.gradient_at(pixels + shift, classes)
        behind = self.interpreter.gradient_at(pixels - shift, classes)
        return (ahead - behind) * (length / (2 * self.delta))


def distances(maps: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The two distances that decide whether a map (N,h,w) is kept; each (N,1), as of one map."""
    return (maps - target).abs().mean((1, 2))[:, None], top_iou(maps, target, 0.2)[:, None]
