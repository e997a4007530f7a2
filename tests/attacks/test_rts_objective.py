"""Oracle: automatic differentiation of the published sum, one image at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from skinaudit.attacks.adv2 import ClassObjective, Goal
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.objectives import objective_for
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.rts_objective import RtsObjective
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.interpreters.rts import Rts
from tests.interpreters.fitted_rts import random_rts
from tests.small_networks import images, small_network

WEIGHT = torch.tensor([0.0, 3.0, 50.0])
TARGET = torch.tensor([0, 2, 1])


def batch() -> Tensor:
    return images(3, height=32, width=32).float() / 255


def small_rts() -> Rts:
    return random_rts(small_network(torch.nn.SiLU), batch())


def goal_for(rts: Rts) -> Goal:
    return Goal(TARGET, (rts.explain(batch().roll(1, 0), TARGET),))


def test_the_gradient_is_that_of_class_map_and_encoder_term_for_each_image() -> None:
    rts = small_rts()
    goal = goal_for(rts)
    evaluation = RtsObjective(rts).evaluate(batch(), WEIGHT, goal, ())
    for row in range(3):
        leaf = batch()[row : row + 1].requires_grad_()
        logits, maps, evidence = rts.with_evidence(leaf, TARGET[row : row + 1])
        class_loss = -functional.log_softmax(logits, 1)[0, TARGET[row]]
        encoder_loss = -functional.log_softmax(evidence, 1)[0, TARGET[row]]
        map_loss = ((maps[0] - goal.target_map[row]) ** 2).mean()
        (gradient,) = torch.autograd.grad(class_loss + 0.1 * encoder_loss + WEIGHT[row] * map_loss, leaf)
        torch.testing.assert_close(evaluation.gradient[row], gradient[0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(evaluation.class_loss[row], class_loss.detach())
        torch.testing.assert_close(evaluation.map_loss[row], map_loss.detach())
        torch.testing.assert_close(
            evaluation.map_distance[row, 0], (maps[0] - goal.target_map[row]).abs().mean().detach()
        )


def test_the_encoder_term_acts_even_before_the_map_does() -> None:
    rts = small_rts()
    zero = torch.zeros(3)
    plain = ClassObjective(rts.classifier).evaluate(batch(), zero, Goal(TARGET), ()).gradient
    joint = RtsObjective(rts).evaluate(batch(), zero, goal_for(rts), ()).gradient
    assert not torch.allclose(plain, joint, atol=1e-4)


def test_rts_is_attacked_with_its_own_objective() -> None:
    rts = small_rts()
    assert objective_for("adv2", rts.classifier, rts) == RtsObjective(rts)
    assert RtsObjective(rts).start(batch(), goal_for(rts)) == ()


def test_the_loop_takes_the_class_and_brings_the_map_back() -> None:
    rts, x = small_rts(), images(3, height=32, width=32)
    with torch.no_grad():
        logits = rts.classifier(batch())
    source, target = logits.argmax(1), logits.argmin(1)
    benign = rts.explain(batch(), source)
    tasks = [Task(str(i), x[i], int(target[i]), (MapGoal(benign[i]),)) for i in range(3)]
    reached = []
    for objective, family in ((ClassObjective(rts.classifier), None), (RtsObjective(rts), "learned")):
        settings = LoopSettings.for_attack(family, steps=60, warm_steps=10, early_stop=False)
        outcomes = list(Loop(objective, LInf(24), settings, 3, torch.device("cpu")).run(tasks))
        best = torch.stack([one.candidates[0] for one in sorted(outcomes, key=lambda one: one.key)]).float() / 255
        assert torch.equal(rts.classifier(best).argmax(1), target)
        reached.append((rts.explain(best, target) - benign).abs().mean((1, 2)))
    assert (reached[1] < reached[0]).all()
    assert reached[1].mean() < 0.6 * reached[0].mean()
