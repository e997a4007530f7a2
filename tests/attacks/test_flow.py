"""Oracles: shifts by slicing, scipy's interpolation, numerical derivatives in double precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from skinaudit.attacks.adv2 import FiniteDifferenceObjective, MapObjective, Objective
from skinaudit.attacks.flow import Flow, roughness
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import round_to_8_bit
from skinaudit.attacks.tasks import MapGoal, Outcome, Task
from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad import Grad
from tests.small_networks import images, small_network

SETTINGS = LoopSettings.for_attack("activation", steps=30, warm_steps=5, early_stop=False, flow_limit=2.0)


def pictures(count: int = 2, kind: torch.dtype = torch.float32) -> Tensor:
    return images(count).to(kind) / 255


def uniform(x0: Tensor, down: float, right: float) -> Tensor:
    return torch.tensor([down, right], dtype=x0.dtype).view(1, 2, 1, 1).expand(len(x0), -1, *x0.shape[2:])


def random_flow(x0: Tensor, largest: float) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(len(x0), 2, *x0.shape[2:], generator=generator, dtype=x0.dtype) * 2 - 1) * largest


# --- the moved picture ------------------------------------------------------------------------------------------------


def test_start_is_the_image_itself_after_rounding() -> None:
    flow, x0 = Flow(2.0), pictures(3)
    assert torch.equal(round_to_8_bit(flow.apply(x0, flow.start(x0))), round_to_8_bit(x0.clone()))


@pytest.mark.parametrize(("down", "right"), [(0, 1), (1, 0), (2, 3), (-1, 0), (0, -2), (-3, 2)])
def test_a_flow_of_whole_pixels_is_a_shift(down: int, right: int) -> None:
    x0 = pictures()
    moved = Flow(9.0).apply(x0, uniform(x0, down, right))
    height, width = x0.shape[2:]
    rows = (torch.arange(height) + down).clamp(0, height - 1)
    columns = (torch.arange(width) + right).clamp(0, width - 1)
    torch.testing.assert_close(moved, x0[:, :, rows][..., columns], atol=2e-5, rtol=0)


def test_a_flow_between_pixels_is_scipys_bilinear_interpolation() -> None:
    x0 = pictures(1)
    z = random_flow(x0, 2.5)
    height, width = x0.shape[2:]
    places = np.indices((height, width)) + z[0].numpy()
    for channel, moved in zip(x0[0].numpy(), Flow(9.0).apply(x0, z)[0].numpy(), strict=True):
        np.testing.assert_allclose(
            moved, ndimage.map_coordinates(channel, places, order=1, mode="nearest"), atol=2e-5, rtol=0
        )


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1)])
def test_a_side_of_one_pixel_stays_where_it_is(shape: tuple[int, int]) -> None:
    x0 = torch.rand(1, 3, *shape)
    flow = Flow(1.0)
    assert torch.allclose(flow.apply(x0, flow.start(x0)), x0, atol=1e-6)
    assert torch.isfinite(flow.pull_back(x0, flow.start(x0), torch.ones_like(x0))).all()


def test_no_colour_is_made_that_was_not_there() -> None:
    x0 = pictures()
    moved = Flow(9.0).apply(x0, random_flow(x0, 4.0))
    assert (moved.amax((2, 3)) <= x0.amax((2, 3)) + 1e-6).all()
    assert (moved.amin((2, 3)) >= x0.amin((2, 3)) - 1e-6).all()


# --- its gradient -----------------------------------------------------------------------------------------------------


def small_case() -> tuple[Tensor, Tensor]:
    """A picture and a flow in double precision, away from the kinks of the interpolation at whole pixels."""
    generator = torch.Generator().manual_seed(1)
    x0 = torch.rand(1, 3, 5, 6, generator=generator, dtype=torch.float64)
    places = torch.randint(-2, 2, (1, 2, 5, 6), generator=generator)
    z = places + 0.2 + 0.6 * torch.rand(1, 2, 5, 6, generator=generator, dtype=torch.float64)
    return x0, z


def test_the_derivative_of_the_moved_picture_is_the_numerical_one() -> None:
    x0, z = small_case()
    # At the edge the picture is constant beyond its last pixel: only flows that stay inside are free of kinks.
    inside = z.clone()
    inside[:, :, [0, -1]] = 0.3
    inside[:, :, :, [0, -1]] = 0.3
    assert torch.autograd.gradcheck(lambda flow: Flow(9.0).apply(x0, flow), (inside.requires_grad_(),))


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_pulling_back_gives_the_slope_of_loss_and_roughness(tau: float) -> None:
    x0, z = small_case()
    flow, weights = Flow(9.0, tau), torch.randn(1, 3, 5, 6, dtype=torch.float64)
    slope = flow.pull_back(x0, z, weights)
    assert slope.shape == z.shape

    def loss(field: Tensor) -> float:
        return float((flow.apply(x0, field) * weights).sum() + tau * roughness(field).sum())

    step = 1e-6
    for row, column in [(2, 2), (1, 3), (3, 4)]:
        for axis in (0, 1):
            ahead, behind = z.clone(), z.clone()
            ahead[0, axis, row, column] += step
            behind[0, axis, row, column] -= step
            numerical = (loss(ahead) - loss(behind)) / (2 * step)
            assert float(slope[0, axis, row, column]) == pytest.approx(numerical, abs=1e-6)


def test_an_even_flow_is_smooth_and_a_torn_one_rough() -> None:
    x0 = pictures(1)
    even, torn = uniform(x0, 0.4, -0.3), uniform(x0, 0.0, 0.0).clone()
    torn[:, 0, :, 10:] = 2.0
    assert float(roughness(even)) == pytest.approx(0, abs=3e-4)  # the root is smoothed by 1e-4 for each pair
    assert float(roughness(torn)) == pytest.approx(2.0 / x0.shape[3], abs=3e-4)


def test_smoothing_makes_the_flow_of_an_attack_smoother() -> None:
    rough, smooth = (attack("cam", Flow(2.0, tau)) for tau in (0.0, 50.0))
    assert smooth.extents[0, 1] < rough.extents[0, 1]


# --- steps ------------------------------------------------------------------------------------------------------------


def test_no_pixel_is_moved_further_than_the_limit() -> None:
    flow, x0 = Flow(1.5), pictures()
    z = flow.start(x0)
    for seed in range(6):
        velocity = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
        z = flow.step(x0, z, flow.direction(velocity), torch.tensor([0.7, 3.0]))
        assert z.square().sum(1).sqrt().max() <= 1.5 + 1e-6
    assert z.square().sum(1).sqrt()[1].median() > 1.4


def test_a_step_inside_the_limit_is_the_step_itself() -> None:
    flow, x0 = Flow(1.5), pictures()
    direction = flow.direction(uniform(x0, -3.0, 4.0))
    z = flow.step(x0, flow.start(x0), direction, torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(z[:, :, 3, 4], torch.tensor([[0.3, -0.4], [0.6, -0.8]]))


def test_a_pixel_without_slope_stays() -> None:
    flow, x0 = Flow(1.5), pictures()
    assert not flow.direction(flow.start(x0)).any()


def test_the_extent_is_largest_and_mean_displacement() -> None:
    x0 = pictures(1)
    z = uniform(x0, 0.3, 0.4).clone()
    z[0, :, 0, 0] = torch.tensor([0.0, 2.0])
    mean = 0.5 + 1.5 / x0[0, 0].numel()
    torch.testing.assert_close(Flow(2.0).extent(z), torch.tensor([[2.0, mean]]))


# --- in the loop ------------------------------------------------------------------------------------------------------


def attack_tasks(name: str) -> tuple[Objective, list[Task]]:
    network, pixels = small_network(), images(4)
    cam, grad = Cam.for_network(network, torch.rand(1, 3, 33, 35)), Grad(network)
    interpreter = cam if name == "cam" else grad
    source = network(pixels.float() / 255).argmax(1)
    maps = interpreter.explain(pixels.float() / 255, source)
    tasks = [Task(str(i), pixels[i], int(source[i] + 1) % 3, (MapGoal(maps[i]),)) for i in range(4)]
    return (MapObjective(cam) if name == "cam" else FiniteDifferenceObjective(grad)), tasks


def attack(name: str, flow: Flow, settings: LoopSettings = SETTINGS) -> Outcome:
    objective, tasks = attack_tasks(name)
    return next(iter(Loop(objective, flow, settings, 1, torch.device("cpu")).run(tasks[:1])))


@pytest.mark.parametrize("name", ["cam", "grad"])
def test_moving_pixels_changes_the_diagnosis_of_most_images(name: str) -> None:
    objective, tasks = attack_tasks(name)
    outcomes = {one.key: one for one in Loop(objective, Flow(2.0), SETTINGS, 4, torch.device("cpu")).run(tasks)}
    network = small_network()
    reached = 0
    for task in tasks:
        outcome = outcomes[task.key]
        assert outcome.extents.shape == (len(outcome.candidates), 2)
        assert (outcome.extents[:, 0] <= 2.0 + 1e-5).all()
        assert (outcome.extents[:, 1] <= outcome.extents[:, 0]).all()
        reached += int(network(outcome.candidates[:1].float() / 255).argmax()) == task.target_class
    assert reached >= 3


def test_rows_of_moved_images_do_not_depend_on_their_neighbours() -> None:
    objective, tasks = attack_tasks("cam")
    short = replace(SETTINGS, steps=12)

    def run(chosen: list[Task]) -> dict[str, Outcome]:
        return {one.key: one for one in Loop(objective, Flow(2.0), short, 4, torch.device("cpu")).run(chosen)}

    together = run(tasks)
    for found in (run(tasks[::-1]), run(tasks[2:3])):
        for key, outcome in found.items():
            assert torch.equal(outcome.candidates, together[key].candidates)
            assert torch.equal(outcome.extents, together[key].extents)


def test_steps_of_a_flow_are_shares_of_its_limit() -> None:
    one, two = (
        LoopSettings.for_attack("gradient", steps=9, warm_steps=1, early_stop=True, flow_limit=limit)
        for limit in (1.0, 2.0)
    )
    assert two.first_step == 2 * one.first_step == 0.5
    assert two.last_step == 2 * one.last_step
    assert one.weight == LoopSettings.for_attack("gradient", steps=9, warm_steps=1, early_stop=True).weight
