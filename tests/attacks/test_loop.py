"""Oracles: the same search written plainly for one image; the network asked directly about every candidate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from skinaudit.attacks.adv2 import ClassObjective, FiniteDifferenceObjective, MapObjective, Objective
from skinaudit.attacks.judge import Judge, Question
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.tasks import CANDIDATES, MapGoal, Outcome, Task
from skinaudit.config import HELD_CONFIDENCE
from skinaudit.interpreters.base import Interpreter
from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad import Grad
from tests.small_networks import images, seeded, small_network

CPU = torch.device("cpu")
LEVELS = 8
SETTINGS = LoopSettings(steps=30, warm_steps=5, early_stop=False)
EARLY = replace(SETTINGS, early_stop=True)


@dataclass(frozen=True)
class Attack:
    """A network, what is attacked, and the maps its interpreter shows."""

    network: nn.Module
    objective: Objective
    interpreter: Interpreter | None

    def tasks(self, count: int, *, near_enough: Sequence[float] = (0.0,)) -> list[Task]:
        """Every image is to become the class after its own, and to keep its map."""
        pixels = images(count)
        x = pixels.float() / 255
        source = self.network(x).argmax(1)
        maps = None if self.interpreter is None else list(self.interpreter.explain(x, source))
        return [
            Task(
                str(i),
                pixels[i],
                int(source[i] + 1) % 3,
                () if maps is None else (MapGoal(maps[i], near_enough=near_enough[i % len(near_enough)]),),
            )
            for i in range(count)
        ]


def attack_named(name: str) -> Attack:
    activation = nn.SiLU if name.endswith("silu") else nn.ReLU
    network = small_network(activation)
    cam, grad = Cam.for_network(network, torch.rand(1, 3, 33, 35)), Grad(network)
    return {
        "pgd": Attack(network, ClassObjective(network), None),
        "cam": Attack(network, MapObjective(cam), cam),
        "grad-cam": Attack(network, MapObjective(Cam(network, None)), cam),
        "grad": Attack(network, FiniteDifferenceObjective(grad), grad),
        "smoothed": Attack(network, MapObjective(grad), grad),
    }[name.removesuffix(" silu")]


NAMES = ["pgd", "cam", "grad-cam", "grad", "smoothed", "pgd silu", "cam silu", "grad silu"]


def run(
    attack: Attack, tasks: Sequence[Task], settings: LoopSettings = SETTINGS, batch_size: int = 4
) -> dict[str, Outcome]:
    outcomes = list(Loop(attack.objective, LInf(LEVELS), settings, batch_size, CPU).run(tasks))
    assert len({outcome.key for outcome in outcomes}) == len(outcomes)
    return {outcome.key: outcome for outcome in outcomes}


def same(a: Outcome, b: Outcome) -> bool:
    return (a.key, a.steps, a.stop) == (b.key, b.steps, b.stop) and torch.equal(a.candidates, b.candidates)


def levels(outcome: Outcome, task: Task) -> int:
    return int((outcome.candidates.int() - task.x0.int()).abs().max())


# --- it is an attack --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_most_images_change_their_class_with_confidence_inside_the_ball(name: str) -> None:
    attack = attack_named(name)
    tasks = attack.tasks(6)
    outcomes = run(attack, tasks)
    held = 0
    for task in tasks:
        outcome = outcomes[task.key]
        assert 0 < levels(outcome, task) <= LEVELS
        assert outcome.candidates.shape == (CANDIDATES, 3, 33, 35)
        assert outcome.candidates.dtype == torch.uint8
        assert outcome.steps == SETTINGS.steps
        assert outcome.stop == "steps used up"
        assert outcome.seconds >= 0
        probabilities = attack.network(outcome.candidates[:1].float() / 255).softmax(1)[0]
        held += bool(probabilities[task.target_class] >= HELD_CONFIDENCE)
    assert held >= 5


def drift(attack: Attack, tasks: Sequence[Task], outcomes: dict[str, Outcome]) -> float:
    """Mean L1 distance of the best candidates' maps to the wanted ones."""
    assert attack.interpreter is not None
    x = torch.stack([outcomes[task.key].candidates[0] for task in tasks]).float() / 255
    maps = attack.interpreter.explain(x, torch.tensor([task.target_class for task in tasks]))
    wanted = torch.stack([task.maps[0].target for task in tasks])
    return float((maps - wanted).abs().mean())


