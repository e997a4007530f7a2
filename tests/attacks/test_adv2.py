"""Oracles: automatic differentiation of the formula, one image at a time; the exact Hessian product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from skinaudit.attacks.adv2 import ClassObjective, FiniteDifferenceObjective, Goal, MapObjective, Objective
from skinaudit.attacks.objectives import objective_for
from skinaudit.interpreters import grad as grad_module
from skinaudit.interpreters import gradient_map
from skinaudit.interpreters.base import Interpreter, min_max
from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad import Grad
from skinaudit.interpreters.gradient_map import GradientMap
from skinaudit.interpreters.integrated_gradients import IntegratedGradients
from skinaudit.interpreters.smooth_grad import SmoothGrad
from tests.small_networks import images, small_network

WEIGHT = torch.tensor([0.0, 3.0, 50.0])
TARGET = torch.tensor([0, 2, 1])


def batch() -> Tensor:
    return images(3, height=24, width=24).float() / 255


def goal_for(interpreter: Interpreter) -> Goal:
    """The map of another image of the batch."""
    return Goal(TARGET, (interpreter.explain(batch().roll(1, 0), TARGET).detach(),))


def cam(network: nn.Module) -> Cam:
    return Cam.for_network(network, batch()[:1])


@pytest.mark.parametrize("make", [cam, Grad])
def test_joint_gradient_is_that_of_the_published_sum_for_each_image(make: type[Grad]) -> None:
    network = small_network(nn.SiLU)
    interpreter = make(network)
    goal = goal_for(interpreter)
    evaluation = MapObjective(interpreter).evaluate(batch(), WEIGHT, goal, ())
    for row in range(3):
        leaf = batch()[row : row + 1].requires_grad_()
        logits, maps = interpreter.differentiable(leaf, TARGET[row : row + 1])
        class_loss = -functional.log_softmax(logits, 1)[0, TARGET[row]]
        map_loss = ((maps[0] - goal.target_map[row]) ** 2).mean()
        (gradient,) = torch.autograd.grad(class_loss + WEIGHT[row] * map_loss, leaf)
        torch.testing.assert_close(evaluation.gradient[row], gradient[0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(evaluation.class_loss[row], class_loss.detach())
        torch.testing.assert_close(evaluation.map_loss[row], map_loss.detach())
        torch.testing.assert_close(
            evaluation.map_distance[row, 0], (maps[0] - goal.target_map[row]).abs().mean().detach()
        )
        torch.testing.assert_close(evaluation.logits[row], logits[0].detach())


def test_without_the_map_it_is_pgd() -> None:
    network = small_network()
    zero = torch.zeros(3)
    plain = ClassObjective(network).evaluate(batch(), zero, Goal(TARGET), ())
    assert not plain.map_loss.any()
    assert not plain.map_distance.any()
    for objective in (MapObjective(cam(network)), FiniteDifferenceObjective(Grad(network))):
        joint = objective.evaluate(batch(), zero, goal_for(objective.interpreter), ())
        torch.testing.assert_close(joint.gradient, plain.gradient)
        torch.testing.assert_close(joint.class_loss, plain.class_loss)
        assert (joint.map_distance > 0).all()


#: Every map that is made of input gradients, with as many points for the search as for an honest map.
GRADIENT_MAPS: dict[str, Callable[[nn.Module], GradientMap]] = {
    "grad": Grad,
    "smooth-grad": partial(SmoothGrad, samples=3),
    "integrated-gradients": partial(IntegratedGradients, steps=3, baseline=0.2),
}


@pytest.fixture
def low_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let automatic differentiation, too, take the lowest value of a map for a constant."""
    for module in (grad_module, gradient_map):
        monkeypatch.setattr(module, "min_max", partial(min_max, hold_low=True))


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("activation", [nn.SiLU, nn.Softplus, nn.Tanh])
@pytest.mark.parametrize("name", GRADIENT_MAPS)
def test_finite_difference_product_agrees_with_the_exact_one(
    name: str, activation: type[nn.Module], held: bool, request: pytest.FixtureRequest
) -> None:
    if held:
        request.getfixturevalue("low_held")
    grad = GRADIENT_MAPS[name](small_network(activation).double())
    goal = Goal(TARGET, (goal_for(GRADIENT_MAPS[name](small_network(activation))).target_map.double(),))
    x, heavy = batch().double(), torch.full((3,), 1e4, dtype=torch.float64)
    exact = MapObjective(grad).evaluate(x, heavy, goal, ())
    estimate = FiniteDifferenceObjective(grad, 1e-3 / 255, held).evaluate(x, heavy, goal, ())
    torch.testing.assert_close(
        estimate.gradient, exact.gradient, rtol=1e-3, atol=1e-5 * float(exact.gradient.abs().max())
    )
    for quantity in ("class_loss", "map_loss", "map_distance", "logits"):
        torch.testing.assert_close(getattr(estimate, quantity), getattr(exact, quantity))


