"""THE loop: sign steps with momentum over one frozen batch shape, slots refilled as images finish.

Nothing else in the package iterates on x. All state is per row; a row's result does not depend on its neighbours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from skinaudit.attacks.adv2 import Evaluation, Goal, Objective
from skinaudit.attacks.perturbation import Perturbation, round_to_8_bit
from skinaudit.config import HELD_CONFIDENCE

#: Candidates an image hands to the judge.
CANDIDATES = 3
#: Ranks: held with confidence and the map kept < held with confidence < class held < class not held. Within a rank
#: the L1 distance (at most 1), the excess over the limits (capped), or the class loss (capped) decides.
_DRIFTED, _HIT, _MISS, _CAP = 2.0, 10.0, 1000.0, 500.0
#: First λ and its growth per step while the class is held, by interpreter (mean squared map distance).
_WEIGHTS = {"cam": (20.0, 1.15), "grad": (50.0, 1.08)}


@dataclass(frozen=True)
class LoopSettings:
    """How an image is searched. The numbers were chosen by trials on eight photographs of the validation split."""

    steps: int
    warm_steps: int
    early_stop: bool
    first_step: float = 2.25 / 255
    last_step: float = 0.1 / 255
    momentum: float = 0.9
    weight: float = 1.0
    weight_up: float = 1.08
    weight_down: float = 0.85
    most_weight: float = 1e5  # a held class for hundreds of steps must not make λ too large to come down again
    patience: int = 20
    improvement: float = 0.01
    look_every: int = 10
    #: Not every network becomes as sure as 0.95 of anything. From ``relax_at`` on, this share of the most that an
    #: image has reached is enough: otherwise λ would only sink, and such a network would pass for robust.
    enough: float = 0.97

    @property
    def relax_at(self) -> int:
        """The step from which the confidence that counts as held follows what an image can reach."""
        return max(2 * self.warm_steps, self.steps // 4)

    @classmethod
    def for_attack(cls, interpreter: str | None, *, steps: int, warm_steps: int, early_stop: bool) -> LoopSettings:
        """Settings that measured best for an interpreter; None is PGD."""
        weight, weight_up = _WEIGHTS.get(interpreter or "", (1.0, 1.08))
        return cls(steps, warm_steps, early_stop, weight=weight, weight_up=weight_up)


@dataclass(frozen=True)
class Task:
    """One image to attack: uint8 pixels (3,H,W), the wanted class and map (h,w), and when that map is kept.

    ``most_distance`` and ``least_overlap`` are the drift limits (L1, IoU of the top 20 %); a map within both whose L1
    is at most ``near_enough`` ends the search early.
    """

    key: str
    x0: Tensor
    target_class: int
    target_map: Tensor | None = None
    most_distance: float = 1.0
    least_overlap: float = 0.0
    near_enough: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What the search found: candidates (n ≤ 3, 3, H, W) uint8, best first; the verdict is the judge's."""

    key: str
    candidates: Tensor
    steps: int
    stop: str
    seconds: float


@dataclass(frozen=True)
class _Slots:
    """Everything that belongs to a row of the batch (leading dimension N)."""

    x0: Tensor
    z: Tensor
    velocity: Tensor
    goal_class: Tensor
    goal_map: Tensor
    most_distance: Tensor
    least_overlap: Tensor
    near_enough: Tensor
    weight: Tensor
    step: Tensor
    best_score: Tensor  # (N, CANDIDATES), ascending
    best_image: Tensor  # (N, CANDIDATES, 3, H, W) uint8
    progress: Tensor
    progress_step: Tensor
    reached: Tensor
    surest: Tensor  # highest probability of the wanted class so far

    def put(self, row: int, new: _Slots) -> None:
        for field in fields(self):
            getattr(self, field.name)[row] = getattr(new, field.name)[0]