@pytest.mark.parametrize("name", ["cam", "grad"])
def test_the_joint_attack_keeps_maps_better_than_pgd(name: str) -> None:
    attack = attack_named(name)
    tasks = attack.tasks(6)
    assert drift(attack, tasks, run(attack, tasks)) < 0.8 * drift(attack, tasks, run(attack_named("pgd"), tasks))


def test_a_network_that_is_never_sure_does_not_pass_for_robust() -> None:
    attack = attack_named("cam")
    head = attack.network.get_submodule("6")
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(0.06)
    tasks = attack.tasks(6)
    joint = run(attack, tasks)
    plain = run(Attack(attack.network, ClassObjective(attack.network), None), tasks)
    never = run(attack, tasks, replace(SETTINGS, enough=math.inf))
    for task in tasks:
        probabilities = attack.network(plain[task.key].candidates[:1].float() / 255).softmax(1)[0]
        assert 0.4 < probabilities[task.target_class] < HELD_CONFIDENCE
        assert int(attack.network(joint[task.key].candidates[:1].float() / 255).argmax()) == task.target_class
    assert drift(attack, tasks, joint) < 0.8 * drift(attack, tasks, plain)
    assert drift(attack, tasks, joint) < drift(attack, tasks, never)


def test_an_image_that_became_sure_is_never_pressed_for_less() -> None:
    attack = attack_named("cam")
    # So much weight that the class gives way, and limits so tight that no map counts as kept.
    settings = replace(SETTINGS, warm_steps=10, steps=60, weight=1000.0, weight_up=2.0)
    tasks = [replace(task, maps=(replace(task.maps[0], most_distance=1e-4),)) for task in attack.tasks(12)]
    strict, lax = (run(attack, tasks, replace(settings, fallback=share)) for share in (1.0, 0.05))
    warm = run(Attack(attack.network, ClassObjective(attack.network), None), tasks, replace(settings, steps=10))
    for task in tasks:
        assert confidence(attack, warm[task.key], task) >= HELD_CONFIDENCE
        assert same(strict[task.key], lax[task.key])


def test_an_image_whose_map_stays_far_gives_up_confidence_for_it() -> None:
    attack = attack_named("cam")
    settings = replace(SETTINGS, warm_steps=10, steps=60, weight=1000.0, weight_up=2.0, fallback=0.5)
    tasks = [
        replace(task, maps=(replace(task.maps[0], most_distance=1e-3, least_overlap=0.0),)) for task in attack.tasks(6)
    ]
    strict, given_up = (run(attack, tasks, replace(settings, far=far)) for far in (math.inf, 2.0))
    moved = [task for task in tasks if not same(strict[task.key], given_up[task.key])]
    assert moved
    assert drift(attack, moved, given_up) < drift(attack, moved, strict)
    assert all(confidence(attack, strict[task.key], task) >= HELD_CONFIDENCE for task in moved)
    assert all(confidence(attack, given_up[task.key], task) >= 0.5 * HELD_CONFIDENCE for task in moved)
    assert any(confidence(attack, given_up[task.key], task) < HELD_CONFIDENCE for task in moved)


def test_with_the_map_first_every_image_is_pressed_until_its_map_was_kept() -> None:
    attack = attack_named("cam")
    settings = replace(SETTINGS, warm_steps=10, steps=60, weight=1000.0, weight_up=2.0)
    first = replace(settings, map_first=True, fallback=0.5)
    out_of_reach, always = ((1e-4, 1.0), (1.0, 0.0))
    for (most, least), differs in ((out_of_reach, True), (always, False)):
        tasks = [
            replace(task, maps=(replace(task.maps[0], most_distance=most, least_overlap=least),))
            for task in attack.tasks(6)
        ]
        lax, strict = run(attack, tasks, first), run(attack, tasks, settings)
        assert all(same(lax[task.key], strict[task.key]) for task in tasks) is not differs
        if differs:
            assert drift(attack, tasks, lax) < drift(attack, tasks, strict)
        assert all(confidence(attack, lax[task.key], task) >= 0.5 * HELD_CONFIDENCE for task in tasks)


