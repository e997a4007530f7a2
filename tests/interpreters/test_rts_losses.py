"""Oracles: closed forms, NumPy's differences, torchmetrics, softmax written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import total_variation as reference_variation

from skinaudit.interpreters import rts_losses as losses

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], dtype=torch.float64)
CLASSES = torch.tensor([0, 2])


def masks(count: int = 3, height: int = 5, width: int = 7) -> Tensor:
    return torch.rand(count, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_total_variation_is_the_sum_of_differences_along_both_axes(power: float) -> None:
    found = losses.total_variation(masks(), power)
    for one, value in zip(masks().numpy(), found, strict=True):
        expected = (np.abs(np.diff(one, axis=0)) ** power).sum() + (np.abs(np.diff(one, axis=1)) ** power).sum()
        assert value.item() == pytest.approx(expected)


def test_total_variation_is_that_of_torchmetrics() -> None:
    expected = reference_variation(masks()[:, None], reduction="none")
    torch.testing.assert_close(losses.total_variation(masks(), 1.0), expected)


def test_total_variation_of_a_rectangle_is_its_perimeter_whichever_way_it_lies() -> None:
    standing = torch.zeros(1, 9, 12)
    standing[0, 2:8, 4:7] = 1
    for one in (standing, standing.transpose(1, 2)):
        for power in (1.0, 2.0):
            assert losses.total_variation(one, power).item() == 2 * (6 + 3)


def test_a_ramp_varies_along_its_own_axis_alone() -> None:
    ramp = torch.linspace(0, 1, 5)[None, :, None].expand(1, 5, 3)
    assert losses.total_variation(ramp, 1.0).item() == pytest.approx(3.0)
    assert losses.total_variation(ramp, 2.0).item() == pytest.approx(3 * 4 / 16)


def test_area_is_the_mean_of_the_power() -> None:
    expected = (masks().numpy() ** 0.3).mean((1, 2))
    np.testing.assert_allclose(losses.area(masks()).numpy(), expected)


def test_area_of_an_empty_mask_is_small_and_has_a_finite_derivative() -> None:
    empty = torch.zeros(1, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(losses.area(empty).sum(), empty)
    assert losses.area(empty).item() < 0.05
    assert gradient.isfinite().all()


def test_preserver_and_destroyer_are_their_closed_forms() -> None:
    for row, label in enumerate(CLASSES.tolist()):
        values = LOGITS[row].numpy()
        probability = np.exp(values[label]) / np.exp(values).sum()
        assert losses.preserver(LOGITS, CLASSES)[row].item() == pytest.approx(-np.log(probability))
        assert losses.destroyer(LOGITS, CLASSES)[row].item() == pytest.approx(probability**0.2)
        assert losses.destroyer(LOGITS, CLASSES, 1.0)[row].item() == pytest.approx(probability)


def test_margins_are_counted_from_the_strongest_other_class() -> None:
    assert losses.margin(LOGITS, CLASSES).tolist() == [1.5, -2.0]
    assert losses.preserver_margin(LOGITS, CLASSES).tolist() == [0.0, 3.0]
    assert losses.destroyer_margin(LOGITS, CLASSES).tolist() == [6.5, 3.0]


@pytest.mark.parametrize(
    "loss", [losses.preserver, losses.destroyer, losses.margin, losses.preserver_margin, losses.destroyer_margin]
)
def test_gradients_agree_with_differences(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(lambda logits: loss(logits, CLASSES), LOGITS.clone().requires_grad_())


def test_gradients_of_mask_losses_agree_with_differences() -> None:
    for loss in (losses.total_variation, losses.area):
        assert torch.autograd.gradcheck(loss, (masks() * 0.9 + 0.05).requires_grad_())


def test_a_cut_mask_keeps_the_wanted_share_of_the_highest_cells() -> None:
    masks = torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(3))
    found = losses.cut(masks, torch.tensor([0.1, 0.5]), softness=1e-4)
    assert found.round().mean((1, 2)).tolist() == pytest.approx([0.1, 0.5], abs=0.01)
    for mask, kept in zip(masks, found.round() == 1, strict=True):
        assert mask[kept].min() >= mask[~kept].max()


def test_the_edge_of_a_cut_mask_has_a_gradient_and_a_flat_mask_is_finite() -> None:
    masks = torch.rand(1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    (gradient,) = torch.autograd.grad(losses.cut(masks, torch.tensor([0.3])).sum(), masks)
    assert (gradient > 0).all()
    assert losses.cut(torch.full((1, 8, 8), 0.5), torch.tensor([0.3])).isfinite().all()
