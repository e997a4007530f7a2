"""Oracle: the real geometry on the saved 8-bit picture, and matrices that are written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from skinaudit.attacks.adv2 import ClassObjective, MapObjective
from skinaudit.attacks.flow import Flow
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import LInf, Perturbation, round_to_8_bit
from skinaudit.attacks.photograph import OnPhotograph
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.preprocess import Preprocess, read_preprocess
from skinaudit.interpreters.cam import Cam
from tests.small_networks import images, small_network

CPU = torch.device("cpu")


def preprocess(*steps: dict[str, Value]) -> Preprocess:
    start: list[Value] = [{"_target_": "LoadImage"}, {"_target_": "EnsureChannelFirst"}]
    return read_preprocess([*start, *steps])


def resize(**settings: Value) -> Preprocess:
    return preprocess({"_target_": "Resize", "spatial_size": [33, 35], **settings})


def photographs(count: int, height: int = 52, width: int = 47) -> Tensor:
    """Enlarged versions of the small test images, (N,3,H,W) uint8 in model orientation."""
    wide = torch.nn.functional.interpolate(images(count).float(), (height, width), mode="bilinear")
    return wide.round().to(torch.uint8)


def real(pre: Preprocess, picture: Tensor) -> Tensor:
    """What MONAI's reader and geometry give of a saved picture, in [0,1]."""
    return pre.geometry(np.ascontiguousarray(pre.to_display(picture).permute(1, 2, 0).numpy())) / 255


@pytest.mark.parametrize("inner", [LInf(8), Flow(3.0)])
@pytest.mark.parametrize("mode", ["bilinear", "area", "bicubic"])
def test_what_is_seen_is_what_the_real_geometry_gives_of_the_saved_file(inner: Perturbation, mode: str) -> None:
    pre = resize(mode=mode, anti_aliasing=mode == "bilinear")
    change = OnPhotograph(inner, pre.differentiable)
    x0 = photographs(2).float() / 255
    direction = change.direction(torch.randn(change.start(x0).shape, generator=torch.Generator().manual_seed(0)))
    z = change.step(x0, change.start(x0), direction, torch.full((2,), 5 / 255))
    picture = round_to_8_bit(change.apply(x0, z))
    seen = change.seen(picture)
    assert picture.shape == x0.shape
    for one, saved in zip(seen, (picture * 255).round().to(torch.uint8), strict=True):
        assert float((one - real(pre, saved)).abs().max()) * 255 < 0.01


def test_the_gradient_is_carried_back_by_the_transpose() -> None:
    pre = preprocess({"_target_": "ResizeWithPadOrCrop", "spatial_size": [40, 60]}, resize_step())
    change = OnPhotograph(LInf(8), pre.differentiable)
    x0, gradient = torch.rand(2, 3, 52, 47), torch.randn(2, 3, 33, 35)
    wide = change.pull_back(x0, change.start(x0), gradient)
    assert wide.shape == x0.shape
    other = torch.rand(2, 3, 52, 47)
    expected = (change.seen(other) * gradient).sum((1, 2, 3))
    torch.testing.assert_close((other * wide).sum((1, 2, 3)), expected, rtol=1e-4, atol=1e-4)
    cropped = wide.clone()
    cropped[:, :, 6:46] = 0
    assert not cropped.any()  # rows that the crop throws away


def resize_step() -> dict[str, Value]:
    return {"_target_": "Resize", "spatial_size": [33, 35], "mode": "bilinear"}


def test_the_flow_of_a_photograph_takes_the_slope_of_both_maps() -> None:
    pre, flow = resize(mode="area"), Flow(9.0)
    change = OnPhotograph(flow, pre.differentiable)
    x0, gradient = photographs(1).float() / 255, torch.randn(1, 3, 33, 35)
    z = torch.full((1, 2, 52, 47), 0.3)
    leaf = z.clone().requires_grad_()
    total = (change.seen(flow.apply(x0, leaf)) * gradient).sum()
    (expected,) = torch.autograd.grad(total, leaf)
    torch.testing.assert_close(change.pull_back(x0, z, gradient), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("inner", [LInf(8), Flow(3.0)])
@pytest.mark.parametrize("anti_aliasing", [True, False])
def test_attacked_photographs_deceive_through_the_real_geometry(inner: Perturbation, anti_aliasing: bool) -> None:
    pre, network = resize(mode="bilinear", anti_aliasing=anti_aliasing), small_network()
    change = OnPhotograph(inner, pre.differentiable)
    limit = 3.0 if isinstance(inner, Flow) else None
    settings = LoopSettings.for_attack(None, steps=30, warm_steps=5, early_stop=False, flow_limit=limit)
    loop = Loop(ClassObjective(network), change, settings, 1, CPU)
    sizes = [(52, 47), (60, 90), (33, 35)]
    reached = 0
    for place, (height, width) in enumerate(sizes):
        picture = photographs(3, height, width)[place]
        target = int(network(real(pre, picture)[None]).argmax() + 1) % 3
        (outcome,) = loop.run([Task("a", picture, target)])
        assert outcome.candidates.shape[1:] == picture.shape
        if limit is None:
            assert 0 < (outcome.candidates.int() - picture.int()).abs().max() <= 8
        reached += int(network(real(pre, outcome.candidates[0])[None]).argmax()) == target
    assert reached >= 2


def test_a_map_is_kept_from_the_photograph_as_well() -> None:
    pre, network = resize(mode="area"), small_network()
    cam = Cam.for_network(network, torch.rand(1, 3, 33, 35))
    change = OnPhotograph(LInf(8), pre.differentiable)
    picture = photographs(1)[0]
    clean = real(pre, picture)[None]
    source = network(clean).argmax(1)
    wanted, target = cam.explain(clean, source), (source + 1) % 3
    drift = []
    for objective in (ClassObjective(network), MapObjective(cam)):
        goals = (MapGoal(wanted[0]),) if objective.matches_map else ()
        settings = LoopSettings.for_attack("activation", steps=30, warm_steps=5, early_stop=False)
        (outcome,) = Loop(objective, change, settings, 1, CPU).run([Task("a", picture, int(target), goals)])
        seen = real(pre, outcome.candidates[0])[None]
        assert int(network(seen).argmax()) == int(target)
        drift.append(float((cam.explain(seen, target) - wanted).abs().mean()))
    assert drift[1] < drift[0]