def test_with_the_map_first_no_search_ends_early_before_map_and_confidence_are_there() -> None:
    attack = attack_named("cam")
    early = replace(EARLY, steps=60, patience=5)
    tasks = [replace(task, maps=(replace(task.maps[0], most_distance=1e-6),)) for task in attack.tasks(4)]
    stops = {one.stop for one in run(attack, tasks, early).values()}
    assert "no improvement" in stops
    assert {one.stop for one in run(attack, tasks, replace(early, map_first=True)).values()} == {"steps used up"}
    kept = [replace(task, maps=(replace(task.maps[0], most_distance=1.0, least_overlap=0.0),)) for task in tasks]
    assert "no improvement" in {one.stop for one in run(attack, kept, replace(early, map_first=True)).values()}


def test_of_maps_that_drifted_the_nearest_comes_first_however_sure() -> None:
    attack = attack_named("cam")
    settings = replace(SETTINGS, warm_steps=10, steps=60, weight=1000.0, weight_up=2.0, map_first=True, fallback=0.5)
    # With these limits the L1 distance decides the excess.
    tasks = [
        replace(task, maps=(replace(task.maps[0], most_distance=2e-3, least_overlap=0.0),)) for task in attack.tasks(6)
    ]
    outcomes = run(attack, tasks, settings)
    assert attack.interpreter is not None
    for task in tasks:
        x = outcomes[task.key].candidates.float() / 255
        maps = attack.interpreter.explain(x, torch.full((len(x),), task.target_class))
        distances = (maps - task.maps[0].target).abs().mean((1, 2)).tolist()
        assert distances == sorted(distances)
    assert any(confidence(attack, outcomes[task.key], task) < HELD_CONFIDENCE for task in tasks)


def confidence(attack: Attack, outcome: Outcome, task: Task) -> float:
    """Of the wanted class at the best candidate."""
    return float(attack.network(outcome.candidates[:1].float() / 255).softmax(1)[0, task.target_class])


def plain_search(attack: Attack, task: Task, settings: LoopSettings) -> list[tuple[float, Tensor]]:
    """What the loop does, for one image, as its description reads: every (rank, 8-bit image) in order of rank."""
    x0 = task.x0[None].float() / 255
    z, velocity, weight = torch.zeros_like(x0), torch.zeros_like(x0), settings.weight
    label, seen = torch.tensor([task.target_class]), []
    for step in range(settings.steps):
        pixels = ((x0 + z).clamp(0, 1) * 255).round()
        leaf = (pixels / 255).requires_grad_()
        if attack.interpreter is None:
            logits, distance = attack.network(leaf), None
            total = functional.cross_entropy(logits, label)
        else:
            logits, maps = attack.interpreter.differentiable(leaf, label)
            distance = float((maps.detach() - task.maps[0].target).abs().mean())
            factor = weight if step >= settings.warm_steps else 0.0
            total = functional.cross_entropy(logits, label) + factor * (maps - task.maps[0].target).square().mean()
        (gradient,) = torch.autograd.grad(total, leaf)
        loss = float(functional.cross_entropy(logits.detach(), label))
        held = math.exp(-loss) >= HELD_CONFIDENCE
        group = 0 if held else 1 if int(logits.argmax()) == task.target_class else 2
        seen.append((group * 1000 + (loss if distance is None or group else distance), pixels[0].to(torch.uint8)))
        velocity = settings.momentum * velocity + gradient / gradient.abs().mean()
        share = step / (settings.steps - 1)
        low, high = settings.last_step, settings.first_step
        size = low + (high - low) * (1 + math.cos(math.pi * share)) / 2
        z = torch.minimum(torch.maximum((z - size * velocity.sign()).clamp(-LEVELS / 255, LEVELS / 255), -x0), 1 - x0)
        if step >= settings.warm_steps:
            weight *= settings.weight_up if held else settings.weight_down
    return sorted(seen, key=lambda one: one[0])


