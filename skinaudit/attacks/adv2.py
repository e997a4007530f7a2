"""Objectives: ℓ_prd(f(x), c_t) + λ·ℓ_int(g(x; c_t), m_t), the ADV² attack of Zhang et al. (USENIX Security 2020).

PGD is the same with λ = 0. Every quantity is per image; no sum over the batch couples two images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from skinaudit.interpreters.base import Interpreter
from skinaudit.interpreters.grad import Grad
from skinaudit.metrics.maps import top_iou


@dataclass(frozen=True)
class Goal:
    """What the attacker wants of each image: leading dimension N everywhere."""

    target_class: Tensor  # (N,) int64
    target_map: Tensor  # (N,h,w) in [0,1]; (N,0,0) when the map plays no part


@dataclass(frozen=True)
class Evaluation:
    """An objective at x, per image: gradient (N,3,H,W), losses (N,), map distances (N,), logits (N,K)."""

    gradient: Tensor
    class_loss: Tensor
    map_loss: Tensor
    map_distance: Tensor  # L1
    map_overlap: Tensor  # IoU of the top 20 % of pixels
    logits: Tensor


class Objective(Protocol):
    """Supplies the gradient; the loop owns λ, steps, momentum and candidates."""

    @property
    def matches_map(self) -> bool:
        """Does the map play a part? Without it candidates are ranked by the class loss alone."""

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal) -> Evaluation:
        """Evaluate images x (N,3,H,W) in [0,1] with λ = ``weight`` (N,)."""


@dataclass(frozen=True)
class ClassObjective:
    """PGD: the class loss alone (ADV² with λ = 0, without the cost of a map)."""

    classifier: nn.Module
    matches_map: bool = False

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal) -> Evaluation:
        """One forward and one backward pass; map loss and distance are zero."""
        logits, class_loss, gradient = Grad(self.classifier).input_gradient(x, goal.target_class)
        zero = torch.zeros_like(class_loss)
        return Evaluation(gradient, class_loss, zero, zero, zero, logits)


@dataclass(frozen=True)
class MapObjective:
    """ADV² by automatic differentiation through the interpreter's differentiable form (CAM; GRAD smoothed)."""

    interpreter: Interpreter
    matches_map: bool = True

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal) -> Evaluation:
        """One shared forward pass, one backward pass of class and map loss together."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            logits, maps = self.interpreter.differentiable(leaf, goal.target_class)
            class_loss = functional.cross_entropy(logits, goal.target_class, reduction="none")
            map_loss = (maps - goal.target_map).square().mean((1, 2))
            (gradient,) = torch.autograd.grad((class_loss + weight * map_loss).sum(), leaf)
        distance, overlap = _distances(maps.detach(), goal.target_map)
        return Evaluation(gradient, class_loss.detach(), map_loss.detach(), distance, overlap, logits.detach())


@dataclass(frozen=True)
class FiniteDifferenceObjective:
    """ADV² on GRAD with first-order passes only.

    The map is a function of G = ∇_x ℓ_c(x). With u = ∂ℓ_int/∂G and û = u/max|u| the map's own gradient is
    H·u ≈ (∇ℓ_c(x+δû) − ∇ℓ_c(x−δû))/2δ · max|u|: three passes in all, no second derivatives, any activation.
    """

    interpreter: Grad
    delta: float = 1.5 / 255
    matches_map: bool = True

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal) -> Evaluation:
        """One pass while every weight is zero, else three."""
        grad = self.interpreter
        logits, class_loss, gradient = grad.input_gradient(x, goal.target_class)
        with torch.enable_grad():
            leaf = gradient.detach().requires_grad_()
            maps = grad.map_of(leaf)
            map_loss = (maps - goal.target_map).square().mean((1, 2))
            (direction,) = torch.autograd.grad(map_loss.sum(), leaf)
        distance, overlap = _distances(maps.detach(), goal.target_map)
        if bool((weight > 0).any()):
            factor = weight.view(-1, 1, 1, 1)
            # A row whose weight is still zero must not feel a product that overflowed.
            gradient = gradient + torch.where(factor > 0, factor * self._curvature(x, goal, direction), 0.0)
        return Evaluation(gradient, class_loss, map_loss.detach(), distance, overlap, logits)

    def _curvature(self, x: Tensor, goal: Goal, direction: Tensor) -> Tensor:
        """H·direction for each image, by a central difference."""
        length = direction.abs().amax((1, 2, 3), keepdim=True)
        shift = direction * (self.delta / length.clamp_min(torch.finfo(x.dtype).tiny))
        _, _, ahead = self.interpreter.input_gradient(x + shift, goal.target_class)
        _, _, behind = self.interpreter.input_gradient(x - shift, goal.target_class)
        return (ahead - behind) * (length / (2 * self.delta))


def _distances(maps: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The two distances that decide whether a map (N,h,w) is kept; each (N,)."""
    return (maps - target).abs().mean((1, 2)), top_iou(maps, target, 0.2)


def objective_for(attack: str, classifier: nn.Module, interpreter: Interpreter | None) -> Objective:
    """The objective of a work unit.

    Raises:
        ValueError: ADV² without an interpreter.
    """
    if attack == "pgd":
        return ClassObjective(classifier)
    if interpreter is None:
        raise ValueError("ADV² needs an interpreter to attack")
    if isinstance(interpreter, Grad):
        return FiniteDifferenceObjective(interpreter)
    return MapObjective(interpreter)
