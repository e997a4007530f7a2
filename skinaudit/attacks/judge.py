"""The only place where a verdict is computed: 8-bit pixels as saved, the untouched fp32 model, the honest map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skinaudit.interpreters.base import Interpreter
from skinaudit.metrics import maps as distance
from skinaudit.metrics.distances import MapDistances


@dataclass(frozen=True)
class Clean:
    """An unchanged image (3,H,W): logits (K,), predicted class, map of that class per interpreter."""

    logits: Tensor
    predicted: int
    maps: dict[str, Tensor]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Softmax of the network's own logits."""
        return tuple(self.logits.softmax(0).tolist())

    @property
    def blank_maps(self) -> tuple[str, ...]:
        """Interpreters whose map marks nothing."""
        return tuple(name for name, saliency in self.maps.items() if distance.marks_nothing(saliency[None]).item())


@dataclass(frozen=True)
class Question:
    """A changed image to be judged against its clean one."""

    pixels: Tensor  # (3,H,W) uint8
    clean: Clean
    interpreter: str
    reference: Tensor | None = None  # map (h,w) that distances are measured to; None: the benign one

    @property
    def compared_with(self) -> Tensor:
        """The map (h,w) that the one shown is compared with."""
        return self.clean.maps[self.interpreter] if self.reference is None else self.reference


@dataclass(frozen=True)
class Shown:
    """What the untouched model and the honest interpreter show a clinician of changed pixels (3,H,W)."""

    pixels: Tensor
    logits: Tensor
    predicted: int
    shown: Tensor  # map (h,w) of the class now predicted
    shown_distance: MapDistances

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Softmax of the network's own logits."""
        return tuple(self.logits.softmax(0).tolist())


@dataclass(frozen=True)
class Verdict(Shown):
    """What is shown, and beside it the map of the class that was predicted before."""

    original: Tensor  # map (h,w)
    original_distance: MapDistances


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """fp32 as written: TF32 and cuDNN's benchmark off, deterministic kernels; everything is put back afterwards."""
    matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, convolution
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic


