from __future__ import annotations

import io

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch import Tensor

from skinaudit.attacks.perturbation import LInf, round_to_8_bit

quick = settings(deadline=None, max_examples=60, derandomize=True)
SHAPE = (2, 3, 4, 5)
#: Pixels with many at the ends of the range, where clipping and rounding meet.
Pixels = hnp.arrays(np.uint8, SHAPE, elements=st.one_of(st.sampled_from([0, 1, 254, 255]), st.integers(0, 255)))
Directions = hnp.arrays(np.float32, SHAPE, elements=st.sampled_from([-1.0, 0.0, 1.0]))


def saved_and_read(x: Tensor) -> np.ndarray:
    """One image (3,H,W) in [0,1] through a PNG file, (3,H,W) as integers."""
    buffer = io.BytesIO()
    Image.fromarray((x * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()).save(buffer, "PNG")
    return np.asarray(Image.open(buffer)).transpose(2, 0, 1).astype(int)


@quick
@given(
    pixels=Pixels,
    directions=st.lists(Directions, min_size=1, max_size=4),
    sizes=st.lists(st.floats(0.0, 0.15625, width=32), min_size=2, max_size=2),
    levels=st.integers(1, 64),
)
def test_the_ball_is_never_left_after_saving_and_re_reading(
    pixels: np.ndarray, directions: list[np.ndarray], sizes: list[float], levels: int
) -> None:
    ball, x0 = LInf(levels), torch.from_numpy(pixels).float() / 255
    z = ball.start(x0)
    for direction in directions:
        z = ball.step(x0, z, torch.from_numpy(direction), torch.tensor(sizes))
        x = round_to_8_bit(ball.apply(x0, z))
        assert x.min() >= 0
        assert x.max() <= 1
        for image, before in zip(x, pixels.astype(int), strict=True):
            assert np.abs(saved_and_read(image) - before).max() <= levels


@quick
@given(pixels=Pixels, levels=st.integers(1, 64), up=st.booleans())
def test_the_whole_ball_can_be_reached(pixels: np.ndarray, levels: int, up: bool) -> None:
    ball, x0 = LInf(levels), torch.from_numpy(pixels).float() / 255
    direction = torch.full(SHAPE, 1.0 if up else -1.0)
    z = ball.step(x0, ball.start(x0), direction, torch.ones(2))
    expected = np.clip(pixels.astype(int) + (levels if up else -levels), 0, 255)
    for image, wanted in zip(round_to_8_bit(ball.apply(x0, z)), expected, strict=True):
        np.testing.assert_array_equal(saved_and_read(image), wanted)


def test_start_is_the_image_itself_bit_for_bit() -> None:
    ball, x0 = LInf(8), torch.arange(256).float().view(1, 1, 16, 16).expand(1, 3, -1, -1) / 255
    assert torch.equal(round_to_8_bit(ball.apply(x0, ball.start(x0))), x0)


def test_every_row_takes_its_own_step_size() -> None:
    ball, x0 = LInf(8), torch.full((3, 3, 2, 2), 0.5)
    z = ball.step(x0, ball.start(x0), torch.ones_like(x0), torch.tensor([0.0, 0.01, 1.0]))
    torch.testing.assert_close(z.amax((1, 2, 3)), torch.tensor([0.0, 0.01, 8 / 255]))


def test_steps_below_one_grey_level_add_up() -> None:
    ball, x0 = LInf(8), torch.full((1, 3, 2, 2), 128 / 255)
    z = ball.start(x0)
    for _ in range(3):
        z = ball.step(x0, z, torch.ones_like(x0), torch.tensor([0.25 / 255]))
    assert (round_to_8_bit(ball.apply(x0, z)) * 255).round().unique().tolist() == [129]


def test_a_pixel_at_the_end_of_the_range_turns_back_at_once() -> None:
    ball, x0, up = LInf(8), torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    pushed = ball.step(x0, ball.start(x0), up, torch.tensor([5 / 255]))
    back = ball.step(x0, pushed, -up, torch.tensor([1 / 255]))
    assert (round_to_8_bit(ball.apply(x0, back)) * 255).round().unique().tolist() == [254]


def test_inputs_stay_as_they_were() -> None:
    ball, x0 = LInf(8), torch.full((1, 3, 2, 2), 0.5)
    z, direction, x = ball.start(x0), torch.ones_like(x0), x0.clone()
    ball.step(x0, z, direction, torch.tensor([0.1]))
    round_to_8_bit(x)
    assert torch.equal(x0, torch.full((1, 3, 2, 2), 0.5))
    assert torch.equal(x, x0)
    assert not z.any()


def test_what_the_box_shows_and_pulls_back_is_what_it_got() -> None:
    ball, x0 = LInf(8), torch.rand(2, 3, 4, 5)
    gradient = torch.randn_like(x0)
    z = ball.start(x0)
    assert ball.seen(x0) is x0
    assert ball.pull_back(x0, z, gradient) is gradient
    assert torch.equal(ball.direction(gradient), -gradient.sign())
    assert ball.extent(z).shape == (2, 0)
