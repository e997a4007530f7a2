from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from skinaudit.interpreters.base import InterpreterUnavailable, min_max
from skinaudit.interpreters.registry import build_interpreter
from tests.small_networks import seeded, small_network

quick = settings(deadline=None, max_examples=40, derandomize=True)


@quick
@given(hnp.arrays(np.float64, (2, 3, 4), elements=st.floats(-1e6, 1e6)))
def test_min_max_agrees_with_its_definition(values: np.ndarray) -> None:
    maps = min_max(torch.from_numpy(values))
    for result, raw in zip(maps.numpy(), values, strict=True):
        span = raw.max() - raw.min()
        if span > max(1e-5 * np.abs(raw).max(), 1e-290):
            np.testing.assert_allclose(result, (raw - raw.min()) / span)
    assert maps.min() >= 0
    assert maps.max() <= 1


@pytest.mark.parametrize("value", [0.0, 1.0, -3e5, 1e-30, 1e30])
def test_a_constant_map_becomes_zero(value: float) -> None:
    assert not min_max(torch.full((2, 3, 3), value)).any()


@pytest.mark.parametrize("value", [1.0, -7.0, 1e-20, 3e4])
def test_rounding_noise_on_a_constant_map_is_not_stretched_to_a_map(value: float) -> None:
    maps = torch.full((1, 2, 2), value)
    maps[0, 0, 0] = torch.nextafter(maps[0, 0, 0], torch.tensor(torch.inf))
    assert not min_max(maps).any()


@pytest.mark.parametrize("scale", [1e-30, 1e-5, 1.0, 1e30])
def test_a_map_of_any_scale_is_a_map(scale: float) -> None:
    maps = torch.tensor([[[0.0, 1.0], [2.0, 4.0]]])
    torch.testing.assert_close(min_max(maps * scale), maps / 4)


@pytest.mark.parametrize(
    "maps",
    [
        pytest.param(torch.zeros(1, 2, 2), id="zero"),
        pytest.param(torch.full((1, 2, 2), 5.0), id="constant"),
        pytest.param(torch.tensor([[[1.0, 1.0], [1.0, 1.0000001]]]), id="one unit in the last place"),
        pytest.param(torch.tensor([[[0.0, 0.0], [0.0, 1e-40]]]), id="denormal"),
        pytest.param(torch.tensor([[[0.0, 1e-18], [2e-18, 4e-18]]]), id="tiny range"),
    ],
)
def test_gradients_of_min_max_are_finite(maps: Tensor) -> None:
    leaf = maps.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((min_max(leaf) - 0.3).square().sum(), leaf)
    assert gradient.isfinite().all()


def test_gradient_of_min_max_passes_gradcheck() -> None:
    maps = torch.rand(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(min_max, maps)


def test_a_held_low_changes_no_value_and_is_a_constant_to_the_derivative() -> None:
    maps = torch.rand(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    low = maps.detach().flatten(1).min(1).values.view(2, 1, 1)
    assert torch.equal(min_max(maps, hold_low=True), min_max(maps))

    def loss(scaled: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad((scaled - 0.3).square().sum(), maps)
        return gradient

    by_hand = loss((maps - low) / (maps.amax((1, 2), keepdim=True) - low))
    torch.testing.assert_close(loss(min_max(maps, hold_low=True)), by_hand)
    assert not torch.allclose(loss(min_max(maps)), by_hand)


def test_maps_do_not_see_each_other() -> None:
    maps = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    maps[1] *= 1e6
    for row in range(3):
        assert torch.equal(min_max(maps)[row], min_max(maps[row : row + 1])[0])


@pytest.mark.parametrize("name", ["cam", "grad"])
def test_every_interpreter_of_the_list_can_be_built_and_has_its_name(name: str) -> None:
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    interpreter = build_interpreter(name, small_network(), x[:1])
    maps = interpreter.explain(x, torch.tensor([0, 2]))
    assert interpreter.name == name
    assert maps.shape[0] == 2
    assert maps.amin((1, 2)).tolist() == [0, 0]
    assert maps.amax((1, 2)).tolist() == pytest.approx([1, 1])
    assert not maps.requires_grad


def test_an_unknown_interpreter_is_refused_with_the_list_of_those_that_exist() -> None:
    with pytest.raises(InterpreterUnavailable, match=r"'lime'.*cam, grad"):
        build_interpreter("lime", small_network(), torch.rand(1, 3, 32, 32))


def test_cam_of_a_network_without_convolutions_is_refused_with_advice() -> None:
    network = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3)))
    with pytest.raises(InterpreterUnavailable, match="--interpreters grad"):
        build_interpreter("cam", network, torch.rand(1, 3, 8, 8))