class Judge:
    """Judges in the run's one batch shape; short batches are padded with the last image.

    ``shapes`` gives interpreters that cost hundreds of passes a batch shape of their own, by name.
    """

    def __init__(
        self,
        classifier: nn.Module,
        interpreters: Mapping[str, Interpreter],
        batch_size: int,
        device: torch.device,
        shapes: Mapping[str, int] | None = None,
    ) -> None:
        self._classifier, self._interpreters = classifier, interpreters
        self._batch_size, self._device, self._shapes = batch_size, device, shapes or {}

    def in_batches_of(self, batch_size: int) -> Judge:
        """The same judge in another batch shape."""
        shapes = {name: min(size, batch_size) for name, size in self._shapes.items()}
        return Judge(self._classifier, self._interpreters, batch_size, self._device, shapes)

    def clean(self, pixels: Sequence[Tensor], names: Sequence[str] | None = None) -> list[Clean]:
        """Logits, predicted class and benign maps of unchanged images, each (3,H,W) uint8.

        Args:
            pixels: the images.
            names: the interpreters whose maps are wanted; None: all.
        """
        if not pixels:
            return []
        logits = self.logits(pixels)
        predicted = logits.argmax(1).tolist()
        wanted = list(self._interpreters) if names is None else names
        maps = {name: self._maps(name, pixels, predicted) for name in wanted}
        return [
            Clean(row, cls, {name: found[i] for name, found in maps.items()})
            for i, (row, cls) in enumerate(zip(logits, predicted, strict=True))
        ]

    def shown(self, questions: Sequence[Question]) -> list[Shown]:
        """What is shown of each changed image, in order.

        Raises:
            ValueError: questions about different interpreters in one call.
        """
        if not questions:
            return []
        name = _only_name(questions)
        pixels = [question.pixels for question in questions]
        logits = self.logits(pixels)
        predicted = logits.argmax(1).tolist()
        maps = self._maps(name, pixels, predicted)
        near = compare(maps, torch.stack([question.compared_with for question in questions]))
        return [Shown(pixels[i], logits[i], predicted[i], maps[i], near[i]) for i in range(len(questions))]

    def verdicts(self, questions: Sequence[Question], shown: Sequence[Shown] | None = None) -> list[Verdict]:
        """One verdict for each question, in order.

        Args:
            questions: changed images with their clean ones, all about one interpreter.
            shown: what ``shown`` gave for them, where that is known already.

        Raises:
            ValueError: questions about different interpreters in one call.
        """
        if not questions:
            return []
        name = _only_name(questions)
        views = self.shown(questions) if shown is None else shown
        maps = torch.stack([view.shown for view in views])
        moved = [i for i, view in enumerate(views) if view.predicted != questions[i].clean.predicted]
        if moved:
            sources = [questions[i].clean.predicted for i in moved]
            maps[moved] = self._maps(name, [questions[i].pixels for i in moved], sources)
        far = compare(maps, torch.stack([question.compared_with for question in questions]))
        return [
            Verdict(view.pixels, view.logits, view.predicted, view.shown, view.shown_distance, maps[i], far[i])
            for i, view in enumerate(views)
        ]

    def logits(self, pixels: Sequence[Tensor]) -> Tensor:
        """Logits (n,K) of images (3,H,W) in 0…255: uint8 as saved, or floats as a deployed system's resampler gives."""
        parts = [self._logits(batch) for batch in self._batches(pixels, self._batch_size)]
        return torch.cat(parts)[: len(pixels)]

    @property
    def batch_size(self) -> int:
        """The one batch shape of every pass."""
        return self._batch_size

    def _batches(self, pixels: Sequence[Tensor], size: int) -> Iterator[Tensor]:
        for start in range(0, len(pixels), size):
            part = list(pixels[start : start + size])
            part += [part[-1]] * (size - len(part))
            yield torch.stack(part).to(self._device).float() / 255

    def _logits(self, x: Tensor) -> Tensor:
        with torch.no_grad(), exact_arithmetic():
            logits: Tensor = self._classifier(x)
        return logits.float().cpu()

    def _maps(self, name: str, pixels: Sequence[Tensor], classes: Sequence[int]) -> Tensor:
        """Honest maps (n,h,w) of images for one class each."""
        size = self._shapes.get(name, self._batch_size)
        padded = torch.tensor([*classes, *[classes[-1]] * (-len(classes) % size)], device=self._device).split(size)
        found = []
        for batch, wanted in zip(self._batches(pixels, size), padded, strict=True):
            with exact_arithmetic():
                found.append(self._interpreters[name].explain(batch, wanted).detach().float().cpu())
        return torch.cat(found)[: len(pixels)]


def _only_name(questions: Sequence[Question]) -> str:
    names = {question.interpreter for question in questions}
    if len(names) > 1:
        raise ValueError(f"one call judges one interpreter, got {', '.join(sorted(names))}; split the questions")
    return names.pop()


def compare(maps: Tensor, reference: Tensor) -> list[MapDistances]:
    """Every map distance the records carry, for maps and reference (N,h,w) in [0,1].

    Row by row: a sum over several maps at once may be rounded otherwise than that of one alone.
    """
    return [_distances(one, other) for one, other in zip(maps.split(1), reference.split(1), strict=True)]


def _distances(saliency: Tensor, reference: Tensor) -> MapDistances:
    """Distances of one map (1,h,w) to one reference."""
    values = (
        distance.l1(saliency, reference),
        distance.rms(saliency, reference),
        distance.top_iou(saliency, reference, 0.1),
        distance.top_iou(saliency, reference, 0.2),
        distance.top_iou(saliency, reference, 0.3),
        distance.half_iou(saliency, reference),
        distance.spearman(saliency, reference),
        distance.ssim(saliency, reference),
    )
    return MapDistances(*(float(value) for value in values))
