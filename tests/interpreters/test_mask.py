"""Oracles: a plain loop with ``torch.optim.Adam`` and torchvision's blur, closed forms, and gradcheck."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from skinaudit.interpreters.base import InterpreterUnavailable
from skinaudit.interpreters.mask import FAST, PUBLISHED, Mask, MaskSettings
from skinaudit.interpreters.registry import build_interpreter, kinds
from tests.small_networks import images, small_network

CLASSES = torch.tensor([1, 2, 0])
SHORT = MaskSettings(iterations=40)
LATE = dataclasses.replace(SHORT, late_from=30, late_rates=(0.4, 0.1), late_memory=1 / 16)


def batch() -> Tensor:
    return images(3, height=40, width=48).float() / 255


def mask(settings: MaskSettings = SHORT, activation: type[nn.Module] = nn.ReLU) -> Mask:
    return Mask(small_network(activation), settings)


def plain_masked(m: Tensor, x: Tensor, shift: tuple[int, int]) -> Tensor:
    """The masked image of one step as it is described, with the kernels of the published settings."""
    shown = gaussian_blur(functional.interpolate(m[:, None], x.shape[2:], mode="bilinear"), [11, 11])
    moved = torch.from_numpy(np.roll(x.numpy(), shift, (2, 3)))
    blurred = torch.from_numpy(np.roll(gaussian_blur(x, [21, 21]).numpy(), shift, (2, 3)))
    masked: Tensor = moved * shown + blurred * (1 - shown)
    return masked


def plain_solution(
    network: nn.Module, x: Tensor, k: int, shifts: list[tuple[int, int]], rates: list[float] | None = None
) -> Tensor:
    """The map of one image (1,3,H,W) by a plain loop over torch's own Adam, with the numbers of the paper."""
    m = torch.full((1, x.shape[2] // 8, x.shape[3] // 8), 0.5, dtype=x.dtype, requires_grad=True)
    adam = torch.optim.Adam([m], lr=0.1)
    for step, shift in enumerate(shifts):
        adam.param_groups[0]["lr"] = rates[step] if rates else 0.1
        if rates and step == LATE.late_from:
            adam.state[m]["exp_avg_sq"] *= LATE.late_memory
        probability = network(plain_masked(m, x, shift)).softmax(1)[0, k]
        variation = ((m[:, 1:] - m[:, :-1]).abs() ** 3).sum() + ((m[:, :, 1:] - m[:, :, :-1]).abs() ** 3).sum()
        adam.zero_grad()
        (probability + 1e-4 * (1 - m).sum() + 1e-2 * variation).backward()
        adam.step()
        m.data.clamp_(0, 1)
    return 1 - m.detach()


def shifts_of(interpreter: Mask, steps: int) -> list[tuple[int, int]]:
    """Where the jitter moves a single bright pixel."""
    x = torch.zeros(1, 3, 40, 48, dtype=torch.float64)
    x[:, :, 20, 24] = 1
    places = [interpreter.jittered(x, [step])[0, 0].nonzero()[0].tolist() for step in range(steps)]
    return [(down - 20, right - 24) for down, right in places]


LATE_RATES = [0.1] * 30 + [0.4 * 0.25 ** (step / 9) for step in range(10)]


@pytest.mark.parametrize(("settings", "rates"), [(SHORT, None), (LATE, LATE_RATES)])
def test_solution_is_that_of_a_plain_loop(settings: MaskSettings, rates: list[float] | None) -> None:
    interpreter, x = Mask(small_network().double(), settings), batch().double()
    found = interpreter.explain(x, CLASSES)
    shifts = shifts_of(interpreter, 40)
    for row in range(3):
        expected = plain_solution(interpreter.classifier, x[row : row + 1], int(CLASSES[row]), shifts, rates)
        torch.testing.assert_close(found[row], expected[0], rtol=1e-6, atol=1e-6)
    assert found.std((1, 2)).amax() > 0.1


def test_defaults_are_the_published_settings() -> None:
    assert MaskSettings() == PUBLISHED
    assert dataclasses.astuple(PUBLISHED) == (300, 0.1, None, (0.1, 0.1), 1.0, 0.5, 1e-4, 1e-2, 3.0, 4, 21, 11, 8, 0)
    assert [PUBLISHED.rate(step) for step in (0, 150, 299)] == [0.1, 0.1, 0.1]


def test_fast_setting_begins_like_the_published_one_and_takes_at_most_a_third_of_its_steps() -> None:
    assert FAST.iterations * 3 <= PUBLISHED.iterations
    assert FAST.fast() == FAST
    assert [FAST.rate(step) for step in (0, 29, 30)] == pytest.approx([0.1, 0.1, 0.3])
    assert [FAST.rate(step) for step in (95, 100, 200)] == pytest.approx([0.1, 0.1, 0.1])
    x = batch()
    begun = [Mask(small_network(), settings).solve(x, CLASSES, iterations=30) for settings in (FAST, PUBLISHED)]
    torch.testing.assert_close(begun[0].mask, begun[1].mask)


def test_map_has_a_cell_for_eight_pixels_and_stays_within_0_and_1() -> None:
    for height, width, cells in ((40, 48, (5, 6)), (33, 35, (4, 4)), (64, 32, (8, 4))):
        x = images(2, height=height, width=width).float() / 255
        found = mask().explain(x, CLASSES[:2])
        assert found.shape == (2, *cells)
        assert not found.requires_grad
        assert found.amin() >= 0
        assert found.amax() <= 1
    assert Mask(small_network()).start(torch.zeros(1, 3, 224, 224)).mask.shape == (1, 28, 28)


def test_same_image_gives_the_same_map_every_time() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = mask().explain(batch(), CLASSES)
        torch.rand(7)
        assert torch.equal(mask().explain(batch(), CLASSES), first)


def test_map_of_a_row_is_the_same_to_the_bit_whatever_its_neighbours_and_place() -> None:
    interpreter, x = mask(), batch()
    found = interpreter.explain(x, CLASSES)
    other = torch.stack([x[2], x[1], x[1]])
    again = interpreter.explain(other, torch.tensor([0, 2, 1]))
    assert torch.equal(again[1], found[1])
    assert torch.equal(again[0], found[2])
    assert not torch.equal(again[2], found[1])


def test_a_row_without_finite_pixels_does_not_disturb_its_neighbours() -> None:
    interpreter, x = mask(), batch()
    found = interpreter.explain(x, CLASSES)
    x[0] = math.nan
    again = interpreter.explain(x, CLASSES)
    assert torch.equal(again[1:], found[1:])


def test_a_search_that_is_interrupted_ends_where_it_would_have() -> None:
    interpreter, x = mask(), batch()
    whole = interpreter.solve(x, CLASSES)
    half = interpreter.solve(x, CLASSES, iterations=25)
    assert half.step.tolist() == [25, 25, 25]
    rest = interpreter.solve(x, CLASSES, half, 15)
    for field in dataclasses.fields(whole):
        assert torch.equal(getattr(rest, field.name), getattr(whole, field.name))


def test_rows_at_different_steps_each_go_their_own_way() -> None:
    interpreter, x = mask(), batch()
    early, late = (interpreter.solve(x, CLASSES, iterations=count) for count in (3, 17))
    fields = [field.name for field in dataclasses.fields(early)]
    mixed = dataclasses.replace(
        early, **{name: torch.cat([getattr(early, name)[:1], getattr(late, name)[1:]]) for name in fields}
    )
    found = interpreter.solve(x, CLASSES, mixed, 5)
    assert torch.equal(found.mask[0], interpreter.solve(x, CLASSES, early, 5).mask[0])
    assert torch.equal(found.mask[1:], interpreter.solve(x, CLASSES, late, 5).mask[1:])


def test_gradient_of_the_inner_loss_is_exact() -> None:
    interpreter = Mask(small_network(nn.SiLU).double())
    x, generator = batch().double(), torch.Generator().manual_seed(0)
    m = torch.rand(3, 5, 6, generator=generator, dtype=torch.float64)

    def loss(masks: Tensor, pixels: Tensor) -> Tensor:
        return interpreter.map_loss(masks, pixels, interpreter.blur(pixels), CLASSES, [0, 1, 2])

    assert torch.autograd.gradcheck(loss, (m.requires_grad_(), x))
    small = x[:, :, :24, :24].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda pixels: loss(m[:, :3, :3].detach(), pixels), (small,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda masks: loss(masks, x), (m,), fast_mode=True)


def test_penalty_of_a_mask_has_its_closed_form() -> None:
    interpreter = mask(MaskSettings(sparsity=0.5, smoothness=2.0))
    step = torch.zeros(1, 4, 5)
    step[:, :, 2:] = 0.5  # one edge of height 0.5 along 4 cells
    ramp = torch.arange(4.0).view(1, 4, 1).expand(1, 4, 5) / 4  # 3 differences of 0.25 in each of 5 columns
    ones = torch.ones(1, 4, 5)
    found = interpreter.penalty(torch.cat([step, ramp, ones]))
    expected = [0.5 * (8 + 12 * 0.5) + 2 * 4 * 0.5**3, 0.5 * 5 * 2.5 + 2 * 15 * 0.25**3, 0.0]
    torch.testing.assert_close(found, torch.tensor(expected))
    squared = mask(MaskSettings(sparsity=0.0, smoothness=1.0, exponent=2.0)).penalty(step)
    torch.testing.assert_close(squared, torch.tensor([4 * 0.25]))


def test_penalty_of_a_flat_mask_has_a_finite_gradient() -> None:
    flat = torch.full((1, 5, 6), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(mask().penalty(flat).sum(), flat)
    torch.testing.assert_close(gradient, torch.full_like(flat, -1e-4))


def test_masked_image_is_the_image_where_the_mask_is_1_and_its_blur_where_it_is_0() -> None:
    interpreter, x = mask(MaskSettings(jitter=0)), batch()
    blurred = interpreter.blur(x)
    torch.testing.assert_close(blurred, gaussian_blur(x, [21, 21]))
    assert not torch.allclose(blurred, x, atol=0.02)
    torch.testing.assert_close(interpreter.masked(torch.ones(3, 5, 6), x, blurred, [0, 0, 0]), x)
    torch.testing.assert_close(interpreter.masked(torch.zeros(3, 5, 6), x, blurred, [0, 0, 0]), blurred)
    m = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(interpreter.masked(m, x, blurred, [0, 0, 0]), plain_masked(m, x, (0, 0)))


def test_jitter_reaches_every_shift_of_four_pixels_and_depends_on_the_seed_and_step_alone() -> None:
    first, again, other = (mask(MaskSettings(seed=seed)) for seed in (0, 0, 1))
    shifts = shifts_of(first, 300)
    assert {down for down, _ in shifts} == {right for _, right in shifts} == set(range(-4, 5))
    assert shifts == shifts_of(again, 300)
    assert shifts != shifts_of(other, 300)
    x = batch()
    mixed = first.jittered(x, [0, 1, 300])
    expected = [np.roll(x[row].numpy(), shifts[step], (1, 2)) for row, step in enumerate((0, 1, 0))]
    assert torch.equal(mixed, torch.from_numpy(np.stack(expected)))


class Corner(nn.Module):
    """Class 1 is contrast inside the upper left quarter."""

    def forward(self, x: Tensor) -> Tensor:
        part = x[:, :, :20, :24]
        contrast = 10 * part.std((1, 2, 3)) - 1.5
        return torch.stack([-contrast, contrast], 1)


def test_map_is_high_where_blurring_takes_the_class_away() -> None:
    x = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    found = Mask(Corner(), MaskSettings(iterations=120, jitter=0, sparsity=2e-3)).explain(x, torch.tensor([1]))[0]
    inside, outside = found[:2, :3], found[3:, 4:]
    assert inside.mean() > 0.3
    assert outside.mean() < 0.05


def test_it_has_no_differentiable_form() -> None:
    with pytest.raises(InterpreterUnavailable, match="its own objective"):
        mask().differentiable(batch(), CLASSES)


@pytest.mark.parametrize(
    ("name", "title", "settings"), [("mask", "MASK", PUBLISHED), ("mask-fast", "MASK (fast)", FAST)]
)
def test_it_is_registered_with_the_published_and_the_fast_setting(
    name: str, title: str, settings: MaskSettings
) -> None:
    kind = kinds()[name]
    assert (kind.title, kind.family) == (title, "perturbation")
    built = build_interpreter(name, small_network(), batch()[:1])
    assert isinstance(built, Mask)
    assert built.settings == settings
    assert built.name == name
