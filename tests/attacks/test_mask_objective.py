"""Oracles: automatic differentiation of the formula, one image at a time, and the interpreter's own search."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from skinaudit.attacks.adv2 import ClassObjective, Evaluation, Goal, Objective, State, distances
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.mask_objective import MaskObjective
from skinaudit.attacks.objectives import objective_for
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.interpreters.mask import Mask, MaskSettings
from tests.small_networks import images, small_network

TARGET = torch.tensor([0, 2, 1])
ONE = torch.ones(3)


def batch() -> Tensor:
    return images(3, height=40, width=48).float() / 255


def objective(activation: type[nn.Module] = nn.SiLU, **changed: float) -> MaskObjective:
    settings = {"trackers": 2, "horizon": 6, "solve_every": 1000} | changed
    return MaskObjective(Mask(small_network(activation), MaskSettings(iterations=30)), **settings)  # type: ignore[arg-type]


def goal() -> Goal:
    maps = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(4))
    return Goal(TARGET, (maps,))


def entropy(probability: Tensor, label: float) -> Tensor:
    """Cross entropy of a probability and a label."""
    return -label * probability.log() - (1 - label) * (1 - probability).log()


def after(steps: int, attack: MaskObjective, weight: Tensor = ONE) -> tuple[Evaluation, State]:
    """The evaluation of that number, on an image that does not change, and the state before it."""
    state = attack.start(batch(), goal())
    evaluation = None
    for _ in range(steps):
        before, evaluation = state, attack.evaluate(batch(), weight, goal(), state)
        state = evaluation.state
    assert evaluation is not None
    return evaluation, before


def test_gradient_is_that_of_class_loss_wanted_mask_and_rivals_for_each_image() -> None:
    attack, weight = objective(), torch.tensor([0.5, 1.0, 0.25])
    evaluation, (_, joint, *rest) = after(5, attack, weight)
    interpreter = attack.interpreter
    for row in range(3):
        leaf, k = batch()[row : row + 1].requires_grad_(), int(TARGET[row])
        blurred = interpreter.blur(leaf)

        def probability(mask: Tensor, step: int, leaf: Tensor = leaf, blurred: Tensor = blurred, k: int = k) -> Tensor:
            logits: Tensor = interpreter.classifier(interpreter.masked(mask, leaf, blurred, [step]))
            return logits.softmax(1)[0, k]

        wanted = probability(1 - goal().target_map[row : row + 1], int(joint[row]))
        rivals = [probability(rest[i][row : row + 1], int(rest[i + 3][row])) for i in (0, 4)]
        confidence = interpreter.classifier(leaf).softmax(1)[0, k]
        masked = entropy(wanted, 0.02) + (entropy(rivals[0], 0.5) + entropy(rivals[1], 0.5)) / 2
        (gradient,) = torch.autograd.grad(3 * entropy(confidence, 0.97) + weight[row] * masked, leaf)
        class_loss = -interpreter.classifier(leaf).log_softmax(1)[0, k]
        torch.testing.assert_close(evaluation.gradient[row], gradient[0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(evaluation.class_loss[row], class_loss.detach())
        torch.testing.assert_close(evaluation.map_loss[row], (wanted - (rivals[0] + rivals[1]) / 2).detach())


def test_trackers_walk_as_the_honest_search_and_begin_anew_one_after_the_other() -> None:
    attack = objective()
    honest = [attack.interpreter.solve(batch(), TARGET, iterations=count).mask for count in range(7)]
    ages = []
    state = attack.start(batch(), goal())
    for _ in range(13):
        state = attack.evaluate(batch(), ONE, goal(), state).state
        for mask, age in ((state[2], state[5]), (state[6], state[9])):
            torch.testing.assert_close(mask, honest[int(age[0])])
        ages.append((int(state[5][0]), int(state[9][0])))
    assert [first for first, _ in ages] == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 1]
    assert [second for _, second in ages] == [4, 5, 6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4]


def test_class_is_pushed_below_its_label_and_pulled_back_above_it() -> None:
    network = objective().interpreter.classifier
    plain = ClassObjective(network).evaluate(batch(), torch.zeros(3), Goal(TARGET), ())
    confidence = network(batch()).softmax(1).gather(1, TARGET[:, None])[:, 0]
    for label in (0.02, 0.97):
        found = after(1, objective(confident=label, class_weight=1.0), torch.zeros(3))[0]
        share = (confidence - label) / (confidence - 1)
        torch.testing.assert_close(found.gradient, share.view(-1, 1, 1, 1) * plain.gradient, rtol=1e-4, atol=1e-7)
    assert (confidence > 0.02).any()
    assert (confidence < 0.97).any()


def test_warm_start_leaves_the_trackers_alone_row_by_row() -> None:
    attack = objective()
    evaluation, _ = after(4, attack, torch.tensor([0.0, 1.0, 1.0]))
    steps, joint, *rest = evaluation.state
    assert steps.tolist() == [4, 4, 4]
    assert joint.tolist() == [0, 4, 4]
    assert rest[3].tolist() == [0, 4, 4]
    assert rest[7].tolist() == [0, 1, 1]  # it began three steps ahead, and anew after six
    assert torch.equal(rest[0][0], torch.full((5, 6), 0.5))
    alone = objective().evaluate(batch(), torch.zeros(3), goal(), attack.start(batch(), goal()))
    assert torch.equal(evaluation.gradient[0], alone.gradient[0])


def test_row_is_the_same_to_the_bit_whatever_its_neighbours() -> None:
    attack = objective(solve_every=2)
    evaluation, state = after(4, attack)
    other = batch()
    other[0], other[2] = 0.3, math.nan
    mixed = tuple(torch.cat([one[:2], one[:1] * 0]) for one in state)
    again = attack.evaluate(other, torch.tensor([0.0, 1.0, 1.0]), goal(), mixed)
    for name in ("gradient", "class_loss", "map_loss", "map_distance", "map_overlap", "logits"):
        assert torch.equal(getattr(again, name)[1], getattr(evaluation, name)[1])
    for one, two in zip(again.state, evaluation.state, strict=True):
        assert torch.equal(one[1], two[1])


def test_distance_is_that_of_a_fast_search_when_it_is_due_and_far_at_other_times() -> None:
    attack = objective(solve_every=3)
    for steps in (1, 2, 4):
        evaluation, _ = after(steps, attack)
        assert evaluation.map_distance.tolist() == [[1.0]] * 3
        assert evaluation.map_overlap.tolist() == [[0.0]] * 3
    evaluation, _ = after(3, attack, torch.tensor([1.0, 0.0, 1.0]))
    maps = Mask(attack.interpreter.classifier, attack.interpreter.settings.fast()).explain(batch(), TARGET)
    near, alike = distances(maps, goal().target_map)
    torch.testing.assert_close(evaluation.map_distance[[0, 2]], near[[0, 2]])
    torch.testing.assert_close(evaluation.map_overlap[[0, 2]], alike[[0, 2]])
    assert evaluation.map_distance[1].item() == 1


def test_it_is_the_objective_of_mask() -> None:
    interpreter = Mask(small_network())
    found = objective_for("adv2", interpreter.classifier, interpreter)
    assert isinstance(found, MaskObjective)
    assert found.interpreter is interpreter


class Contrast(nn.Module):
    """Class 1 is contrast inside the upper left quarter or the lower right one, of which the former counts more."""

    def forward(self, x: Tensor) -> Tensor:
        fine = (x - nn.functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False)).square()
        first, second = fine[:, :, :20, :24].mean((1, 2, 3)), fine[:, :, 20:, 24:].mean((1, 2, 3))
        score = 6000 * first + 3000 * second - 4
        return torch.stack([-score, score], 1)


@pytest.mark.parametrize("corner", [0, 1])
def test_attack_flips_the_class_and_brings_the_map_of_the_honest_search_nearer_than_pgd(corner: int) -> None:
    x0 = 128 + 4 * (torch.arange(48) % 2).expand(3, 40, 48).to(torch.uint8)
    wanted = torch.zeros(5, 6)
    wanted[(slice(3) if corner == 0 else slice(2, 5)), (slice(3) if corner == 0 else slice(3, 6))] = 1
    interpreter = Mask(Contrast(), MaskSettings(iterations=60, sparsity=1e-3, jitter=1))
    settings = LoopSettings.for_attack("perturbation", steps=40, warm_steps=5, early_stop=False)

    def attacked(attack: Objective, maps: tuple[MapGoal, ...]) -> tuple[Tensor, Tensor]:
        (outcome,) = Loop(attack, LInf(8), settings, 1, torch.device("cpu")).run([Task("a", x0, 1, maps)])
        x = outcome.candidates[:1].float() / 255
        return interpreter.classifier(x).softmax(1)[0, 1], (
            interpreter.explain(x, ONE[:1].long()) - wanted
        ).abs().mean()

    assert interpreter.classifier(x0[None].float() / 255).argmax() == 0
    confidence, distance = attacked(MaskObjective(interpreter, horizon=30, solve_every=5), (MapGoal(wanted),))
    plain_confidence, plain_distance = attacked(ClassObjective(interpreter.classifier), ())
    assert confidence > 0.95
    assert plain_confidence > 0.95
    # In the first corner is what counts more, so there PGD alone is not far from the wanted map.
    assert distance < plain_distance - (0.0 if corner == 0 else 0.03)
