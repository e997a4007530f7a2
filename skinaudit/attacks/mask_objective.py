"""ADV² on MASK, a bi-level problem, by the gap of the interpreter's own objective.

The map shown is the end of a search, m(x) = argmin_m ℓ(m; x), so the attack is bi-level: ℓ(m_t; x) − min_m ℓ(m; x) ≥ 0
is zero exactly when the wanted mask m_t solves the interpreter's problem. By Danskin's theorem the gradient of that
gap in x needs no derivative of the search: it is ∇_x ℓ(m_t; x) − ∇_x ℓ(m*; x) with m* held fixed. Both penalties of ℓ
are free of x, which leaves f_c: low under m_t, higher under every mask that the search would rather take.

Tried on three photographs, one run each, and left out because the map came less near: making f_c under the search's own
masks equal to its values on the unchanged image; labels that fall with the share of the wanted region that a mask
deletes; samples half way to the wanted mask or with the wanted region given back. Matching ∇_m f_c by finite
differences was stopped early, its mismatch did not shrink. The gap without labels came nearer still after 20 steps,
and was far away after 30. Unrolling the search and the slope at the wanted mask alone were not tried here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from torch import Tensor

from skinaudit.attacks.adv2 import Evaluation, Goal, State, distances
from skinaudit.interpreters.mask import Mask, Solution

#: Smallest probability whose logarithm still counts.
_LEAST = 1e-6


@dataclass(frozen=True)
class MaskObjective:
    """Cross entropies of f_c: to ``confident`` as it is, to ``gone`` under the wanted mask, to ``rival`` under others.

    The others are ``trackers`` searches of the interpreter on the image as it changes: each takes one step of the
    honest search (its Adam, its jitter) for a step of the attack and begins anew after ``horizon`` steps. They start
    with different headstarts, so that at any time they stand at different ages of the search and the attack meets the
    masks that an honest search would pass through.

    Labels, not plain logarithms: pushed on, f_c becomes flat at 1 under every mask and the search, left without a
    slope, ends anywhere; it also finds ever smaller masks of an ever surer class. So the confidence is held near its
    floor. λ, at most 1, weighs the terms with masks. Every ``solve_every`` steps the map is solved from its real start
    with the fast setting; only such an image has a distance, so only those become candidates, of which the judge
    decides by the full search.
    """

    interpreter: Mask
    trackers: int = 3
    horizon: int = 90
    confident: float = 0.97
    rival: float = 0.5
    gone: float = 0.02
    class_weight: float = 3.0
    solve_every: int = 10
    #: λ must not grow beyond what counts, or it would take long to come down when the class is lost.
    most_weight: float = 1.0
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
        rest = self._spread(x, goal.target_class, rest, active & (joint == 0))
        map_gradient, gap, followed = self._gap(x, goal, joint, rest)
        factor = torch.where(active, weight.clamp(max=self.most_weight), 0.0).view(-1, 1, 1, 1)
        # A row in its warm start keeps its trackers as they are and must not feel a gradient that overflowed.
        gradient = gradient + torch.where(factor > 0, factor * map_gradient, 0.0)
        followed = [torch.where(_like(active, new), new, old) for new, old in zip(followed, rest, strict=True)]
        due = active & ((steps + 1) % self.solve_every == 0)
        distance, overlap = far, far * 0
        if bool(due.any()):
            solved = replace(self.interpreter, settings=self.interpreter.settings.fast()).explain(x, goal.target_class)
            near, alike = distances(solved, goal.target_map)
            distance, overlap = torch.where(due[:, None], near, far), torch.where(due[:, None], alike, 0.0)
        gap = torch.where(active, gap, 0.0)
        return Evaluation(gradient, class_loss, gap, distance, overlap, logits, (steps + 1, joint + active, *followed))

    def _headstart(self, number: int) -> int:
        """Steps of the search that a tracker is ahead of the first."""
        return number * self.horizon // self.trackers

    def _spread(self, x: Tensor, classes: Tensor, rest: list[Tensor], rows: Tensor) -> list[Tensor]:
        """Trackers with their headstart in these rows; without it all would be one until the first begins anew."""
        if not bool(rows.any()):
            return rest
        spread: list[Tensor] = []
        solution = self.interpreter.start(x)
        for number in range(self.trackers):
            ahead = self._headstart(number) - self._headstart(max(0, number - 1))
            solution = self.interpreter.solve(x, classes, solution, ahead)
            spread += _tensors(solution)
        return [torch.where(_like(rows, new), new, old) for new, old in zip(spread, rest, strict=True)]

    def _class_pass(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, cross entropy to the class, and the gradient of the cross entropy to the label ``confident``."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            logits = self.interpreter.classifier(leaf)
            loss = functional.cross_entropy(logits, classes, reduction="none")
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        # In the logit both losses have the slope f_c − label; that of the plain loss is f_c − 1.
        rest = (1 - self.interpreter.evidence(logits.detach(), classes)).clamp(min=1e-3)
        share = 1 - (1 - self.confident) / rest
        return logits.detach(), loss.detach(), self.class_weight * share.view(-1, 1, 1, 1) * gradient

    def _gap(self, x: Tensor, goal: Goal, joint: Tensor, rest: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Gradient of the loss in x, the gap of f_c (N,), and every tracker one step on."""
        wanted_mask, classes = 1 - goal.target_map, goal.target_class
        wanted = self._look(x, wanted_mask, classes, joint)
        gradient = wanted.towards(self.gone)
        found = torch.zeros_like(wanted.value)
        followed: list[Tensor] = []
        for number in range(self.trackers):
            tracker = Solution(*rest[4 * number : 4 * number + 4])
            begun = (joint + self._headstart(number)) % self.horizon == 0
            tracker = _where(begun, self.interpreter.start(x), tracker)
            rival = self._look(x, tracker.mask, classes, tracker.step)
            gradient = gradient + rival.towards(self.rival) / self.trackers
            found = found + rival.value / self.trackers
            followed += _tensors(self._one_step_on(tracker, rival.descent))
        return gradient, wanted.value - found, followed

    def _look(self, x: Tensor, mask: Tensor, classes: Tensor, steps: Tensor) -> _Look:
        """f_c of the image under a mask, and what it would take to change it; one pass."""
        interpreter = self.interpreter
        with torch.enable_grad():
            leaf, cells = x.detach().requires_grad_(), mask.detach().requires_grad_()
            images = interpreter.masked(cells, leaf, interpreter.blur(leaf), steps.tolist())
            value = interpreter.evidence(interpreter.classifier(images), classes)
            # One backward pass through the network serves both.
            (shown,) = torch.autograd.grad(value.sum(), images)
            slope, descent = torch.autograd.grad(images, (leaf, cells), shown)
        return _Look(value.detach(), slope, descent)

    def _one_step_on(self, tracker: Solution, descent: Tensor) -> Solution:
        """A tracker after one step of the honest search, whose gradient is that of f_c and of the penalties."""
        with torch.enable_grad():
            mask = tracker.mask.detach().requires_grad_()
            (penalty,) = torch.autograd.grad(self.interpreter.penalty(mask).sum(), mask)
        return self.interpreter.advance(tracker, descent + penalty, tracker.step.tolist())


@dataclass(frozen=True)
class _Look:
    """f_c (N,) of masked images, its gradient in the image (N,3,H,W) and in the mask (N,h,w)."""

    value: Tensor
    slope: Tensor
    descent: Tensor

    def towards(self, label: float) -> Tensor:
        """Gradient in the image of the cross entropy between f_c and a label in (0,1)."""
        value = self.value.clamp(_LEAST, 1 - _LEAST)
        return ((value - label) / (value * (1 - value))).view(-1, 1, 1, 1) * self.slope


def _tensors(solution: Solution) -> State:
    return solution.mask, solution.mean, solution.variance, solution.step


def _where(chosen: Tensor, first: Solution, second: Solution) -> Solution:
    """The first solution in the chosen rows, elsewhere the second."""
    pairs = zip(_tensors(first), _tensors(second), strict=True)
    return Solution(*(torch.where(_like(chosen, one), one, two) for one, two in pairs))


def _like(rows: Tensor, tensor: Tensor) -> Tensor:
    """Rows (N,) with as many dimensions as the tensor."""
    return rows.view(-1, *[1] * (tensor.dim() - 1))