@pytest.mark.parametrize("name", ["pgd", "cam", "smoothed"])
def test_the_search_is_the_described_one(name: str) -> None:
    attack = attack_named(name)
    settings = replace(SETTINGS, steps=15)
    for task in attack.tasks(3):
        outcome = run(attack, [task], settings, batch_size=1)[task.key]
        for found, (_, expected) in zip(outcome.candidates, plain_search(attack, task, settings), strict=False):
            assert (found != expected).float().mean() < 0.01  # signs of gradients near zero may differ


# --- rule 2: a row's result does not depend on its neighbours ---------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_bit_identical_whatever_their_neighbours_and_position(name: str) -> None:
    attack = attack_named(name)
    tasks = attack.tasks(4)
    together = run(attack, tasks)
    for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
        shuffled = run(attack, [tasks[i] for i in order])
        assert all(same(shuffled[key], together[key]) for key in together)
    for task in tasks:
        assert same(run(attack, [task])[task.key], together[task.key])


def test_rows_are_bit_identical_also_on_two_threads() -> None:
    torch.set_num_threads(2)
    attack = attack_named("cam silu")
    tasks, short = attack.tasks(4), replace(SETTINGS, steps=10)
    together = run(attack, tasks, short)
    assert all(same(run(attack, [task], short)[task.key], together[task.key]) for task in tasks[1:3])


@pytest.mark.parametrize("name", ["pgd", "cam", "grad"])
def test_refill_changes_nothing_for_other_rows(name: str) -> None:
    """Images finish at different ages, so that slots are refilled while their neighbours are under way."""
    attack = attack_named(name)
    tasks = attack.tasks(9, near_enough=(1.0, 0.0, 0.15, 0.0, 0.0))
    settings = replace(EARLY, look_every=5, steps=40)
    alone = {task.key: run(attack, [task], settings)[task.key] for task in tasks}
    for order in (tasks, tasks[::-1], tasks[4:] + tasks[:4]):
        refilled = run(attack, order, settings)
        assert all(same(refilled[key], alone[key]) for key in alone)
    if name != "pgd":
        assert len({outcome.steps for outcome in alone.values()}) > 1


@pytest.mark.parametrize("name", ["pgd", "cam", "grad", "smoothed"])
def test_same_images_same_bytes(name: str) -> None:
    first, second = (run(attack_named(name), attack_named(name).tasks(3)) for _ in range(2))
    assert all(same(first[key], second[key]) for key in first)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 11])
def test_every_task_has_one_outcome_whatever_the_batch_shape(count: int) -> None:
    attack = attack_named("pgd")
    short = replace(SETTINGS, steps=4, look_every=2)
    outcomes = run(attack, attack.tasks(count) if count else [], short)
    assert sorted(outcomes, key=int) == [str(i) for i in range(count)]
    assert all(outcome.steps == 4 for outcome in outcomes.values())


def test_the_network_sees_one_batch_shape_only() -> None:
    shapes = set()

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small_network()

        def forward(self, x: Tensor) -> Tensor:
            shapes.add(tuple(x.shape))
            logits: Tensor = self.inner(x)
            return logits

    attack = attack_named("grad")
    watched = replace(attack, objective=FiniteDifferenceObjective(Grad(Watched())))
    run(watched, attack.tasks(5), replace(SETTINGS, steps=7, look_every=5))
    assert shapes == {(4, 3, 33, 35)}


def test_tasks_are_taken_only_as_slots_need_them() -> None:
    attack = attack_named("pgd")
    taken = []

    def stream() -> Iterator[Task]:
        for task in attack.tasks(9):
            taken.append(task.key)
            yield task

    loop = Loop(attack.objective, LInf(LEVELS), replace(SETTINGS, steps=2, look_every=2), 2, CPU)
    for done, _ in enumerate(loop.run(stream()), 1):
        assert len(taken) <= done + 3


# --- candidates -------------------------------------------------------------------------------------------------------


