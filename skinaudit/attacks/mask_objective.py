"""ADV² on MASK, a bi-level problem, by the gap of the interpreter's own objective.

The map shown is the end of a search, m(x) = argmin_m ℓ(m; x), so the attack is bi-level: ℓ(m_t; x) − min_m ℓ(m; x) ≥ 0
is zero exactly when the wanted mask m_t solves the interpreter's problem. By Danskin's theorem the gradient of that
gap in x needs no derivative of the search: it is ∇_x ℓ(m_t; x) − ∇_x ℓ(m*; x) with m* held fixed. Both penalties of ℓ
are free of x, which leaves f_c: low under m_t, high under every mask that the search would rather take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from torch import Tensor

from skinaudit.attacks.adv2 import Evaluation, Goal, State, distances
from skinaudit.interpreters.mask import FAST, Mask, Solution

#: Smallest probability whose logarithm still counts.
_LEAST = 1e-4


@dataclass(frozen=True)
class MaskObjective:
    """λ·(−log(1 − f_c(x under m_t)) − mean_k log f_c(x under m_k)), and the class loss while f_c(x) < ``confident``.

    The m_k are ``trackers`` searches of the interpreter on the image as it changes: each takes one step of the honest
    search (its Adam, its jitter) for a step of the attack and begins anew after ``horizon`` steps, one after the other,
    so that at any time they stand at different ages of the search and the attack meets the masks that an honest search
    would pass through. Logarithms, because a mask that already takes the class away is the one that must change.
    The class is not pushed beyond ``confident``: of a very sure class the search finds ever smaller masks.
    λ counts up to 1. Every ``solve_every`` steps the map is solved from its real start with the fast setting; only
    such an image has a distance, so only those become candidates, of which the judge decides by the full search.
    """

    interpreter: Mask
    trackers: int = 3
    horizon: int = 90
    confident: float = 0.97
    solve_every: int = 20
    matches_map: bool = True

    def start(self, x0: Tensor, goal: Goal) -> State:
        """Steps so far and joint steps so far, (N,) each; then mask, both moments and age of every tracker."""
        del goal
        none = torch.zeros(len(x0), dtype=torch.int64, device=x0.device)
        state: State = (none, none)
        for _ in range(self.trackers):
            state += _tensors(self.interpreter.start(x0))
        return state

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """One pass while every weight is zero, else two more than trackers, and now and then those of a fast search."""
        logits, class_loss, gradient = self._class_pass(x, goal.target_class)
        steps, joint, *rest = state
        far, none = torch.ones_like(class_loss)[:, None], torch.zeros_like(class_loss)
        active = weight > 0
        if not bool(active.any()):
            return Evaluation(gradient, class_loss, none, far, far * 0, logits, (steps + 1, joint, *rest))
        map_gradient, gap, followed = self._gap(x, goal, joint, rest)
        factor = torch.where(active, weight.clamp(max=1), 0.0).view(-1, 1, 1, 1)
        # A row in its warm start keeps its trackers as they are and must not feel a gradient that overflowed.
        gradient = gradient + torch.where(factor > 0, factor * map_gradient, 0.0)
        followed = [torch.where(_like(active, new), new, old) for new, old in zip(followed, rest, strict=True)]
        due = active & ((steps + 1) % self.solve_every == 0)
        distance, overlap = far, far * 0
        if bool(due.any()):
            solved = replace(self.interpreter, settings=FAST).explain(x, goal.target_class)
            near, alike = distances(solved, goal.target_map)
            distance, overlap = torch.where(due[:, None], near, far), torch.where(due[:, None], alike, 0.0)
        gap = torch.where(active, gap, 0.0)
        return Evaluation(gradient, class_loss, gap, distance, overlap, logits, (steps + 1, joint + active, *followed))

    def _class_pass(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, cross entropy, and its gradient where the class is not yet sure enough, else zero."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            logits = self.interpreter.classifier(leaf)
            loss = functional.cross_entropy(logits, classes, reduction="none")
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        unsure = self.interpreter.evidence(logits.detach(), classes) < self.confident
        return logits.detach(), loss.detach(), torch.where(unsure.view(-1, 1, 1, 1), gradient, 0.0)

    def _gap(self, x: Tensor, goal: Goal, joint: Tensor, rest: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Gradient of the gap in x, the gap of f_c (N,), and every tracker one step on."""
        classes = goal.target_class
        wanted, gradient = self._wanted(x, 1 - goal.target_map, classes, joint)
        found = torch.zeros_like(wanted)
        followed: list[Tensor] = []
        for number in range(self.trackers):
            tracker = Solution(*rest[4 * number : 4 * number + 4])
            begun = joint % self.horizon == (number + 1) * self.horizon // self.trackers % self.horizon
            tracker = _where(begun, self.interpreter.start(x), tracker)
            value, slope, tracker = self._rival(x, tracker, classes)
            gradient = gradient + slope / self.trackers
            found = found + value / self.trackers
            followed += _tensors(tracker)
        return gradient, wanted - found, followed

    def _wanted(self, x: Tensor, mask: Tensor, classes: Tensor, joint: Tensor) -> tuple[Tensor, Tensor]:
        """f_c under the wanted mask and the gradient in x of −log(1 − f_c)."""
        interpreter = self.interpreter
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            images = interpreter.masked(mask, leaf, interpreter.blur(leaf), joint.tolist())
            value = interpreter.evidence(interpreter.classifier(images), classes)
            (gradient,) = torch.autograd.grad(-(1 - value).clamp(min=_LEAST).log().sum(), leaf)
        return value.detach(), gradient

    def _rival(self, x: Tensor, tracker: Solution, classes: Tensor) -> tuple[Tensor, Tensor, Solution]:
        """f_c under a tracker's mask, the gradient in x of −log f_c, and the tracker one honest step on."""
        interpreter, ages = self.interpreter, tracker.step.tolist()
        with torch.enable_grad():
            leaf, mask = x.detach().requires_grad_(), tracker.mask.detach().requires_grad_()
            images = interpreter.masked(mask, leaf, interpreter.blur(leaf), ages)
            value = interpreter.evidence(interpreter.classifier(images), classes)
            # One backward pass through the network serves both: the sum's gradient is that of f_c in the image shown.
            (shown,) = torch.autograd.grad(value.sum(), images)
            descent, slope = torch.autograd.grad(images, (mask, leaf), shown)
            (penalty,) = torch.autograd.grad(interpreter.penalty(mask).sum(), mask)
        scale = torch.where(value > _LEAST, -1 / value.clamp(min=_LEAST), 0.0).detach()
        moved = interpreter.advance(tracker, descent + penalty, ages)
        return value.detach(), slope * scale.view(-1, 1, 1, 1), moved


def _tensors(solution: Solution) -> State:
    return solution.mask, solution.mean, solution.variance, solution.step


def _where(chosen: Tensor, first: Solution, second: Solution) -> Solution:
    """The first solution in the chosen rows, elsewhere the second."""
    pairs = zip(_tensors(first), _tensors(second), strict=True)
    return Solution(*(torch.where(_like(chosen, one), one, two) for one, two in pairs))


def _like(rows: Tensor, tensor: Tensor) -> Tensor:
    """Rows (N,) with as many dimensions as the tensor."""
    return rows.view(-1, *[1] * (tensor.dim() - 1))
