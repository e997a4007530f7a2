from __future__ import annotations

import pytest
import torch
from torch import Tensor

from skinaudit.interpreters.rts_network import MaskGenerator, Scale, Standardise, grid_of
from tests.small_networks import seeded

SCALES = (Scale(12, (2, 3)), Scale(8, (4, 5)), Scale(6, (9, 10)))


def features(count: int = 3, scales: tuple[Scale, ...] = SCALES) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(count, one.channels, *one.extent, generator=generator) for one in scales)


def generator_for(scales: tuple[Scale, ...], grid: tuple[int, int]) -> MaskGenerator:
    built = seeded(lambda: MaskGenerator(scales, 4, grid))
    assert isinstance(built, MaskGenerator)
    return built


@pytest.mark.parametrize(
    ("scales", "grid"),
    [
        (SCALES, (9, 10)),
        (SCALES, (18, 20)),  # finer than any scale
        ((Scale(5, (7, 8)),), (9, 9)),  # one scale, nearly as fine as the map
        ((Scale(5, (2, 2)), Scale(4, (8, 8))), (8, 8)),  # four times as fine in one step
        ((Scale(5, (9, 9)),), (9, 9)),
    ],
)
def test_maps_have_the_grid_of_the_model_and_lie_between_0_and_1(
    scales: tuple[Scale, ...], grid: tuple[int, int]
) -> None:
    maps, evidence = generator_for(scales, grid)(features(3, scales), torch.tensor([0, 1, 3]))
    assert maps.shape == (3, *grid)
    assert evidence.shape == (3, 4)
    assert maps.amin() >= 0
    assert maps.amax() <= 1


def test_a_map_is_a_share_of_two_magnitudes() -> None:
    generator = generator_for(SCALES, (9, 10))
    pair: list[Tensor] = []
    hook = generator.last.register_forward_hook(lambda _module, _inputs, output: pair.append(output))
    maps, _ = generator(features(), torch.tensor([0, 1, 3]))
    hook.remove()
    a, b = pair[0].abs().unbind(1)
    torch.testing.assert_close(maps, a / (a + b), atol=1e-3, rtol=0)


def test_where_both_magnitudes_are_zero_the_map_is_zero_and_its_gradient_finite() -> None:
    generator = generator_for(SCALES, (9, 10))
    generator.last.weight.zero_()
    assert generator.last.bias is not None
    generator.last.bias.zero_()
    generator.last.weight.requires_grad_()
    maps, _ = generator(features(), torch.tensor([0, 1, 3]))
    (gradient,) = torch.autograd.grad(maps.sum(), generator.last.weight)
    assert not maps.any()
    assert gradient.isfinite().all()


def test_evidence_is_the_pooled_feature_times_the_embedding() -> None:
    generator = generator_for(SCALES, (9, 10))
    generator.measure(features())
    _, evidence = generator(features(), torch.tensor([0, 1, 3]))
    pooled = generator.standardise(features()[0]).mean((2, 3))
    torch.testing.assert_close(evidence, pooled @ generator.selector.weight[:, :, 0, 0].T, atol=1e-5, rtol=1e-4)


def test_a_closed_gate_makes_maps_independent_of_the_deepest_features() -> None:
    generator = generator_for(SCALES, (9, 10))
    generator.selector.weight.fill_(-1e4)
    first = features()
    other = (first[0] + 0.5, *first[1:])
    classes = torch.tensor([0, 1, 3])
    assert torch.equal(generator(first, classes)[0], generator(other, classes)[0])
    generator.selector.weight.fill_(1e4)
    assert not torch.allclose(generator(first, classes)[0], generator(other, classes)[0])


def test_another_class_gives_another_map() -> None:
    generator = generator_for(SCALES, (9, 10))
    maps, _ = generator(tuple(one[:1].expand(2, -1, -1, -1) for one in features()), torch.tensor([0, 1]))
    assert not torch.allclose(maps[0], maps[1])


def test_standardised_features_have_mean_0_and_spread_1_over_all_channels() -> None:
    layer = Standardise(12)
    many = features(16)[0] * torch.arange(1, 13)[:, None, None]
    layer.measure(many)
    out = layer(many)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 2, 3)).mean(), torch.tensor(1.0))
    spread = out.std((0, 2, 3))
    assert spread[11] > 8 * spread[0]  # channels keep their proportions


def test_the_grid_is_a_quarter_rounded_up() -> None:
    assert grid_of((224, 299)) == (56, 75)