@pytest.mark.usefixtures("low_held")
@pytest.mark.parametrize("activation", [nn.SiLU, nn.Softplus, nn.Tanh])
@pytest.mark.parametrize(
    # The step used is long, to look past the kinks of larger networks, where a short one sees few (docs/method.md).
    ("make", "least_cosine", "most_apart"),
    [
        (lambda grad: FiniteDifferenceObjective(grad, delta=1.5 / 255), 0.99, 0.05),
        (FiniteDifferenceObjective, 0.8, 0.1),
    ],
    ids=["short step", "step used"],
)
def test_finite_difference_points_the_same_way_as_the_exact_product(
    make: Callable[[Grad], FiniteDifferenceObjective],
    least_cosine: float,
    most_apart: float,
    activation: type[nn.Module],
) -> None:
    grad = Grad(small_network(activation))
    goal, heavy = goal_for(grad), torch.full((3,), 1e4)
    exact = MapObjective(grad).evaluate(batch(), heavy, goal, ()).gradient.flatten(1)
    estimate = make(grad).evaluate(batch(), heavy, goal, ()).gradient.flatten(1)
    assert (functional.cosine_similarity(exact, estimate) > least_cosine).all()
    torch.testing.assert_close(estimate.norm(dim=1), exact.norm(dim=1), rtol=most_apart, atol=0)


@pytest.mark.parametrize(("name", "bare", "joint"), [("grad", 1, 3), ("smooth-grad", 4, 10)])
def test_a_step_takes_the_passes_that_it_says(name: str, bare: int, joint: int) -> None:
    passes: list[int] = []
    network = small_network()
    network.register_forward_hook(lambda *_: passes.append(1))
    objective = FiniteDifferenceObjective(GRADIENT_MAPS[name](network))
    goal = goal_for(objective.interpreter)
    for weight, expected in ((0.0, bare), (1.0, joint)):
        passes.clear()
        objective.evaluate(batch(), torch.full((3,), weight), goal, ())
        assert len(passes) == expected


@pytest.mark.parametrize("make", [SmoothGrad, IntegratedGradients])
def test_a_search_on_few_points_starts_from_the_honest_map(make: type[SmoothGrad | IntegratedGradients]) -> None:
    objective = FiniteDifferenceObjective(make(small_network()))
    goal = Goal(TARGET, (objective.interpreter.explain(batch(), TARGET),))
    state = objective.start(batch(), goal)
    with_shift = objective.evaluate(batch(), WEIGHT, goal, state)
    assert with_shift.map_distance.max() < 1e-5
    assert objective.evaluate(batch(), WEIGHT, goal, ()).map_distance.min() > 1e-3
    assert with_shift.state is state


@pytest.mark.parametrize("name", GRADIENT_MAPS)
def test_a_search_on_all_points_has_no_state(name: str) -> None:
    objective = FiniteDifferenceObjective(GRADIENT_MAPS[name](small_network()))
    assert objective.start(batch(), Goal(TARGET)) == ()