class Loop:
    """Attacks a stream of tasks with one objective, one perturbation set and one batch shape."""

    def __init__(
        self,
        objective: Objective,
        perturbation: Perturbation,
        settings: LoopSettings,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._objective, self._perturbation, self._settings = objective, perturbation, settings
        self._batch_size, self._device = batch_size, device
        # Looked up, not computed per row: a vectorised cosine may round differently at another position in the batch.
        self._sizes = torch.tensor([_step_size(settings, step) for step in range(settings.steps)], device=device)

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Yield an outcome as soon as its image is done; memory holds one batch whatever the number of tasks."""
        queue = iter(tasks)
        first = next(queue, None)
        if first is None:
            return
        slots = self._empty(first)
        occupants: list[Task | None] = [None] * self._batch_size
        begun = [0.0] * self._batch_size
        pending: Task | None = first
        while True:
            for row in range(self._batch_size):
                if occupants[row] is None and pending is not None:
                    slots.put(row, self._filled(pending))
                    occupants[row], begun[row] = pending, time.monotonic()
                    pending = next(queue, None)
            if not any(occupants):
                return
            # Always the same number of steps between looks: when a row is looked at depends on its own age alone.
            for _ in range(self._settings.look_every):
                slots = self._advance(slots)
            for row, task, stop in self._finished(slots, occupants):
                yield self._outcome(task, slots, row, stop, time.monotonic() - begun[row])
                occupants[row] = None

    def _advance(self, slots: _Slots) -> _Slots:
        """One step of every row: evaluate at 8-bit pixels, keep candidates, adapt λ, move."""
        settings = self._settings
        x = round_to_8_bit(self._perturbation.apply(slots.x0, slots.z))
        weight = torch.where(slots.step >= settings.warm_steps, slots.weight, 0.0)
        goal = Goal(slots.goal_class, slots.goal_map)
        evaluation = self._objective.evaluate(x, weight, goal)
        probability = evaluation.logits.softmax(1).gather(1, slots.goal_class[:, None])[:, 0]
        score, held, kept = self._score(evaluation, slots, probability)
        active = slots.step < settings.steps
        score = torch.where(active, score, math.inf)
        best_score, best_image = _insert(slots.best_score, slots.best_image, score, x)
        better = score < slots.progress - settings.improvement * slots.progress.abs()
        # Of a row without a usable gradient (NaN, overflow) nothing moves; its pixels stay inside the ball.
        gradient = evaluation.gradient.nan_to_num(0.0, 0.0, 0.0)
        scale = gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
        velocity = settings.momentum * slots.velocity + gradient / scale
        size = self._sizes[slots.step.clamp(max=settings.steps - 1)]
        factor = torch.where(held, settings.weight_up, settings.weight_down)
        adapted = torch.where(
            slots.step >= settings.warm_steps, (slots.weight * factor).clamp(max=settings.most_weight), slots.weight
        )
        return _Slots(
            x0=slots.x0,
            z=self._perturbation.step(slots.x0, slots.z, -velocity.sign(), size),
            velocity=velocity,
            goal_class=slots.goal_class,
            goal_map=slots.goal_map,
            most_distance=slots.most_distance,
            least_overlap=slots.least_overlap,
            near_enough=slots.near_enough,
            weight=adapted,
            step=slots.step + active,
            best_score=best_score,
            best_image=best_image,
            progress=torch.where(better, score, slots.progress),
            progress_step=torch.where(better, slots.step, slots.progress_step),
            reached=slots.reached | (active & held & kept & (evaluation.map_distance <= slots.near_enough)),
            surest=torch.maximum(slots.surest, probability),
        )

    def _score(self, evaluation: Evaluation, slots: _Slots, probability: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rank (lower is better), class held with confidence, map kept; each (N,)."""
        hit = evaluation.logits.argmax(1) == slots.goal_class
        reachable = (self._settings.enough * slots.surest).clamp(max=HELD_CONFIDENCE)
        needed = torch.where(slots.step >= self._settings.relax_at, reachable, HELD_CONFIDENCE)
        held = hit & (probability >= needed)
        loss = evaluation.class_loss.clamp(max=_CAP)
        kept = (evaluation.map_distance <= slots.most_distance) & (evaluation.map_overlap >= slots.least_overlap)
        if self._objective.matches_map:
            wanted = torch.where(kept, evaluation.map_distance, _DRIFTED + _excess(evaluation, slots))
        else:
            wanted = loss.clamp(max=_HIT / 2)
        score = torch.where(held, wanted, torch.where(hit, _HIT + loss, _MISS + loss))
        return torch.where(torch.isfinite(score), score, 2 * _MISS), held, kept

    def _finished(self, slots: _Slots, occupants: list[Task | None]) -> list[tuple[int, Task, str]]:
        """Rows that are done and why. The only place where the host reads the device."""
        settings = self._settings
        # Counted from the middle of the schedule on: before, the steps are still too large to settle.
        settled = max(settings.warm_steps, settings.steps // 2)
        idle = slots.step - slots.progress_step.clamp(min=settled)
        table = torch.stack([slots.step.float(), slots.reached.float(), idle.float()]).cpu()
        done = []
        for row, task in enumerate(occupants):
            step, reached, stalled = table[:, row].tolist()
            if task is None:
                continue
            if settings.early_stop and self._objective.matches_map and reached:
                done.append((row, task, "target reached"))
            elif step >= settings.steps:
                done.append((row, task, "steps used up"))
            elif settings.early_stop and self._objective.matches_map and stalled >= settings.patience:
                done.append((row, task, "no improvement"))
        return done

    def _outcome(self, task: Task, slots: _Slots, row: int, stop: str, seconds: float) -> Outcome:
        known = torch.isfinite(slots.best_score[row])
        return Outcome(task.key, slots.best_image[row][known].cpu(), int(slots.step[row]), stop, seconds)

    def _filled(self, task: Task) -> _Slots:
        """Fresh state of one image (leading dimension 1)."""
        x0 = task.x0.to(self._device)[None].float() / 255
        blank = torch.zeros(1, 0, 0) if task.target_map is None else task.target_map[None]

        def per_row(value: float, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.full((1,), value, dtype=kind, device=self._device)

        return _Slots(
            x0=x0,
            z=self._perturbation.start(x0),
            velocity=torch.zeros_like(x0),
            goal_class=per_row(task.target_class, torch.int64),
            goal_map=blank.to(self._device, torch.float32),
            most_distance=per_row(task.most_distance),
            least_overlap=per_row(task.least_overlap),
            near_enough=per_row(task.near_enough),
            weight=per_row(self._settings.weight),
            step=per_row(0, torch.int64),
            best_score=torch.full((1, CANDIDATES), math.inf, device=self._device),
            best_image=task.x0.to(self._device).expand(1, CANDIDATES, -1, -1, -1),
            progress=per_row(2 * _MISS),
            progress_step=per_row(0, torch.int64),
            reached=per_row(0, torch.bool),
            surest=per_row(0.0),
        )

    def _empty(self, example: Task) -> _Slots:
        """A full batch of copies of one task, to be overwritten row by row; what stays is padding."""
        filled = self._filled(example)
        values = [getattr(filled, field.name) for field in fields(filled)]
        return _Slots(*(value.repeat(self._batch_size, *[1] * (value.dim() - 1)) for value in values))


def _excess(evaluation: Evaluation, slots: _Slots) -> Tensor:
    """The larger of both distances, each as a multiple of its limit, at most 5; (N,)."""
    distance = evaluation.map_distance / slots.most_distance.clamp_min(1e-6)
    overlap = (1 - evaluation.map_overlap) / (1 - slots.least_overlap).clamp_min(1e-6)
    return torch.maximum(distance, overlap).clamp(max=5.0)


def _step_size(settings: LoopSettings, step: int) -> float:
    """Cosine from the first to the last step size over the steps of a row."""
    share = step / max(1, settings.steps - 1)
    return settings.last_step + (settings.first_step - settings.last_step) * 0.5 * (1 + math.cos(math.pi * share))


def _insert(scores: Tensor, images: Tensor, score: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Put a new candidate (scores (N,), images (N,3,H,W) in [0,1]) among the best of each row, in order."""
    pixels = (x * 255).round().to(torch.uint8)
    place = (scores <= score[:, None]).sum(1)  # 0 … CANDIDATES; CANDIDATES: not among the best
    index = torch.arange(scores.shape[1], device=scores.device)[None]
    earlier = (index - (index > place[:, None]).long()).clamp(min=0)
    new_scores = torch.where(index == place[:, None], score[:, None], scores.gather(1, earlier))
    wide = earlier.view(*earlier.shape, 1, 1, 1).expand_as(images)
    here = (index == place[:, None]).view(*scores.shape, 1, 1, 1)
    return new_scores, torch.where(here, pixels[:, None], images.gather(1, wide))
