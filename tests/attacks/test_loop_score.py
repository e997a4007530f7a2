"""Rank and confidence of a candidate, asked for directly: each rule of the loop's score by itself."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from skinaudit.attacks.adv2 import Evaluation, MapObjective
from skinaudit.attacks.loop import Loop, _Slots
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.interpreters.cam import Cam
from tests.small_networks import small_network

CPU = torch.device("cpu")
NOTHING, KEPT_BUT_UNSURE = 2000.0, 2.01  # best score so far: no image held yet; a map kept, without being sure
WARM = 10


def task() -> Task:
    """A black image whose black map may move by 0.1."""
    goal = MapGoal(torch.zeros(9, 9), most_distance=0.1, least_overlap=0.0, near_enough=0.0)
    return Task("a", torch.zeros(3, 33, 35, dtype=torch.uint8), 1, (goal,))


def row_of(settings: LoopSettings, *, step: int, best: float, surest: float) -> tuple[Loop, _Slots]:
    """A loop, and one row of it at that step; the limit of its map is 0.1."""
    network = small_network()
    loop = Loop(MapObjective(Cam.for_network(network, torch.rand(1, 3, 33, 35))), LInf(8), settings, 1, CPU)
    slots = loop._filled(task())
    best_score = torch.full_like(slots.best_score, best)
    return loop, replace(slots, step=torch.tensor([step]), best_score=best_score, surest=torch.tensor([surest]))


def score_of(
    settings: LoopSettings, p: float, *, distance: float = 0.02, step: int = WARM, best: float = NOTHING, surest: float
) -> tuple[float, bool]:
    """Score of one candidate whose class is on top with probability p, and whether λ may grow; the limit is 0.1."""
    loop, slots = row_of(settings, step=step, best=best, surest=surest)
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


FAR = replace(SETTINGS, far=4.0)
FIVE_TIMES, NEARER = 4 + math.log(1 + 5), 4 + math.log(1 + 3.9)  # ranks of maps that drifted so far
THIRD = 20
ROWS = ("step", "best_score", "surest", "map_first")


@pytest.mark.parametrize(
    ("settings", "step", "best", "surest", "expected"),
    [
        (FAR, THIRD, FIVE_TIMES, 0.99, True),
        (FAR, 59, FIVE_TIMES, 0.99, True),
        (FAR, THIRD - 1, FIVE_TIMES, 0.99, False),  # too early to say
        (FAR, THIRD, NEARER, 0.99, False),  # near enough to go on with all of the confidence
        (FAR, THIRD, KEPT_BUT_UNSURE, 0.99, False),
        (FAR, THIRD, 10.1, 0.99, False),  # the class was never held well, so nothing is known of the map
        (FAR, THIRD, FIVE_TIMES, 0.9, False),  # images that are never sure have a rule of their own
        (SETTINGS, 59, FIVE_TIMES, 0.99, False),
        (FIRST, WARM, FIVE_TIMES, 0.99, True),
    ],
)
def test_a_map_that_stayed_far_comes_before_the_confidence(
    settings: LoopSettings, step: int, best: float, surest: float, expected: bool
) -> None:
    loop, slots = row_of(settings, step=step, best=best, surest=surest)
    assert loop._map_first(slots).tolist() == [expected]


def test_a_map_that_came_first_once_does_so_until_the_end() -> None:
    loop, slots = row_of(FAR, step=59, best=0.01, surest=0.99)
    assert loop._map_first(replace(slots, map_first=torch.tensor([True]))).tolist() == [True]


@pytest.mark.parametrize(
    ("family", "far"),
    [("activation", 4.0), ("gradient", math.inf), ("learned", math.inf), ("perturbation", math.inf), (None, math.inf)],
)
def test_which_maps_may_stay_far(family: str | None, far: float) -> None:
    assert LoopSettings.for_attack(family, steps=60, warm_steps=WARM, early_stop=True).far == far


@pytest.mark.parametrize(
    ("steps", "warm_steps", "third", "half"), [(60, 10, 20, 30), (61, 10, 20, 30), (20, 15, 15, 15)]
)
def test_no_rule_begins_within_the_warm_start(steps: int, warm_steps: int, third: int, half: int) -> None:
    settings = replace(SETTINGS, steps=steps, warm_steps=warm_steps)
    assert (settings.far_from, settings.half_way) == (third, half)


def test_whether_the_map_comes_first_is_a_matter_of_each_row() -> None:
    loop, far = row_of(FAR, step=THIRD, best=FIVE_TIMES, surest=0.99)
    _, kept = row_of(FAR, step=THIRD, best=0.01, surest=0.99)
    both = replace(far, **{name: torch.cat([getattr(one, name) for one in (far, kept)]) for name in ROWS})
    assert loop._map_first(both).tolist() == [True, False]


def test_an_image_does_not_inherit_what_came_first_for_the_one_before() -> None:
    loop, _ = row_of(FAR, step=0, best=NOTHING, surest=0.0)
    slots = replace(loop._empty(task()), map_first=torch.tensor([True]))
    slots.put(0, loop._filled(task()))
    assert slots.map_first.tolist() == [False]


@pytest.mark.parametrize(
    ("map_first", "best", "stops"),
    [(True, KEPT_BUT_UNSURE, []), (True, 0.05, ["no improvement"]), (False, KEPT_BUT_UNSURE, ["no improvement"])],
)
def test_where_the_map_comes_first_only_a_sure_candidate_ends_the_search(
    map_first: bool, best: float, stops: list[str]
) -> None:
    loop, slots = row_of(replace(SETTINGS, early_stop=True), step=55, best=best, surest=0.99)
    slots = replace(slots, map_first=torch.tensor([map_first]))
    assert [stop for _, _, stop in loop._finished(slots, [task()])] == stops