@pytest.mark.parametrize("name", GRADIENT_MAPS)
def test_a_row_of_a_gradient_map_does_not_feel_its_neighbours(name: str) -> None:
    objective = FiniteDifferenceObjective(GRADIENT_MAPS[name](small_network()))
    goal, weight = goal_for(objective.interpreter), torch.full((3,), 5.0)
    usual = objective.evaluate(batch(), weight, goal, ())
    other = batch()
    other[1:] = 1 - other[1:]
    assert torch.equal(objective.evaluate(other, weight, goal, ()).gradient[0], usual.gradient[0])


class FlatWhereBright(nn.Module):
    """No gradient at all for bright images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_network(nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        return torch.where(x.mean((1, 2, 3), keepdim=False)[:, None] < 0.9, logits, 0.0)


def test_a_row_without_gradient_has_a_product_of_zero_and_does_not_disturb_others() -> None:
    grad = Grad(FlatWhereBright())
    x = batch()
    x[1] = 0.99
    objective, goal = FiniteDifferenceObjective(grad), goal_for(grad)
    evaluation = objective.evaluate(x, torch.full((3,), 5.0), goal, ())
    assert evaluation.gradient.isfinite().all()
    assert not evaluation.gradient[1].any()
    usual = objective.evaluate(batch(), torch.full((3,), 5.0), goal, ())
    assert torch.equal(evaluation.gradient[0], usual.gradient[0])


class RootOfOnePixel(nn.Module):
    """NaN for images that go below zero at their first pixel, as a shifted image may."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small_network(nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        return logits + x[:, :1, 0, 0].sqrt() * torch.tensor([4.0, 0.0, 0.0])


def test_a_row_still_without_weight_does_not_feel_a_product_that_is_not_finite() -> None:
    objective = FiniteDifferenceObjective(Grad(RootOfOnePixel()))
    x = batch().clamp(min=0.2)
    x[0, 0, 0, 0] = 1e-5
    goal = goal_for(Grad(small_network()))
    alone = objective.evaluate(x, torch.tensor([0.0, 0.0, 0.0]), goal, ())
    beside = objective.evaluate(x, torch.tensor([0.0, 1.0, 0.0]), goal, ())
    assert objective.evaluate(x, torch.tensor([1.0, 1.0, 0.0]), goal, ()).gradient[0].isnan().any()
    assert alone.gradient.isfinite().all()
    assert torch.equal(alone.gradient[0], beside.gradient[0])


@dataclass(frozen=True)
class Case:
    name: str
    objective: Objective


def cases() -> list[Case]:
    network = small_network(nn.SiLU)
    return [
        Case("class", ClassObjective(network)),
        Case("cam", MapObjective(cam(network))),
        Case("smoothed grad", MapObjective(Grad(network))),
        Case("finite difference", FiniteDifferenceObjective(Grad(network))),
        Case("smooth-grad", FiniteDifferenceObjective(SmoothGrad(network))),
        Case("integrated-gradients", FiniteDifferenceObjective(IntegratedGradients(network))),
    ]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_evaluation_leaves_nothing_behind(case: Case) -> None:
    x = batch()
    interpreter: Interpreter = cam(small_network()) if case.name == "cam" else Grad(small_network())
    evaluation = case.objective.evaluate(x, WEIGHT, goal_for(interpreter), ())
    for quantity in ("gradient", "class_loss", "map_loss", "map_distance", "logits"):
        value = getattr(evaluation, quantity)
        assert not value.requires_grad
        assert value.shape[0] == 3
    assert x.grad is None
    assert not x.requires_grad
    assert torch.equal(x, batch())


def test_objectives_follow_attack_and_interpreter() -> None:
    network = small_network()
    assert isinstance(objective_for("pgd", network, None), ClassObjective)
    assert isinstance(objective_for("pgd", network, Grad(network)), ClassObjective)
    assert isinstance(objective_for("adv2", network, Grad(network)), FiniteDifferenceObjective)
    assert isinstance(objective_for("adv2", network, cam(network)), MapObjective)
    assert not objective_for("pgd", network, None).matches_map
    assert objective_for("adv2", network, cam(network)).matches_map
    with pytest.raises(ValueError, match="needs an interpreter"):
        objective_for("adv2", network, None)
