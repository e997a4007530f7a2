"""THE loop: sign steps with momentum over one frozen batch shape, slots refilled as images finish.

Nothing else in the package iterates on x. All state is per row; a row's result does not depend on its neighbours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from skinaudit.attacks.adv2 import Evaluation, Goal, Objective, State
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import Perturbation, round_to_8_bit
from skinaudit.attacks.tasks import CANDIDATES, Outcome, Task
from skinaudit.config import HELD_CONFIDENCE

#: Ranks: sure of the class and the map kept < kept, but not so sure < the map drifted < not sure enough even for that
#: < another class. Within a rank the L1 distance (at most 1), the excess over the limits, or the capped class loss.
_UNSURE, _DRIFTED, _HIT, _MISS, _CAP = 2.0, 4.0, 10.0, 1000.0, 500.0


@dataclass(frozen=True)
class _Slots:
    """Everything that belongs to a row of the batch (leading dimension N)."""

    x0: Tensor
    z: Tensor
    velocity: Tensor
    goal_class: Tensor
    goal_maps: State  # one (N,h,w) for each map that is matched
    most_distance: Tensor  # (N,G), as the next two
    least_overlap: Tensor
    near_enough: Tensor
    state: State  # what the objective keeps of each row
    weight: Tensor
    step: Tensor
    best_score: Tensor  # (N, CANDIDATES), ascending
    best_image: Tensor  # (N, CANDIDATES, 3, H, W) uint8
    best_extent: Tensor  # (N, CANDIDATES, E)
    progress: Tensor
    progress_step: Tensor
    reached: Tensor
    surest: Tensor  # highest probability of the wanted class so far
    map_first: Tensor  # (N,) bool: the confidence waits until a map was kept

    def put(self, row: int, new: _Slots) -> None:
        for field in fields(self):
            for mine, others in zip(_tensors(self, field.name), _tensors(new, field.name), strict=True):
                mine[row] = others[0]


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
        self._sizes = torch.tensor([settings.step_size(step) for step in range(settings.steps)], device=device)

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
        slots = replace(slots, map_first=self._map_first(slots))
        picture = round_to_8_bit(self._perturbation.apply(slots.x0, slots.z))
        x = self._perturbation.seen(picture)
        weight = torch.where(slots.step >= settings.warm_steps, slots.weight, 0.0)
        goal = Goal(slots.goal_class, slots.goal_maps)
        evaluation = self._objective.evaluate(x, weight, goal, slots.state)
        probability = evaluation.logits.softmax(1).gather(1, slots.goal_class[:, None])[:, 0]
        score, held, done = self._score(evaluation, slots, probability)
        active = slots.step < settings.steps
        score = torch.where(active, score, math.inf)
        best_score, best_image, best_extent = _insert(slots, score, picture, self._perturbation.extent(slots.z))
        better = score < slots.progress - settings.improvement * within_rank(slots.progress)
        # Of a row without a usable gradient (NaN, overflow) nothing moves; its pixels stay inside the ball.
        gradient = self._perturbation.pull_back(slots.x0, slots.z, evaluation.gradient.nan_to_num(0.0, 0.0, 0.0))
        scale = gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
        velocity = settings.momentum * slots.velocity + gradient / scale
        size = self._sizes[slots.step.clamp(max=settings.steps - 1)]
        factor = torch.where(held, settings.weight_up, settings.weight_down)
        adapted = torch.where(
            slots.step >= settings.warm_steps, (slots.weight * factor).clamp(max=settings.most_weight), slots.weight
        )
        return _Slots(
            x0=slots.x0,
            z=self._perturbation.step(slots.x0, slots.z, self._perturbation.direction(velocity), size),
            velocity=velocity,
            goal_class=slots.goal_class,
            goal_maps=slots.goal_maps,
            most_distance=slots.most_distance,
            least_overlap=slots.least_overlap,
            near_enough=slots.near_enough,
            state=evaluation.state,
            weight=adapted,
            step=slots.step + active,
            best_score=best_score,
            best_image=best_image,
            best_extent=best_extent,
            progress=torch.where(better, score, slots.progress),
            progress_step=torch.where(better, slots.step, slots.progress_step),
            reached=slots.reached | (active & done & (evaluation.map_distance <= slots.near_enough).all(1)),
            surest=torch.maximum(slots.surest, probability),
            map_first=slots.map_first,
        )

    def _map_first(self, slots: _Slots) -> Tensor:
        """Rows that ask for the map before the confidence: some families always, others once a map stays far, (N,).

        Far: after a third of the steps the nearest map with the class held well is many times its limit away. To go
        on so would end in a sure diagnosis beside a map that gives the attack away.
        """
        settings, best = self._settings, slots.best_score[:, 0]
        far = (best >= _DRIFTED + math.log1p(settings.far)) & (best < _HIT) & (slots.surest >= HELD_CONFIDENCE)
        return slots.map_first | (far & (slots.step >= settings.far_from))

    def _score(self, evaluation: Evaluation, slots: _Slots, probability: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rank (lower is better), class held well enough to press on the map, map kept and class sure; each (N,)."""
        settings = self._settings
        hit = evaluation.logits.argmax(1) == slots.goal_class
        warmed = slots.step >= settings.warm_steps
        never = warmed & (slots.surest < HELD_CONFIDENCE)
        reachable = torch.where(never, settings.enough * slots.surest, HELD_CONFIDENCE)
        best = slots.best_score[:, 0]
        pressed = torch.where(slots.map_first, warmed & (best >= _DRIFTED), never & (best >= _UNSURE))
        held = hit & (probability >= torch.where(pressed, settings.fallback * reachable, reachable))
        sure = hit & (probability >= reachable)
        near, alike = evaluation.map_distance <= slots.most_distance, evaluation.map_overlap >= slots.least_overlap
        kept = (near & alike).all(1)
        loss = evaluation.class_loss.clamp(max=_CAP)
        if self._objective.matches_map:
            distance = evaluation.map_distance.mean(1)
            as_kept = torch.where(sure, distance, _UNSURE + distance)
            wanted = torch.where(kept, as_kept, _DRIFTED + _excess(evaluation, slots))
        else:
            wanted = loss.clamp(max=_HIT / 2)
        score = torch.where(held, wanted, torch.where(hit, _HIT + loss, _MISS + loss))
        return torch.where(torch.isfinite(score), score, 2 * _MISS), held, sure & kept

    def _finished(self, slots: _Slots, occupants: list[Task | None]) -> list[tuple[int, Task, str]]:
        """Rows that are done and why. The only place where the host reads the device."""
        settings = self._settings
        # Counted from the middle of the schedule on: before, the steps are still too large to settle.
        idle = slots.step - slots.progress_step.clamp(min=settings.half_way)
        # Where the confidence comes last, only a sure candidate with a kept map can be final.
        idle = torch.where(slots.map_first & (slots.best_score[:, 0] >= _UNSURE), 0, idle)
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
        images, extents = slots.best_image[row][known].cpu(), slots.best_extent[row][known].cpu()
        return Outcome(task.key, images, extents, int(slots.step[row]), stop, seconds)

    def _filled(self, task: Task) -> _Slots:
        """Fresh state of one image (leading dimension 1)."""
        x0 = task.x0.to(self._device)[None].float() / 255
        goal_maps = tuple(one.target[None].to(self._device, torch.float32) for one in task.maps)

        def per_row(value: float, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.full((1,), value, dtype=kind, device=self._device)

        def per_map(values: list[float]) -> Tensor:
            return torch.tensor([values], dtype=torch.float32, device=self._device)

        goal_class = per_row(task.target_class, torch.int64)
        begin = None if task.begin is None else task.begin.to(self._device)[None].float() / 255
        z = self._perturbation.start(x0, begin)
        seen = self._perturbation.seen(self._perturbation.apply(x0, z))
        return _Slots(
            x0=x0,
            z=z,
            velocity=torch.zeros_like(z),
            goal_class=goal_class,
            goal_maps=goal_maps,
            most_distance=per_map([one.most_distance for one in task.maps]),
            least_overlap=per_map([one.least_overlap for one in task.maps]),
            near_enough=per_map([one.near_enough for one in task.maps]),
            state=self._objective.start(seen, Goal(goal_class, goal_maps)),
            weight=per_row(self._settings.weight),
            step=per_row(0, torch.int64),
            best_score=torch.full((1, CANDIDATES), math.inf, device=self._device),
            best_image=task.x0.to(self._device).expand(1, CANDIDATES, -1, -1, -1),
            best_extent=self._perturbation.extent(z)[:, None].repeat(1, CANDIDATES, 1),
            progress=per_row(2 * _MISS),
            progress_step=per_row(0, torch.int64),
            reached=per_row(0, torch.bool),
            surest=per_row(0.0),
            map_first=per_row(self._settings.map_first, torch.bool),
        )

    def _empty(self, example: Task) -> _Slots:
        """A full batch of copies of one task, to be overwritten row by row; what stays is padding."""
        filled = self._filled(example)
        copies: dict[str, Tensor | State] = {}
        for field in fields(filled):
            copied = tuple(
                value.repeat(self._batch_size, *[1] * (value.dim() - 1)) for value in _tensors(filled, field.name)
            )
            copies[field.name] = copied if isinstance(getattr(filled, field.name), tuple) else copied[0]
        return _Slots(**copies)  # type: ignore[arg-type]  # the fields of a _Slots, under their names


def _tensors(slots: _Slots, name: str) -> State:
    """The tensors of a field, whether it is one or several."""
    value = getattr(slots, name)
    return value if isinstance(value, tuple) else (value,)


def within_rank(score: Tensor) -> Tensor:
    """What is left of scores (N,) without the offset of their rank: an improvement is a share of that alone.

    >>> within_rank(torch.tensor([0.5, 2.5, 4.25, 10.5, 1000.5])).tolist()
    [0.5, 0.5, 0.25, 0.5, 0.5]
    """
    offsets = score.new_tensor([0.0, _UNSURE, _DRIFTED, _HIT, _MISS])
    return score - offsets[torch.bucketize(score, offsets[1:], right=True)]


def _excess(evaluation: Evaluation, slots: _Slots) -> Tensor:
    """ln(1 + the largest of all distances, each as a multiple of its limit), at most 5; (N,)."""
    distance = evaluation.map_distance / slots.most_distance.clamp_min(1e-6)
    overlap = (1 - evaluation.map_overlap) / (1 - slots.least_overlap).clamp_min(1e-6)
    return torch.maximum(distance, overlap).amax(1).log1p().clamp(max=5.0)


def _insert(slots: _Slots, score: Tensor, picture: Tensor, extent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Put a new candidate (score (N,), picture (N,3,H,W) in [0,1], extent (N,E)) among the best of each row."""
    scores, images, extents = slots.best_score, slots.best_image, slots.best_extent
    pixels = (picture * 255).round().to(torch.uint8)
    place = (scores <= score[:, None]).sum(1)  # 0 … CANDIDATES; CANDIDATES: not among the best
    index = torch.arange(scores.shape[1], device=scores.device)[None]
    earlier = (index - (index > place[:, None]).long()).clamp(min=0)
    here = index == place[:, None]
    return (
        torch.where(here, score[:, None], scores.gather(1, earlier)),
        torch.where(here[..., None, None, None], pixels[:, None], _of_rows(images, earlier)),
        torch.where(here[..., None], extent[:, None], _of_rows(extents, earlier)),
    )


def _of_rows(values: Tensor, places: Tensor) -> Tensor:
    """Of each row (N,C,…) the entries at places (N,C)."""
    return values.gather(1, places.view(*places.shape, *[1] * (values.dim() - 2)).expand_as(values))
