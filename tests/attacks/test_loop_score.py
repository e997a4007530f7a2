"""Rank and confidence of a candidate, asked for directly: each rule of the loop's score by itself."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from skinaudit.attacks.adv2 import Evaluation, MapObjective
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.interpreters.cam import Cam
from tests.small_networks import small_network

CPU = torch.device("cpu")
NOTHING, KEPT_BUT_UNSURE = 2000.0, 2.01  # best score so far: no image held yet; a map kept, without being sure
WARM = 10


def score_of(
    settings: LoopSettings, p: float, *, distance: float = 0.02, step: int = WARM, best: float = NOTHING, surest: float
) -> tuple[float, bool]:
    """Score of one candidate whose class is on top with probability p, and whether λ may grow; the limit is 0.1."""
    network = small_network()
    loop = Loop(MapObjective(Cam.for_network(network, torch.rand(1, 3, 33, 35))), LInf(8), settings, 1, CPU)
    goal = MapGoal(torch.zeros(9, 9), most_distance=0.1, least_overlap=0.0, near_enough=0.0)
    slots = loop._filled(Task("a", torch.zeros(3, 33, 35, dtype=torch.uint8), 1, (goal,)))
    slots = replace(
        slots,
        step=torch.tensor([step]),
        best_score=torch.full_like(slots.best_score, best),
        surest=torch.tensor([surest]),
    )
    evaluation = Evaluation(
        gradient=torch.zeros(1, 3, 33, 35),
        class_loss=torch.tensor([-math.log(p)]),
        map_loss=torch.zeros(1),
        map_distance=torch.tensor([[distance]]),
        map_overlap=torch.ones(1, 1),
        logits=torch.tensor([[0.0, 9.0, 0.0]]),
    )
    score, held, _ = loop._score(evaluation, slots, torch.tensor([p]))
    return float(score), bool(held)


SETTINGS = LoopSettings(steps=60, warm_steps=WARM, early_stop=False)
FIRST = replace(SETTINGS, map_first=True)


@pytest.mark.parametrize("settings", [SETTINGS, FIRST])
@pytest.mark.parametrize(("p", "surest", "held"), [(0.96, 0.99, True), (0.5, 0.8, True), (0.4, 0.8, False)])
def test_what_is_reachable_decides(settings: LoopSettings, p: float, surest: float, held: bool) -> None:
    # Of 0.8 nine tenths are asked, and six tenths of these while no map was kept: 0.432.
    assert score_of(settings, p, surest=surest)[1] is held


def test_an_image_that_can_be_sure_is_pressed_for_less_only_with_the_map_first() -> None:
    assert score_of(SETTINGS, 0.6, surest=0.99)[1] is False
    assert score_of(FIRST, 0.6, surest=0.99)[1] is True
    assert score_of(FIRST, 0.56, surest=0.99)[1] is False  # below 0.6 · 0.95


@pytest.mark.parametrize("settings", [SETTINGS, FIRST])
def test_the_warm_start_asks_for_all_of_it(settings: LoopSettings) -> None:
    assert score_of(settings, 0.94, step=WARM - 1, surest=0.94)[1] is False


def test_once_a_map_was_kept_the_map_first_asks_for_more() -> None:
    assert score_of(FIRST, 0.6, best=KEPT_BUT_UNSURE, surest=0.99)[1] is False
    assert score_of(FIRST, 0.5, best=KEPT_BUT_UNSURE, surest=0.8)[1] is False
    assert score_of(SETTINGS, 0.5, best=KEPT_BUT_UNSURE, surest=0.8)[1] is True


def test_ranks() -> None:
    sure_and_kept, _ = score_of(SETTINGS, 0.75, surest=0.8)
    kept, _ = score_of(SETTINGS, 0.5, surest=0.8)
    drifted, _ = score_of(SETTINGS, 0.5, distance=0.2, surest=0.8)
    sure_but_further, _ = score_of(SETTINGS, 0.75, distance=0.3, surest=0.8)
    not_held, _ = score_of(SETTINGS, 0.4, surest=0.8)
    assert sure_and_kept == pytest.approx(0.02)
    assert kept == pytest.approx(2.02)
    assert drifted == pytest.approx(4 + math.log(3))
    assert sure_but_further == pytest.approx(4 + math.log(4))
    assert not_held == pytest.approx(10 - math.log(0.4))


@pytest.mark.parametrize("family", ["activation", "gradient", "learned", "perturbation", None])
def test_the_learned_map_comes_first_and_no_other(family: str | None) -> None:
    settings = LoopSettings.for_attack(family, steps=60, warm_steps=WARM, early_stop=True)
    assert settings.map_first is (family == "learned")