def ranks(attack: Attack, task: Task, candidates: Tensor) -> list[float]:
    x, label = candidates.float() / 255, torch.full((len(candidates),), task.target_class)
    logits = attack.network(x)
    loss = functional.cross_entropy(logits, label, reduction="none")
    held = (-loss).exp() >= HELD_CONFIDENCE
    group = torch.where(held, 0, torch.where(logits.argmax(1) == label, 1, 2))
    wanted = loss
    if attack.interpreter is not None:
        wanted = (attack.interpreter.explain(x, label) - task.maps[0].target).abs().mean((1, 2))
    return (group * 1000 + torch.where(held, wanted, loss)).tolist()


@pytest.mark.parametrize("name", ["pgd", "cam", "grad"])
def test_candidates_come_best_first(name: str) -> None:
    attack = attack_named(name)
    tasks = attack.tasks(5)
    outcomes = run(attack, tasks)
    for task in tasks:
        found = ranks(attack, task, outcomes[task.key].candidates)
        assert all(a <= b + 1e-4 for a, b in pairwise(found))


def test_a_search_of_one_step_hands_over_the_one_image_it_saw() -> None:
    attack = attack_named("cam")
    (task,) = attack.tasks(1)
    outcome = run(attack, [task], replace(SETTINGS, steps=1))[task.key]
    assert torch.equal(outcome.candidates, task.x0[None])
    assert outcome.steps == 1


def test_steps_between_looks_are_not_counted_beyond_the_budget() -> None:
    attack = attack_named("cam")
    (task,) = attack.tasks(1)
    seven, exact = (run(attack, [task], replace(SETTINGS, steps=7, look_every=n))[task.key] for n in (10, 7))
    assert seven.steps == exact.steps == 7
    assert torch.equal(seven.candidates, exact.candidates)


# --- early stop -------------------------------------------------------------------------------------------------------


def test_an_image_stops_once_its_class_is_held_and_its_map_near_enough() -> None:
    attack = attack_named("cam")
    tasks = attack.tasks(4, near_enough=(1.0,))
    for outcome in run(attack, tasks, EARLY).values():
        assert outcome.stop == "target reached"
        assert outcome.steps < EARLY.steps
        assert outcome.steps % EARLY.look_every == 0
    for outcome in run(attack, tasks, SETTINGS).values():
        assert (outcome.stop, outcome.steps) == ("steps used up", SETTINGS.steps)


def test_an_image_that_reached_its_target_has_a_candidate_that_near() -> None:
    attack = attack_named("cam")
    tasks = attack.tasks(6, near_enough=(0.1,))
    outcomes = run(attack, tasks, replace(EARLY, steps=60))
    reached = [task for task in tasks if outcomes[task.key].stop == "target reached"]
    assert reached
    for task in reached:
        assert ranks(attack, task, outcomes[task.key].candidates[:1])[0] <= 0.1 + 1e-4


def test_pgd_uses_up_its_steps() -> None:
    attack = attack_named("pgd")
    for outcome in run(attack, attack.tasks(3, near_enough=(1.0,)), EARLY).values():
        assert (outcome.stop, outcome.steps) == ("steps used up", EARLY.steps)


def constant(network: nn.Module) -> nn.Module:
    """The same network, but its logits do not depend on the image."""
    head = list(network.modules())[-1]
    assert isinstance(head, nn.Linear)
    head.weight.zero_()
    head.bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
    return network


def test_an_image_that_does_not_improve_stops_after_its_patience() -> None:
    network = constant(small_network())
    attack = Attack(network, MapObjective(Cam(network, torch.zeros(3, 12))), Cam(network, torch.zeros(3, 12)))
    settings = replace(EARLY, steps=200, patience=20, look_every=5)
    for outcome in run(attack, attack.tasks(3), settings).values():
        assert outcome.stop == "no improvement"
        half = settings.steps // 2  # before that the steps are too large for a standstill to mean anything
        assert half + settings.patience <= outcome.steps <= half + settings.patience + 5


