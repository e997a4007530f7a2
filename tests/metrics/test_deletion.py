from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from skinaudit.metrics.deletion import area_under_curve, importance_order, replacements


def test_order_is_that_of_the_values_and_of_rows_among_equals() -> None:
    maps = torch.tensor([[[0.5, 0.5], [0.9, 0.1]]])
    assert importance_order(maps, (2, 2)).tolist() == [[2, 0, 1, 3]]


def test_an_enlarged_map_is_ordered_at_the_size_of_the_image() -> None:
    maps = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    order = importance_order(maps, (4, 4))[0]
    assert {int(place) % 4 for place in order[:8]} == {2, 3}


def test_pixels_are_replaced_in_order_until_nothing_of_the_image_is_left() -> None:
    image, substrate = torch.ones(3, 2, 2), torch.zeros(3, 2, 2)
    order = torch.tensor([3, 0, 2, 1])
    found = replacements(image, substrate, order, 4)
    assert found.shape == (5, 3, 2, 2)
    kept = [[[1, 1], [1, 1]], [[1, 1], [1, 0]], [[0, 1], [1, 0]], [[0, 1], [0, 0]], [[0, 0], [0, 0]]]
    for step in range(5):
        for channel in range(3):
            assert found[step, channel].tolist() == kept[step]


def test_deletion_of_what_a_linear_score_needs_first_gives_the_closed_form() -> None:
    """The score is the share of bright pixels left; 1/4 are bright and go first: 1 − 4t until t = 1/4, then 0."""
    image = torch.zeros(1, 8, 8)
    image[0, :4, :4] = 1
    steps = 16
    order = importance_order(image, (8, 8))[0]
    scores = replacements(image, torch.zeros_like(image), order, steps).mean((1, 2, 3)) * 4
    assert area_under_curve(scores).item() == pytest.approx(1 / 8)
    worst = replacements(image, torch.zeros_like(image), order.flip(0), steps).mean((1, 2, 3)) * 4
    assert area_under_curve(worst).item() == pytest.approx(1 - 1 / 8)


def test_area_agrees_with_scipy() -> None:
    curves = torch.rand(3, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = trapezoid(curves.numpy(), np.linspace(0, 1, 11), axis=1)
    np.testing.assert_allclose(area_under_curve(curves).numpy(), expected)


@pytest.mark.parametrize(("size", "places", "steps"), [((3, 2, 3), 4, 2), ((3, 2, 2), 5, 2), ((3, 2, 2), 4, 0)])
def test_shapes_that_do_not_belong_together_are_refused(size: tuple[int, ...], places: int, steps: int) -> None:
    with pytest.raises(ValueError, match="expected image and substrate"):
        replacements(torch.ones(3, 2, 2), torch.zeros(size), torch.arange(places), steps)
