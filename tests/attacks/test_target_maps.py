from __future__ import annotations

import math

import pytest
import torch
from skimage.measure import label, regionprops
from torch import Tensor

from skinaudit.attacks.target_maps import (
    EDGE,
    LEAST_AREA,
    MOST_AREA,
    NO_DONOR,
    Donor,
    Patch,
    choose_donor,
    random_patch,
    wanted_map,
)
from skinaudit.config import TargetMap
from skinaudit.metrics.maps import top_iou


def corner(side: int) -> Tensor:
    """A map whose salient pixels lie in one corner."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    return torch.exp(-3 * (x + y))


def scattered(side: int) -> Tensor:
    """A map whose salient pixels lie everywhere: no patch avoids them."""
    return ((torch.arange(side)[:, None] + torch.arange(side)) % 5 == 0).float()


def patches(side: int, count: int = 60) -> list[Patch]:
    return [random_patch(corner(side), seed) for seed in range(count)]


def test_a_patch_covers_its_share_of_the_map_and_stays_clear_of_what_the_benign_map_shows() -> None:
    salient = torch.zeros(56 * 56, dtype=torch.bool)
    salient[corner(56).flatten().argsort(descending=True)[: round(0.2 * 56 * 56)]] = True
    for patch in patches(56):
        inside = patch.saliency >= 0.5
        assert LEAST_AREA - 0.01 <= inside.float().mean() <= MOST_AREA + 0.01
        assert patch.touched == int((inside.flatten() & salient).sum()) == 0


def test_discs_are_round_and_rectangles_are_not_longer_than_twice_their_width() -> None:
    found = patches(112)
    assert {patch.shape for patch in found} == {"disc", "rectangle"}
    for patch in found:
        (region,) = regionprops(label((patch.saliency >= 0.5).numpy()))
        ratio = region.axis_major_length / region.axis_minor_length
        assert region.solidity > 0.93
        # A disc fills its ellipse of inertia; a rectangle is 3/π of it.
        filled = region.area / (math.pi / 4 * region.axis_major_length * region.axis_minor_length)
        assert filled == pytest.approx(1.0 if patch.shape == "disc" else 3 / math.pi, abs=0.02)
        assert ratio < (1.05 if patch.shape == "disc" else 2.1)


def test_rectangles_are_turned_every_way() -> None:
    turned = [
        regionprops(label((patch.saliency >= 0.5).numpy()))[0].orientation
        for patch in patches(56)
        if patch.shape == "rectangle"
    ]
    assert {math.floor(angle / (math.pi / 4)) for angle in turned} == {-2, -1, 0, 1}


def test_a_patch_lies_inside_its_map() -> None:
    for patch in patches(56, 30):
        inside = patch.saliency >= 0.5
        border = torch.cat([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
        assert int(border.sum()) <= 10  # an arc or a tip may touch the border; a patch cut off would lie along it
        assert int(inside.sum()) == patch.pixels


def test_the_edge_is_soft_and_orders_every_pixel() -> None:
    for patch in patches(28, 10):
        assert (float(patch.saliency.min()), float(patch.saliency.max())) == (0.0, 1.0)
        between = ((patch.saliency > 0.05) & (patch.saliency < 0.95)).float().mean()
        assert 0.05 < between < 0.5
        turned = patch.saliency.flip(0, 1)[None]  # other row order, same pixels: ties would be broken differently
        again = patch.saliency.flip(0, 1).clone()[None]
        assert top_iou(turned, again, 0.2).item() == 1.0
        assert patch.saliency.unique().numel() > 0.4 * patch.saliency.numel()
    assert EDGE < 0.1


def test_even_a_coarse_map_gets_a_patch() -> None:
    for side in (4, 7):
        for patch in patches(side, 100):
            assert patch.pixels >= 1
            assert patch.touched == 0


def test_a_map_need_not_be_square() -> None:
    patch = random_patch(torch.rand(8, 20, generator=torch.Generator().manual_seed(0)), 3)
    assert patch.saliency.shape == (8, 20)


def test_the_seed_gives_the_patch() -> None:
    assert torch.equal(random_patch(corner(28), 5).saliency, random_patch(corner(28), 5).saliency)
    assert not torch.equal(random_patch(corner(28), 5).saliency, random_patch(corner(28), 6).saliency)


def test_where_no_patch_fits_the_one_that_touches_least_is_taken_and_said() -> None:
    patch = random_patch(scattered(56), 1, draws=20)
    assert (patch.draws, patch.touched > 0) == (20, True)
    first = random_patch(scattered(56), 1, draws=1)
    assert patch.touched / patch.pixels <= first.touched / first.pixels
    wanted = wanted_map(TargetMap.PATCH, scattered(56), 1)
    assert wanted.kind is TargetMap.PATCH
    assert "none of 300 patches drawn was clear of the benign map's top 20 %" in str(wanted.reason)
    assert wanted_map(TargetMap.PATCH, corner(56), 1).reason is None


def test_a_map_without_pixels_to_cover_is_refused() -> None:
    with pytest.raises(ValueError, match="no patch covers a pixel"):
        random_patch(torch.zeros(1, 60), 0, draws=0)


def test_the_benign_map_is_wanted_as_it_is() -> None:
    wanted = wanted_map(TargetMap.BENIGN, corner(7), 0)
    assert (wanted.kind, wanted.donor, wanted.reason) == (TargetMap.BENIGN, None, None)
    assert torch.equal(wanted.saliency, corner(7))


def test_the_map_of_a_donor_is_wanted_with_its_name() -> None:
    wanted = wanted_map(TargetMap.CLASS, corner(7), 0, Donor("other", scattered(7)))
    assert (wanted.kind, wanted.donor, wanted.reason) == (TargetMap.CLASS, "other", None)
    assert torch.equal(wanted.saliency, scattered(7))


def test_without_a_donor_the_benign_map_or_a_patch_is_wanted_and_said() -> None:
    benign = wanted_map(TargetMap.CLASS, corner(7), 0)
    assert (benign.kind, benign.reason) == (TargetMap.BENIGN, f"{NO_DONOR}, so the benign map was wanted")
    patch = wanted_map(TargetMap.CLASS, corner(7), 0, why="it is gone", instead=TargetMap.PATCH)
    assert (patch.kind, patch.reason) == (TargetMap.PATCH, "it is gone, so a random patch was wanted")
    assert torch.equal(patch.saliency, random_patch(corner(7), 0).saliency)


def test_a_donor_is_another_image_drawn_evenly_by_the_seed() -> None:
    drawn = [choose_donor(["d", "b", "a", "c"], "b", seed) for seed in range(300)]
    assert drawn == [choose_donor(["a", "b", "c", "d"], "b", seed) for seed in range(300)]
    assert all(70 < drawn.count(name) < 130 for name in ("a", "c", "d"))
    assert choose_donor(["b"], "b", 0) is None
    assert choose_donor([], "b", 0) is None
