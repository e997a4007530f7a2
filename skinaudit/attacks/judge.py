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


@dataclass(frozen=True)
class Question:
    """A changed image to be judged against its clean one."""

    pixels: Tensor  # (3,H,W) uint8
    clean: Clean
    interpreter: str


@dataclass(frozen=True)
class Verdict:
    """What the untouched model and the honest interpreter say of changed pixels (3,H,W)."""

    pixels: Tensor
    logits: Tensor
    predicted: int
    shown: Tensor  # map (h,w) of the class now predicted
    original: Tensor  # map (h,w) of the class that was predicted before
    shown_distance: MapDistances
    original_distance: MapDistances

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Softmax of the network's own logits."""
        return tuple(self.logits.softmax(0).tolist())


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
    """Judges in the run's one batch shape; short batches are padded with the last image."""

    def __init__(
        self, classifier: nn.Module, interpreters: Mapping[str, Interpreter], batch_size: int, device: torch.device
    ) -> None:
        self._classifier, self._interpreters = classifier, interpreters
        self._batch_size, self._device = batch_size, device

    def in_batches_of(self, batch_size: int) -> Judge:
        """The same judge in another batch shape."""
        return Judge(self._classifier, self._interpreters, batch_size, self._device)

    def clean(self, pixels: Sequence[Tensor]) -> list[Clean]:
        """Logits, predicted class and benign maps of unchanged images, each (3,H,W) uint8."""
        found: list[Clean] = []
        for batch in self._batches(pixels):
            logits = self._logits(batch)
            predicted = logits.argmax(1)
            maps = {name: self._explain(name, batch, predicted) for name in self._interpreters}
            rows = range(min(self._batch_size, len(pixels) - len(found)))
            found += [Clean(logits[i], int(predicted[i]), {name: part[i] for name, part in maps.items()}) for i in rows]
        return found

    def verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question, in order.

        Raises:
            ValueError: questions about different interpreters in one call.
        """
        found: list[Verdict] = []
        names = {question.interpreter for question in questions}
        if len(names) > 1:
            raise ValueError(f"one call judges one interpreter, got {', '.join(sorted(names))}; split the questions")
        name = "".join(names)
        for batch in self._batches([question.pixels for question in questions]):
            part = questions[len(found) : len(found) + self._batch_size]
            logits = self._logits(batch)
            predicted = logits.argmax(1)
            sources = predicted.clone()
            sources[: len(part)] = torch.tensor([question.clean.predicted for question in part])
            shown = self._explain(name, batch, predicted)
            original = shown if torch.equal(sources, predicted) else self._explain(name, batch, sources)
            reference = torch.stack([question.clean.maps[name] for question in part])
            count = len(part)
            near, far = compare(shown[:count], reference), compare(original[:count], reference)
            found += [
                Verdict(q.pixels, logits[i], int(predicted[i]), shown[i], original[i], near[i], far[i])
                for i, q in enumerate(part)
            ]
        return found

    def logits(self, pixels: Sequence[Tensor]) -> Tensor:
        """Logits (n,K) of images (3,H,W) in 0…255: uint8 as saved, or floats as a deployed system's resampler gives."""
        parts = [self._logits(batch) for batch in self._batches(pixels)]
        return torch.cat(parts)[: len(pixels)]

    @property
    def batch_size(self) -> int:
        """The one batch shape of every pass."""
        return self._batch_size

    def _batches(self, pixels: Sequence[Tensor]) -> Iterator[Tensor]:
        for start in range(0, len(pixels), self._batch_size):
            part = list(pixels[start : start + self._batch_size])
            part += [part[-1]] * (self._batch_size - len(part))
            yield torch.stack(part).to(self._device).float() / 255

    def _logits(self, x: Tensor) -> Tensor:
        with torch.no_grad(), exact_arithmetic():
            logits: Tensor = self._classifier(x)
        return logits.float().cpu()

    def _explain(self, name: str, x: Tensor, classes: Tensor) -> Tensor:
        with exact_arithmetic():
            return self._interpreters[name].explain(x, classes.to(self._device)).detach().float().cpu()


def compare(maps: Tensor, reference: Tensor) -> list[MapDistances]:
    """Every map distance the records carry, for maps and reference (N,h,w) in [0,1]."""
    columns = [
        distance.l1(maps, reference),
        distance.rms(maps, reference),
        distance.top_iou(maps, reference, 0.1),
        distance.top_iou(maps, reference, 0.2),
        distance.top_iou(maps, reference, 0.3),
        distance.half_iou(maps, reference),
        distance.spearman(maps, reference),
        distance.ssim(maps, reference),
    ]
    return [MapDistances(*(float(value) for value in row)) for row in torch.stack(columns, 1).tolist()]