# --- what cannot be attacked ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pgd", "cam", "grad", "smoothed"])
def test_a_constant_network_ends_as_not_successful(name: str) -> None:
    network = constant(small_network())
    cam, grad = Cam.for_network(network, torch.rand(1, 3, 33, 35)), Grad(network)
    objectives: dict[str, tuple[Objective, Interpreter | None]] = {
        "pgd": (ClassObjective(network), None),
        "cam": (MapObjective(cam), cam),
        "grad": (FiniteDifferenceObjective(grad), grad),
        "smoothed": (MapObjective(grad), grad),
    }
    attack = Attack(network, *objectives[name])
    tasks = attack.tasks(3)
    outcomes = run(attack, tasks, replace(SETTINGS, steps=12))
    judge = Judge(network, {"cam": cam, "grad": grad}, 4, CPU)
    for task in tasks:
        candidates = outcomes[task.key].candidates
        assert len(candidates) > 0
        assert levels(outcomes[task.key], task) <= LEVELS
        (clean,) = judge.clean([task.x0])
        for verdict in judge.verdicts([Question(pixels, clean, "grad") for pixels in candidates]):
            assert verdict.predicted == clean.predicted == 0
            assert verdict.predicted != task.target_class


class Fragile(nn.Module):
    """Gives NaN logits for bright images, NaN gradients for black ones."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_network()

    def forward(self, x: Tensor) -> Tensor:
        brightness = x.mean((1, 2, 3))[:, None]
        logits: Tensor = self.inner(x)
        return logits + 0 * torch.log(0.9 - brightness) + 0 * torch.sqrt(brightness)


@pytest.mark.parametrize("name", ["pgd", "cam", "grad"])
def test_nan_neither_crashes_nor_spreads_nor_leaves_the_ball(name: str) -> None:
    network = seeded(Fragile)
    cam, grad = Cam.for_network(network.inner, torch.rand(1, 3, 33, 35)), Grad(network)
    assert isinstance(cam, Cam)
    cam = replace(cam, classifier=network)
    objectives: dict[str, tuple[Objective, Interpreter | None]] = {
        "pgd": (ClassObjective(network), None),
        "cam": (MapObjective(cam), cam),
        "grad": (FiniteDifferenceObjective(grad), grad),
    }
    attack = Attack(network, *objectives[name])
    good = attack.tasks(2)
    blank = tuple(MapGoal(torch.zeros_like(one.target)) for one in good[0].maps)
    bright = Task("bright", torch.full((3, 33, 35), 250, dtype=torch.uint8), 1, blank)
    black = Task("black", torch.zeros(3, 33, 35, dtype=torch.uint8), 1, blank)
    outcomes = run(attack, [bright, good[0], black, good[1]])
    expected = run(attack, good)
    assert all(same(outcomes[task.key], expected[task.key]) for task in good)
    for task in (bright, black):
        assert len(outcomes[task.key].candidates) > 0
        assert levels(outcomes[task.key], task) <= LEVELS


class RootOfOnePixel(nn.Module):
    """Its gradient is not a number at the first pixel where that is black."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_network()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        return logits + 0 * x[:, :1, 0, 0].sqrt()


def test_a_pixel_without_gradient_does_not_stop_the_others() -> None:
    attack = Attack(seeded(RootOfOnePixel), ClassObjective(seeded(RootOfOnePixel)), None)
    (task,) = attack.tasks(1)
    pixels = task.x0.clone()
    pixels[0, 0, 0] = 0
    outcome = run(attack, [replace(task, x0=pixels)])[task.key]
    moved = (outcome.candidates[0] != pixels).float()
    assert moved.mean() > 0.5
    assert moved[0, 0, 0] == 0


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["activation", "gradient", "learned", "perturbation", None])
def test_settings_of_an_attack_carry_the_budget(family: str | None) -> None:
    settings = LoopSettings.for_attack(family, steps=33, warm_steps=7, early_stop=True)
    assert (settings.steps, settings.warm_steps, settings.early_stop) == (33, 7, True)
    assert 0 < settings.last_step < settings.first_step
    assert settings.weight > 0
    assert settings.weight_down < 1 < settings.weight_up
