"""Fitting the mask generator of RTS to a frozen classifier: Adam on seeded batches, resumable at any moment."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skinaudit.classifier.classifier import Classifier
from skinaudit.interpreters.rts import blank_generator, features_of
from skinaudit.interpreters.rts_checkpoint import FitState, read_state, write_state
from skinaudit.interpreters.rts_demand import Demand, Drawn, demand_of, scale_of
from skinaudit.interpreters.rts_network import MaskGenerator
from skinaudit.interpreters.rts_schedule import FitSettings, rate_at, split

#: Fewest images of which a part can be held out.
FEWEST_IMAGES = 8
#: Images whose features set the standardisation, and whose leads the scale of the margins.
_MEASURED = 64


class FitError(ValueError):
    """Nothing can be fitted to these images; the message says why."""


@dataclass(frozen=True)
class Epoch:
    """Mean held-out loss after an epoch, and its parts by name."""

    loss: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Fitted:
    """The refined generator, on the CPU, and how the held-out loss went; ``refined`` is that of the other demand."""

    generator: MaskGenerator
    epochs: tuple[Epoch, ...]
    best: int
    refined: Epoch
    images: int
    held_out: int


def fit(
    classifier: Classifier,
    images: NDArray[np.uint8],
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    every_seconds: float = 60.0,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
    told: Callable[[int, Epoch], None] = lambda _number, _epoch: None,
) -> Fitted:
    """Fit a generator to a classifier.

    Args:
        classifier: frozen; on the device where the work is done.
        images: (N,3,h,w) uint8 in model orientation; may be mapped from a file.
        settings: what the result depends on, beside classifier and images.
        checkpoint: where the state is kept; one that is there is taken up if it belongs to this fit.
        every_seconds: how often the state is written.
        advance: told how many of how many image passes are done.
        told: told each epoch's number, from 1, and its held-out loss.

    Raises:
        FitError: too few images.
        CheckpointRefused: the checkpoint is damaged or belongs to another fit.
        InterpreterUnavailable: the network has no convolutional features.
        OSError: the checkpoint cannot be written.
    """
    if len(images) < FEWEST_IMAGES:
        raise FitError(f"{len(images)} images; RTS is fitted to {FEWEST_IMAGES} at least, better to a thousand")
    job = _Job.begin(classifier, images, settings)
    identity = _identity(classifier, images, settings)
    if checkpoint is not None and checkpoint.exists():
        job.restore(read_state(checkpoint, identity))
    written = time.monotonic()
    if checkpoint is not None:
        write_state(checkpoint, identity, job.state())  # now, so that a folder that cannot be written fails at once
    total = settings.epochs * len(job.training) + job.refine_steps * settings.batch_size
    advance(job.done(), total)
    while not job.finished():
        epoch = job.step()
        advance(job.done(), total)
        if epoch is not None:
            told(len(job.epochs), epoch)
        if checkpoint is not None and (epoch is not None or time.monotonic() - written >= every_seconds):
            write_state(checkpoint, identity, job.state())
            written = time.monotonic()
    return job.result()


class _Job:
    """A fit under way."""

    def __init__(
        self, classifier: Classifier, images: NDArray[np.uint8], settings: FitSettings, generator: MaskGenerator
    ) -> None:
        self.classifier, self.images, self.settings, self.generator = classifier, images, settings, generator
        self.device = next(classifier.parameters()).device
        self.held, self.training = split(len(images), settings)
        self.per_epoch = math.ceil(len(self.training) / settings.batch_size)
        self.refine_steps = math.ceil(settings.refine_share * self.per_epoch)
        self.optimiser = self._adam()
        self.position = 0  # steps taken
        self.epochs: list[Epoch] = []
        self.best = _copy(generator)
        self.scale = 1.0

    @classmethod
    def begin(cls, classifier: Classifier, images: NDArray[np.uint8], settings: FitSettings) -> _Job:
        device = next(classifier.parameters()).device
        probe = torch.full((1, 3, *images.shape[2:]), 0.5, device=device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            generator = blank_generator(classifier, probe).to(device)
        job = cls(classifier, images, settings, generator)
        with torch.no_grad():
            logits, scales = features_of(classifier, job.pixels(job.training[:_MEASURED]))
            generator.measure(scales)
        job.scale = scale_of(logits)
        job.best = _copy(generator)
        return job

    def _adam(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.generator.parameters(), lr=self.settings.learning_rate, betas=(0.9, 0.99))

    def pixels(self, places: Sequence[int]) -> Tensor:
        """Images (N,3,h,w) in [0,1] on the device."""
        return torch.from_numpy(self.images[np.asarray(places)]).to(self.device).float() / 255

    def done(self) -> int:
        """Image passes so far; epochs that were not needed count as done."""
        if self._explored():
            return self.settings.epochs * len(self.training) + self._refined_steps() * self.settings.batch_size
        whole, part = divmod(self.position, self.per_epoch)
        return whole * len(self.training) + part * self.settings.batch_size

    def finished(self) -> bool:
        """Are all steps taken?"""
        return self._explored() and self._refined_steps() >= self.refine_steps

    def step(self) -> Epoch | None:
        """One batch; the last one of an epoch is followed by a look at the images that are held out."""
        if self._explored():
            self._refine()
            return None
        settings = self.settings
        number, place = divmod(self.position, self.per_epoch)
        rate = settings.learning_rate * rate_at(self.position, settings.epochs * self.per_epoch)
        self._descend(settings.demand, self._batch(number, place), rate)
        if place + 1 < self.per_epoch:
            return None
        self.epochs.append(self._look(settings.demand))
        if self._best() == len(self.epochs) - 1:
            self.best = _copy(self.generator)
        return self.epochs[-1]

    def _explored(self) -> bool:
        """Are all epochs over, or was there nothing better for too long?"""
        stale = bool(self.epochs) and len(self.epochs) - 1 - self._best() >= self.settings.patience
        return stale or len(self.epochs) >= self.settings.epochs

    def _refined_steps(self) -> int:
        return self.position - len(self.epochs) * self.per_epoch

    def _refine(self) -> None:
        place = self._refined_steps()
        if place == 0:
            self.generator.load_state_dict(self.best)
            self.optimiser = self._adam()  # what it remembers belongs to another demand
        rate = self.settings.learning_rate / 2 * rate_at(place, self.refine_steps)
        self._descend(self.settings.refined, self._batch(self.settings.epochs, place), rate)

    def _batch(self, number: int, place: int) -> list[int]:
        """Images of a step: those at ``place`` in the order of epoch ``number``."""
        size = self.settings.batch_size
        order = np.random.default_rng([self.settings.seed, 1, number]).permutation(len(self.training))
        return [self.training[i] for i in order[place * size :][:size]]

    def _descend(self, demand: Demand, chosen: Sequence[int], rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.generator.train(len(chosen) > 1)  # the statistics of one image alone are no statistics
        draws = np.random.default_rng([self.settings.seed, 2, self.position])
        losses, _ = self._losses(demand, chosen, draws, turned=True)
        self.optimiser.zero_grad(set_to_none=True)
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0)
        self.optimiser.step()
        self.position += 1

    def _best(self) -> int:
        """Place of the lowest held-out loss; NaN never wins."""
        losses = [math.inf if math.isnan(epoch.loss) else epoch.loss for epoch in self.epochs]
        return min(range(len(losses)), key=losses.__getitem__, default=0)

    def _losses(
        self, demand: Demand, places: Sequence[int], draws: np.random.Generator, *, turned: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.pixels(places)
        if turned:  # a photograph of skin has no up and down
            flips = draws.random((len(places), 2)) < 0.5
            x = torch.stack([one.flip([d + 1 for d in (0, 1) if f[d]]) for one, f in zip(x, flips, strict=True)])
        with torch.no_grad():
            logits, scales = features_of(self.classifier, x)
        drawn = Drawn.draw(logits, self.settings.absent_share, draws)
        maps, evidence = self.generator(scales, drawn.classes)
        scale, half = self.scale, self.settings.half
        return demand_of(demand, self.classifier, x, logits, drawn, maps, evidence, scale=scale, half=half)

    def _look(self, demand: Demand) -> Epoch:
        """The same images, classes and replacements after every epoch."""
        self.generator.eval()
        kept: dict[str, list[Tensor]] = {}
        size = self.settings.batch_size
        with torch.no_grad():
            for start in range(0, len(self.held), size):
                draws = np.random.default_rng([self.settings.seed, 3, start])
                losses, parts = self._losses(demand, self.held[start : start + size], draws, turned=False)
                for name, values in {"loss": losses, **parts}.items():
                    kept.setdefault(name, []).append(values.detach().cpu())
        means = {name: float(torch.cat(values).nanmean()) for name, values in kept.items()}
        return Epoch(means.pop("loss"), means)

    def state(self) -> FitState:
        """Everything that the next step depends on."""
        return FitState(
            position=self.position,
            epochs=[(epoch.loss, epoch.parts) for epoch in self.epochs],
            generator=_copy(self.generator),
            best=self.best,
            optimiser=self.optimiser.state_dict(),
        )

    def restore(self, state: FitState) -> None:
        """Go on where that state was taken."""
        self.position = state.position
        self.epochs = [Epoch(loss, parts) for loss, parts in state.epochs]
        self.generator.load_state_dict(state.generator)
        self.best = state.best
        self.optimiser.load_state_dict(state.optimiser)

    def result(self) -> Fitted:
        """The generator as it is now, or of the best epoch if nothing is to be refined."""
        if self.refine_steps == 0:
            self.generator.load_state_dict(self.best)
        refined = self._look(self.settings.refined)
        generator = self.generator.cpu().eval().requires_grad_(requires_grad=False)
        return Fitted(generator, tuple(self.epochs), self._best(), refined, len(self.images), len(self.held))


def _copy(generator: MaskGenerator) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in generator.state_dict().items()}


def _identity(classifier: Classifier, images: NDArray[np.uint8], settings: FitSettings) -> str:
    """Digest of everything that a fit depends on."""
    digest = hashlib.sha256(f"{classifier.digest} {settings} {images.shape}".encode())
    for image in images:
        digest.update(hashlib.sha256(np.ascontiguousarray(image).data).digest())
    return digest.hexdigest()
