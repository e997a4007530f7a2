from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as functional

from skinaudit.attacks.adv2 import Goal
from skinaudit.attacks.joint import JointObjective, joint_objective
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad import Grad
from tests.small_networks import images, small_network

CPU = torch.device("cpu")


def test_the_gradient_holds_the_class_loss_once_and_every_map_loss_with_its_scale() -> None:
    network = small_network()
    x = images(3).float() / 255
    cam = Cam.for_network(network, x[:1])
    classes = torch.tensor([0, 1, 2])
    wanted = (torch.rand(cam.explain(x, classes).shape), torch.rand(cam.explain(x, classes).shape))
    weight = torch.tensor([0.0, 3.0, 7.0])
    single = joint_objective(network, [cam]).parts[0]
    objective = JointObjective([single, single], [1.0, 4.0])
    goal = Goal(classes, wanted)
    found = objective.evaluate(x, weight, goal, objective.start(x, goal))
    leaf = x.clone().requires_grad_()
    logits, maps = cam.differentiable(leaf, classes)
    losses = [(maps - target).square().mean((1, 2)) for target in wanted]
    total = functional.cross_entropy(logits, classes, reduction="none")
    total = total + weight * (losses[0] + 4.0 * losses[1]) / 2
    (expected,) = torch.autograd.grad(total.sum(), leaf)
    torch.testing.assert_close(found.gradient, expected)
    distances = [(maps - target).abs().mean((1, 2)).detach() for target in wanted]
    torch.testing.assert_close(found.map_distance, torch.stack(distances, 1))


def test_one_attack_brings_both_maps_nearer_than_an_attack_on_the_other_map_alone() -> None:
    network = small_network()
    pixels = images(6)
    x = pixels.float() / 255
    interpreters = [Cam.for_network(network, x[:1]), Grad(network)]
    source = network(x).argmax(1)
    wanted = [one.explain(x, source) for one in interpreters]
    goal = (source + 1) % 3
    settings = LoopSettings.for_attack("activation", steps=40, warm_steps=5, early_stop=False)

    def drift(places: list[int], scales: list[float] | None = None) -> list[float]:
        objective = joint_objective(network, [interpreters[place] for place in places])
        objective = replace(objective, scales=scales or objective.scales)
        tasks = [
            Task(str(i), pixels[i], int(goal[i]), tuple(MapGoal(wanted[place][i], 0.05, 0.5) for place in places))
            for i in range(len(pixels))
        ]
        outcomes = {one.key: one for one in Loop(objective, LInf(8), settings, 3, CPU).run(tasks)}
        changed = torch.stack([outcomes[str(i)].candidates[0] for i in range(len(pixels))]).float() / 255
        return [
            float((one.explain(changed, goal) - m).abs().mean()) for one, m in zip(interpreters, wanted, strict=True)
        ]

    both, cam_alone, grad_alone = drift([0, 1]), drift([0]), drift([1])
    assert both[0] < grad_alone[0]
    assert both[1] < cam_alone[1]
    # The best candidate is chosen by both maps whatever the scales; without a scale nothing pulls on GRAD's map.
    assert both[1] < drift([0, 1], [1.0, 0.0])[1]
