"""Oracle: the published sum, written out for one image at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

from skinaudit.interpreters.rts_demand import REFINED, Demand, Drawn, demand_of, scale_of
from skinaudit.interpreters.rts_losses import area, cut, total_variation
from skinaudit.interpreters.rts_substrate import blur, keep_masked, substrates
from tests.small_networks import images, small_network

DRAWN = Drawn(torch.tensor([0, 2, 1]), torch.tensor([True, False, True]), [5, 6, 7])


def batch() -> Tensor:
    return images(3).float() / 255


def masks(count: int = 3) -> Tensor:
    return torch.rand(count, 9, 9, generator=torch.Generator().manual_seed(0))


def test_the_loss_is_the_published_sum_for_a_class_that_is_there() -> None:
    network, evidence = small_network(), torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    logits = network(batch())
    found, parts = demand_of(Demand(), network, batch(), logits, DRAWN, masks(), evidence)
    for row in (0, 2):
        x, mask, c = batch()[row : row + 1], masks()[row : row + 1], int(DRAWN.classes[row])
        other = substrates(x, [DRAWN.seeds[row]])
        kept, left = network(keep_masked(x, mask, other))[0], network(keep_masked(x, 1 - mask, other))[0]
        rest = [j for j in range(3) if j != c]
        preserver = max(0.0, float(1 - (kept[c] - kept[rest].max())))
        destroyer = max(0.0, float(5 + (left[c] - left[rest].max())))
        selector = float(functional.cross_entropy(evidence[row : row + 1], logits[row : row + 1].argmax(1)))
        expected = 8 * area(mask) + 0.5 * total_variation(mask) / 2 + 0.3 * preserver + destroyer + selector
        assert found[row].item() == pytest.approx(expected.item(), rel=1e-4)
        assert parts["destroyer"][row].item() == pytest.approx(destroyer, rel=1e-4)


def test_the_refined_demand_asks_that_the_order_of_the_cells_means_something() -> None:
    network, evidence = small_network(), torch.zeros(3, 3)
    arguments = (network, batch(), network(batch()), DRAWN, masks(), evidence)
    plain, parts = demand_of(replace(REFINED, order=0.0), *arguments)
    found, _ = demand_of(REFINED, *arguments)
    expected = 3 * parts["area"] + 0.5 * parts["smoothness"] + parts["evidence"]
    expected += (0.3 * parts["preserver"] + 0.5 * parts["destroyer"]).nan_to_num()
    torch.testing.assert_close(plain, expected)
    for row in (0, 2):
        x, c = batch()[row : row + 1], int(DRAWN.classes[row])
        draw = np.random.default_rng([DRAWN.seeds[row], 1]).random()
        mask = cut(masks()[row : row + 1], torch.tensor([0.03 * (0.5 / 0.03) ** draw], dtype=torch.float32))
        kept = network(keep_masked(x, mask, blur(x)))[0]
        left = network(keep_masked(x, 1 - mask, x.mean((2, 3), keepdim=True).expand_as(x)))[0]
        rest = [j for j in range(3) if j != c]
        lacking = max(0.0, float(5 - (kept[c] - kept[rest].max())))
        leftover = max(0.0, float(5 + (left[c] - left[rest].max())))
        assert (found - plain)[row].item() == pytest.approx(lacking + 2 * leftover, rel=1e-4)
    assert found[1] == plain[1]  # a class that is not there has no order


def test_of_a_class_that_is_not_there_only_a_small_mask_is_asked() -> None:
    network, evidence = small_network(), torch.zeros(3, 3)
    found, parts = demand_of(Demand(evidence=0), network, batch(), network(batch()), DRAWN, masks(), evidence)
    expected = 8 * area(masks()[1:2]) + 0.5 * total_variation(masks()[1:2]) / 2
    assert found[1].item() == pytest.approx(expected.item(), rel=1e-5)
    assert parts["preserver"].isnan().tolist() == [False, True, False]


def test_a_batch_without_any_present_class_needs_no_pass() -> None:
    def never(_x: Tensor) -> Tensor:
        raise AssertionError

    nobody = Drawn(DRAWN.classes, torch.zeros(3, dtype=torch.bool), DRAWN.seeds)
    network = torch.nn.Module()
    network.forward = never
    found, _ = demand_of(Demand(), network, batch(), torch.eye(3), nobody, masks(), torch.eye(3))
    assert found.isfinite().all()


def test_the_gradient_reaches_masks_and_evidence() -> None:
    network = small_network()
    maps, evidence = masks().requires_grad_(), torch.zeros(3, 3, requires_grad=True)
    found, _ = demand_of(Demand(), network, batch(), network(batch()), DRAWN, maps, evidence)
    first, second = torch.autograd.grad(found.sum(), (maps, evidence))
    assert (first.flatten(1).abs().amax(1) > 0).all()
    assert (second.abs().amax(1) > 0).all()


def test_half_precision_judges_nearly_the_same() -> None:
    network, evidence = small_network(), torch.zeros(3, 3)
    arguments = (network, batch(), network(batch()), DRAWN, masks(), evidence)
    whole, _ = demand_of(Demand(), *arguments)
    half, _ = demand_of(Demand(), *arguments, half=True)
    torch.testing.assert_close(half, whole, rtol=0.05, atol=0.1)


def test_mostly_the_predicted_class_is_drawn_else_one_that_is_not_seen() -> None:
    logits = torch.tensor([[5.0, 4.9, -4.0, -5.0]]).expand(2000, -1)
    drawn = Drawn.draw(logits, 0.25, np.random.default_rng(0))
    assert abs(float(drawn.present.float().mean()) - 0.75) < 0.03
    assert set(drawn.classes[drawn.present].tolist()) == {0}
    assert set(drawn.classes[~drawn.present].tolist()) == {2, 3}
    assert len(set(drawn.seeds)) == 2000


def test_where_every_class_is_likely_the_least_likely_counts_as_absent() -> None:
    drawn = Drawn.draw(torch.tensor([[0.2, 0.1, 0.0]]), 1.0, np.random.default_rng(0))
    assert drawn.classes.tolist() == [2]
    assert not drawn.present.any()


def test_the_same_draws_ask_the_same() -> None:
    logits = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    first, second = (Drawn.draw(logits, 0.5, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first.classes, second.classes)
    assert first.seeds == second.seeds


def test_leads_count_in_units_of_the_networks_own() -> None:
    unsure = torch.tensor([[1.5, 0.5, 0.0], [0.0, 0.2, 1.2]])
    assert scale_of(unsure) == pytest.approx(4.0)  # its mean lead is 1
    assert scale_of(8 * unsure) == pytest.approx(0.5)
    network, evidence = small_network(), torch.zeros(3, 3)
    found, _ = demand_of(REFINED, network, batch(), network(batch()), DRAWN, masks(), evidence, scale=3.0)
    thrice, _ = demand_of(REFINED, lambda x: 3 * network(x), batch(), network(batch()), DRAWN, masks(), evidence)
    torch.testing.assert_close(found, thrice)
