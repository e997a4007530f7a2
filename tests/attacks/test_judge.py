"""Oracle: the model and the interpreter called directly, one image at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from skinaudit.attacks.judge import Clean, Judge, Question, Verdict, compare, exact_arithmetic
from skinaudit.interpreters.base import Interpreter
from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad import Grad
from skinaudit.metrics import maps as distance
from tests.small_networks import images, small_network

CPU = torch.device("cpu")


def network() -> nn.Module:
    return small_network(classes=4)


def interpreters() -> dict[str, Interpreter]:
    return {"cam": Cam.for_network(network(), torch.rand(1, 3, 33, 35)), "grad": Grad(network())}


def judge(batch_size: int = 4) -> Judge:
    return Judge(network(), interpreters(), batch_size, CPU)


def changed(pixels: Tensor) -> Tensor:
    """Far enough to change some predictions and not others."""
    return torch.where(torch.arange(len(pixels)).view(-1, 1, 1, 1) % 2 == 0, 255 - pixels, pixels // 2 * 2)


def questions(count: int, name: str) -> list[Question]:
    originals = list(images(count))
    cleans = judge().clean(originals)
    return [Question(p, c, name) for p, c in zip(changed(torch.stack(originals)), cleans, strict=True)]


@pytest.mark.parametrize("count", [1, 4, 6])
def test_clean_looks_equal_a_direct_computation(count: int) -> None:
    pixels = list(images(count))
    for look, image in zip(judge().clean(pixels), pixels, strict=True):
        x = image[None].float() / 255
        logits = network()(x)[0]
        torch.testing.assert_close(look.logits, logits)
        assert look.predicted == int(logits.argmax())
        assert look.probabilities == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
        for name, interpreter in interpreters().items():
            expected = interpreter.explain(x, torch.tensor([look.predicted]))[0]
            torch.testing.assert_close(look.maps[name], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["cam", "grad"])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_verdicts_equal_a_direct_computation(count: int, name: str) -> None:
    asked = questions(count, name)
    verdicts = judge().verdicts(asked)
    assert len(verdicts) == count
    for verdict, question in zip(verdicts, asked, strict=True):
        x = question.pixels[None].float() / 255
        logits = network()(x)[0]
        predicted = int(logits.argmax())
        shown, original = (
            interpreters()[name].explain(x, torch.tensor([label])) for label in (predicted, question.clean.predicted)
        )
        reference = question.clean.maps[name][None]
        torch.testing.assert_close(verdict.logits, logits)
        assert verdict.predicted == predicted
        assert verdict.probabilities == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
        assert torch.equal(verdict.pixels, question.pixels)
        torch.testing.assert_close(verdict.shown, shown[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(verdict.original, original[0], atol=1e-4, rtol=0)
        assert verdict.shown_distance.l1 == pytest.approx(float(distance.l1(shown, reference)), abs=1e-4)
        assert verdict.original_distance.l1 == pytest.approx(float(distance.l1(original, reference)), abs=1e-4)


def test_the_pair_of_maps_differs_exactly_where_the_class_changed() -> None:
    asked = questions(6, "cam")
    verdicts = judge().verdicts(asked)
    moved = [verdict.predicted != question.clean.predicted for verdict, question in zip(verdicts, asked, strict=True)]
    assert any(moved)
    assert not all(moved)
    assert [not torch.equal(verdict.shown, verdict.original) for verdict in verdicts] == moved


def same(a: Verdict, b: Verdict) -> bool:
    tensors = all(torch.equal(getattr(a, f), getattr(b, f)) for f in ("pixels", "logits", "shown", "original"))
    return tensors and (a.predicted, a.shown_distance, a.original_distance) == (
        b.predicted, b.shown_distance, b.original_distance,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["cam", "grad"])
def test_a_verdict_does_not_depend_on_padding_neighbours_or_position(name: str) -> None:
    asked = questions(6, name)
    together = judge().verdicts(asked)
    backwards = judge().verdicts(asked[::-1])[::-1]
    alone = [judge().verdicts([question])[0] for question in asked]
    assert all(same(a, b) for a, b in zip(together, backwards, strict=True))
    assert all(same(a, b) for a, b in zip(together, alone, strict=True))


def test_an_unchanged_image_keeps_its_map_exactly() -> None:
    pixels = list(images(3))
    cleans = judge().clean(pixels)
    for name in ("cam", "grad"):
        for verdict in judge().verdicts([Question(p, c, name) for p, c in zip(pixels, cleans, strict=True)]):
            assert verdict.shown_distance.l1 == 0
            assert verdict.shown_distance.iou20 == 1
            assert verdict.original_distance == verdict.shown_distance


def test_nothing_asked_nothing_answered() -> None:
    assert judge().clean([]) == []
    assert judge().verdicts([]) == []


def test_one_call_judges_one_interpreter() -> None:
    with pytest.raises(ValueError, match="cam, grad"):
        judge().verdicts([*questions(1, "cam"), *questions(1, "grad")])


def test_logits_take_saved_pixels_and_floats_alike() -> None:
    pixels = list(images(6))
    assert judge(4).batch_size == 4
    logits = judge(4).logits(pixels)
    assert logits.shape == (6, 4)
    assert torch.equal(logits, judge(4).logits([image.float() for image in pixels]))
    assert torch.equal(logits, torch.stack([clean.logits for clean in judge(4).clean(pixels)]))


def flags() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic


def set_flags(values: tuple[bool, ...]) -> None:
    cudnn = torch.backends.cudnn
    torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = values


@pytest.fixture
def fast_arithmetic() -> Iterator[None]:
    """What a search on a GPU may have set."""
    before = flags()
    set_flags((True, True, True, False))
    yield
    set_flags(before)


@pytest.mark.usefixtures("fast_arithmetic")
def test_exact_arithmetic_restores_every_flag_also_after_an_exception() -> None:
    with exact_arithmetic():
        assert flags() == (False, False, False, True)
    assert flags() == (True, True, True, False)
    with pytest.raises(KeyError), exact_arithmetic():
        raise KeyError
    assert flags() == (True, True, True, False)


@pytest.mark.usefixtures("fast_arithmetic")
def test_verdicts_are_taken_in_exact_arithmetic() -> None:
    seen: list[tuple[bool, ...]] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            seen.append(flags())
            logits: Tensor = self.inner(x)
            return logits

    watched = Watched()
    bench = Judge(watched, {"grad": Grad(watched)}, 2, CPU)
    pixels = list(images(2))
    cleans = bench.clean(pixels)
    bench.verdicts([Question(255 - p, c, "grad") for p, c in zip(pixels, cleans, strict=True)])
    assert len(seen) >= 4
    assert set(seen) == {(False, False, False, True)}


def test_comparison_carries_every_distance_in_its_place() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 9, 9, generator=generator), torch.rand(2, 9, 9, generator=generator)
    for row, found in enumerate(compare(a, b)):
        x, y = a[row : row + 1], b[row : row + 1]
        expected = {
            "l1": distance.l1(x, y), "rms": distance.rms(x, y), "iou10": distance.top_iou(x, y, 0.1),
            "iou20": distance.top_iou(x, y, 0.2), "iou30": distance.top_iou(x, y, 0.3),
            "iou_half": distance.half_iou(x, y), "spearman": distance.spearman(x, y), "ssim": distance.ssim(x, y),
        }  # fmt: skip
        assert {name: getattr(found, name) for name in expected} == pytest.approx(
            {name: float(value) for name, value in expected.items()}
        )


@pytest.mark.parametrize("threads", [1, 2])
def test_a_map_is_compared_as_if_it_were_alone_to_the_last_bit(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        generator = torch.Generator().manual_seed(0)
        a, b = torch.rand(3, 224, 224, generator=generator), torch.rand(3, 224, 224, generator=generator)
        assert compare(a, b) == [compare(a[i : i + 1], b[i : i + 1])[0] for i in range(3)]
    finally:
        torch.set_num_threads(before)


def test_probabilities_sum_to_one() -> None:
    clean = Clean(torch.tensor([1.0, 2.0, 3.0]), 2, {})
    assert sum(clean.probabilities) == pytest.approx(1)
    assert clean.probabilities[2] == pytest.approx(0.66524, abs=1e-5)


def test_distances_are_measured_to_the_map_that_a_question_names() -> None:
    bench, pixels = judge(), images(2)
    cleans = bench.clean(list(pixels))
    other = torch.rand(cleans[0].maps["grad"].shape, generator=torch.Generator().manual_seed(5))
    questions = [Question(255 - p, c, "grad", other) for p, c in zip(pixels, cleans, strict=True)]
    for verdict in bench.verdicts(questions):
        assert verdict.shown_distance.l1 == pytest.approx(float((verdict.shown - other).abs().mean()), abs=1e-6)
        assert verdict.original_distance.l1 == pytest.approx(float((verdict.original - other).abs().mean()), abs=1e-6)


def test_a_map_below_one_half_everywhere_is_blank() -> None:
    maps = {"rts": torch.full((4, 4), 0.49), "cam": torch.eye(4), "mask": torch.full((4, 4), torch.nan)}
    assert Clean(torch.tensor([1.0, 2.0]), 1, maps).blank_maps == ("rts", "mask")
