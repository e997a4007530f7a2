"""Oracles: brute-force Python, scikit-image and SciPy called directly, hand numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import Tensor

from skinaudit.metrics.maps import half_iou, l1, rms, spearman, ssim, top_iou, top_k_intersection

Distance = Callable[[Tensor, Tensor], Tensor]

quick = settings(deadline=None, max_examples=40, derandomize=True)


def top20(a: Tensor, b: Tensor) -> Tensor:
    return top_iou(a, b, share=0.2)


def left20(a: Tensor, b: Tensor) -> Tensor:
    return top_k_intersection(a, b, k_share=0.2)


DISTANCES = [pytest.param(measure, id=measure.__name__) for measure in (l1, rms)]
AGREEMENTS = [pytest.param(measure, id=measure.__name__) for measure in (top20, left20, half_iou, spearman, ssim)]
MEASURES = DISTANCES + AGREEMENTS


@st.composite
def pairs(draw: st.DrawFn, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Two stacks of maps of one shape; few grey levels make many ties."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    if levels is None:
        values = st.floats(0.0, 1.0, width=32)
    else:
        values = st.integers(0, levels).map(lambda level: level / levels)
    maps = hnp.arrays(np.float32, shape, elements=values)
    return torch.from_numpy(draw(maps)), torch.from_numpy(draw(maps))


def random_maps(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- every measure ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
@quick
@given(pair=pairs())
def test_measure_is_symmetric_and_stays_in_its_range(measure: Distance, pair: tuple[Tensor, Tensor]) -> None:
    a, b = pair
    there, back = measure(a, b), measure(b, a)
    torch.testing.assert_close(there, back)
    low = -1.0 if measure in (spearman, ssim) else 0.0
    assert there.shape == (a.shape[0],)
    assert bool(((there >= low - 1e-6) & (there <= 1.0 + 1e-6)).all())


@pytest.mark.parametrize("measure", DISTANCES)
@quick
@given(pair=pairs(levels=3))
def test_distance_of_a_map_to_itself_is_zero(measure: Distance, pair: tuple[Tensor, Tensor]) -> None:
    assert measure(pair[0], pair[0].clone()).tolist() == [0.0] * len(pair[0])


@pytest.mark.parametrize("measure", AGREEMENTS)
@quick
@given(pair=pairs(levels=3))
def test_agreement_of_a_map_with_itself_is_one(measure: Distance, pair: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(measure(pair[0], pair[0].clone()), torch.ones(len(pair[0])))


@pytest.mark.parametrize("measure", MEASURES)
def test_row_of_a_batch_equals_the_map_alone(measure: Distance) -> None:
    a, b = random_maps(1, 5, 14, 14), random_maps(2, 5, 14, 14)
    alone = torch.cat([measure(a[row : row + 1], b[row : row + 1]) for row in range(5)])
    torch.testing.assert_close(measure(a, b), alone, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("measure", MEASURES)
def test_batch_without_images_gives_no_numbers(measure: Distance) -> None:
    assert measure(torch.zeros(0, 7, 7), torch.zeros(0, 7, 7)).shape == (0,)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(1, 7, 7), torch.zeros(1, 8, 7), r"one shape \(N, h, w\), got \(1, 7, 7\) and \(1, 8, 7\)"),
        (torch.zeros(7, 7), torch.zeros(7, 7), r"add the batch axis"),
        (torch.zeros(1, 0, 7), torch.zeros(1, 0, 7), r"one shape \(N, h, w\)"),
        (torch.zeros(1, 7, 7, dtype=torch.uint8), torch.zeros(1, 7, 7), r"divide 8-bit maps by 255"),
    ],
)
def test_wrong_maps_are_refused_by_name(measure: Distance, a: Tensor, b: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(a, b)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_map_that_is_not_finite_never_gives_a_plausible_number(measure: Distance, bad: float) -> None:
    broken = random_maps(3, 2, 7, 7)
    broken[1, 3, 3] = bad
    sound = random_maps(4, 2, 7, 7)
    if measure in (spearman, ssim):
        with pytest.raises(ValueError, match="NaN or infinity"):
            measure(sound, broken)
        return
    found = measure(sound, broken)
    assert torch.isfinite(found).tolist() == [True, False]


@pytest.mark.parametrize("measure", MEASURES)
def test_result_keeps_double_precision_and_lifts_half_precision(measure: Distance) -> None:
    a, b = random_maps(5, 2, 7, 7), random_maps(6, 2, 7, 7)
    assert measure(a.double(), b.double()).dtype == torch.float64
    halves = measure(a.bfloat16(), b.bfloat16())
    assert halves.dtype == torch.float32
    torch.testing.assert_close(halves, measure(a.bfloat16().float(), b.bfloat16().float()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("measure", MEASURES)
def test_cuda_gives_the_numbers_of_the_cpu_on_its_own_device(measure: Distance) -> None:
    a, b = random_maps(7, 4, 56, 56), random_maps(8, 4, 56, 56)
    found = measure(a.cuda(), b.cuda())
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), measure(a, b))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("measure", [l1, rms, top20, left20, half_iou])
def test_search_measures_do_not_wait_for_the_device(measure: Distance) -> None:
    a, b = random_maps(7, 4, 56, 56).cuda(), random_maps(8, 4, 56, 56).cuda()
    measure(a, b)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        measure(a, b)
    finally:
        torch.cuda.set_sync_debug_mode(mode)


# --- l1 and rms -------------------------------------------------------------------------------------------------------


@quick
@given(pair=pairs())
def test_l1_and_rms_equal_numpy_in_double_precision(pair: tuple[Tensor, Tensor]) -> None:
    delta = (pair[0].double() - pair[1].double()).numpy()
    np.testing.assert_allclose(l1(*pair).numpy(), np.abs(delta).mean(axis=(1, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(rms(*pair).numpy(), np.sqrt((delta**2).mean(axis=(1, 2))), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("measure", DISTANCES)
def test_distance_has_the_right_gradient(measure: Distance) -> None:
    a = random_maps(9, 2, 3, 4, dtype=torch.float64).requires_grad_()
    b = random_maps(10, 2, 3, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(measure, (a, b))


@pytest.mark.parametrize("measure", DISTANCES)
def test_gradient_at_equal_maps_is_zero_and_not_nan(measure: Distance) -> None:
    a = random_maps(11, 2, 7, 7).requires_grad_()
    measure(a, a.detach().clone()).sum().backward()
    assert a.grad is not None
    assert a.grad.abs().max().item() == 0.0


# --- overlap ----------------------------------------------------------------------------------------------------------


def top_pixels(values: list[float], share: float) -> set[int]:
    count = max(1, round(share * len(values)))
    return set(sorted(range(len(values)), key=lambda index: (-values[index], index))[:count])


def brute_force_top_iou(a: list[float], b: list[float], share: float) -> float:
    first, second = top_pixels(a, share), top_pixels(b, share)
    return len(first & second) / len(first | second)


@quick
@given(pair=pairs(levels=4), share=st.sampled_from([0.001, 0.1, 0.2, 0.3, 0.5, 1.0]))
def test_top_iou_equals_sorting_by_value_then_index(pair: tuple[Tensor, Tensor], share: float) -> None:
    expected = [
        brute_force_top_iou(a.flatten().tolist(), b.flatten().tolist(), share) for a, b in zip(*pair, strict=True)
    ]
    np.testing.assert_allclose(top_iou(*pair, share).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(("share", "count"), [(0.1, 5), (0.2, 10), (0.3, 15), (0.001, 1)])
def test_top_iou_of_a_cam_map_takes_exactly_the_rounded_number_of_pixels(share: float, count: int) -> None:
    ramp = torch.arange(49.0).reshape(1, 7, 7) / 48
    just_outside = ramp.clone()
    just_outside.view(-1)[48 - count] = 1.0  # lifts the best pixel that was not taken above the rest
    expected = (count - 1) / (count + 1)
    assert top_iou(ramp, just_outside, share).item() == pytest.approx(expected)


def test_top_iou_breaks_ties_by_the_first_index() -> None:
    flat = torch.full((1, 4, 5), 0.5)
    first_row = torch.zeros(1, 4, 5)
    first_row[:, 0] = 1.0
    last_row = first_row.flip(1)
    assert top_iou(flat, first_row, share=0.25).item() == 1.0
    assert top_iou(flat, last_row, share=0.25).item() == 0.0


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, math.nan])
def test_top_iou_refuses_a_share_outside_its_range(share: float) -> None:
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\]"):
        top_iou(torch.zeros(1, 7, 7), torch.zeros(1, 7, 7), share)


@quick
@given(pair=pairs(levels=4), share=st.sampled_from([0.001, 0.1, 0.3, 1.0]))
def test_top_k_intersection_is_the_part_of_the_reference_that_is_left(
    pair: tuple[Tensor, Tensor], share: float
) -> None:
    expected = []
    for reference, other in zip(*pair, strict=True):
        wanted = top_pixels(reference.flatten().tolist(), share)
        expected.append(len(wanted & top_pixels(other.flatten().tolist(), share)) / len(wanted))
    np.testing.assert_allclose(top_k_intersection(*pair, share).numpy(), expected, rtol=1e-6)


def test_top_k_intersection_follows_from_the_overlap() -> None:
    a, b = random_maps(24, 6, 28, 28), random_maps(25, 6, 28, 28)
    overlap = top_iou(a, b, 0.3)
    torch.testing.assert_close(top_k_intersection(a, b, 0.3), 2 * overlap / (1 + overlap))


def test_top_k_intersection_of_unrelated_maps_is_near_the_share() -> None:
    a, b = random_maps(26, 200, 28, 28), random_maps(27, 200, 28, 28)
    assert top_k_intersection(a, b, 0.2).mean().item() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 1.5, math.nan])
def test_top_k_intersection_refuses_a_share_outside_its_range(share: float) -> None:
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\]"):
        top_k_intersection(torch.zeros(1, 7, 7), torch.zeros(1, 7, 7), share)


@quick
@given(pair=pairs(levels=6))
def test_half_iou_equals_sets_of_pixels(pair: tuple[Tensor, Tensor]) -> None:
    expected = []
    for a, b in zip(*pair, strict=True):
        marked = [
            {i for i, value in enumerate(values) if max(values) > 0 and value >= max(values) / 2}
            for values in (a.flatten().tolist(), b.flatten().tolist())
        ]
        union = marked[0] | marked[1]
        expected.append(len(marked[0] & marked[1]) / len(union) if union else 1.0)
    np.testing.assert_allclose(half_iou(*pair).numpy(), expected, rtol=1e-6)


def test_half_iou_does_not_depend_on_the_scale_of_a_map() -> None:
    a, b = random_maps(12, 3, 7, 7), random_maps(13, 3, 7, 7)
    assert half_iou(a, b).tolist() == half_iou(a * 0.25, b * 0.5).tolist()


def test_half_iou_of_empty_and_constant_maps_is_as_documented() -> None:
    empty, constant = torch.zeros(1, 4, 5), torch.full((1, 4, 5), 0.3)
    one_row = torch.zeros(1, 4, 5)
    one_row[:, 0] = 1.0
    assert half_iou(empty, empty).item() == 1.0
    assert half_iou(empty, one_row).item() == 0.0
    assert half_iou(constant, constant * 2).item() == 1.0
    assert half_iou(constant, one_row).item() == 0.25


# --- rank correlation and structure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_spearman_equals_scipy_with_and_without_ties(levels: int) -> None:
    a = (random_maps(14, 4, 7, 7) * levels).round() / levels
    b = (random_maps(15, 4, 7, 7) * levels).round() / levels
    expected = [spearmanr(x.flatten().numpy(), y.flatten().numpy()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b).numpy(), expected, rtol=1e-6)


def test_spearman_gives_ties_their_average_rank() -> None:
    a = torch.tensor([[[0.1, 0.2, 0.2, 0.4]]])  # ranks 1, 2.5, 2.5, 4
    b = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]])  # ranks 1, 2, 3, 4
    # covariance 4.5, variances 4.5 and 5
    assert spearman(a, b).item() == pytest.approx(4.5 / math.sqrt(4.5 * 5.0))


def test_spearman_looks_at_the_order_only() -> None:
    a = random_maps(16, 3, 7, 7)
    torch.testing.assert_close(spearman(a, a**3), torch.ones(3))
    torch.testing.assert_close(spearman(a, 1 - a), -torch.ones(3))


def test_spearman_of_two_pixels_is_plus_or_minus_one() -> None:
    rising = torch.tensor([[[0.0, 1.0]]])
    assert spearman(rising, rising).item() == 1.0
    assert spearman(rising, rising.flip(2)).item() == -1.0


def test_spearman_of_constant_maps_is_as_documented() -> None:
    constant, varied = torch.full((1, 7, 7), 0.5), random_maps(17, 1, 7, 7)
    assert spearman(constant, varied).item() == 0.0
    assert spearman(varied, constant).item() == 0.0
    assert spearman(constant, constant * 0).item() == 1.0


@pytest.mark.parametrize("size", [(7, 7), (14, 9), (28, 28), (56, 56)])
def test_ssim_equals_scikit_image_at_its_defaults(size: tuple[int, int]) -> None:
    a, b = random_maps(18, 3, *size, dtype=torch.float64), random_maps(19, 3, *size, dtype=torch.float64)
    expected = [structural_similarity(x.numpy(), y.numpy(), data_range=1.0) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ssim(a, b).numpy(), expected, rtol=1e-12)


def test_ssim_of_a_cam_map_is_the_closed_form_over_the_whole_map() -> None:
    a, b = random_maps(20, 1, 7, 7, dtype=torch.float64), random_maps(21, 1, 7, 7, dtype=torch.float64)
    x, y = a.numpy().ravel(), b.numpy().ravel()
    (variance_x, covariance), (_, variance_y) = np.cov(x, y)
    luminance = (2 * x.mean() * y.mean() + 0.01**2) / (x.mean() ** 2 + y.mean() ** 2 + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)
    assert ssim(a, b).item() == pytest.approx(luminance * structure, rel=1e-9)


@pytest.mark.parametrize(("size", "window"), [((6, 6), 5), ((5, 9), 5), ((4, 4), 3), ((3, 8), 3)])
def test_ssim_of_a_small_map_uses_the_largest_odd_window(size: tuple[int, int], window: int) -> None:
    a, b = random_maps(22, 1, *size, dtype=torch.float64), random_maps(23, 1, *size, dtype=torch.float64)
    expected = structural_similarity(a[0].numpy(), b[0].numpy(), data_range=1.0, win_size=window)
    assert ssim(a, b).item() == pytest.approx(expected, rel=1e-12)


def test_ssim_of_a_map_too_small_for_a_variance_is_its_luminance_term() -> None:
    a, b = torch.full((1, 2, 2), 0.2, dtype=torch.float64), torch.full((1, 2, 2), 0.6, dtype=torch.float64)
    assert ssim(a, b).item() == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))
