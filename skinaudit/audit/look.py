"""The model's first look at every image: what it says before anything is attacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from skinaudit.attacks.judge import Judge
from skinaudit.audit.progress import Progress
from skinaudit.audit.survey import Specimen, read_again
from skinaudit.classifier.classifier import Classifier
from skinaudit.images.decoder import Decoder
from skinaudit.images.refusal import ImageRefused


@dataclass(frozen=True)
class CleanLook:
    """The model's first look at a specimen: logits (K,), and how much rounding its input to 8 bits changes them."""

    logits: Tensor
    rounding: float

    @property
    def predicted(self) -> int:
        """Index of the class."""
        return int(self.logits.argmax())

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Softmax of the logits."""
        return tuple(self.logits.softmax(0).tolist())


def look(
    classifier: Classifier,
    judge: Judge,
    specimens: Sequence[Specimen],
    decoder: Decoder,
    seed: int,
    progress: Progress,
    *,
    exact: bool = False,
) -> tuple[dict[str, CleanLook], dict[str, ImageRefused]]:
    """Clean predictions of every readable image, in batches, and files that cannot be read again; keeps no pixels.

    ``exact``: what the resampler gives is not rounded to 8 bits, as in a deployed system.
    """
    readable = [one for one in specimens if one.status == "readable"]
    again = read_again(readable, decoder, seed)
    progress.begin("look", "Clean predictions", len(readable), 0)
    looks: dict[str, CleanLook] = {}
    lost: dict[str, ImageRefused] = {}
    while part := list(islice(again, judge.batch_size)):
        progress.advance("look", len(part))
        lost |= {one.image_id: found for one, found in part if isinstance(found, ImageRefused)}
        read = [(one, found) for one, found in part if not isinstance(found, ImageRefused)]
        if not read:
            continue
        floats = [classifier.preprocess.geometry(pixels) for _, pixels in read]
        shown = [pixels.round().clamp(0, 255).to(torch.uint8) for pixels in floats]
        logits = judge.logits(shown)
        unrounded = any(not torch.equal(a, b.float()) for a, b in zip(floats, shown, strict=True))
        other = judge.logits(floats) if unrounded else logits
        change = (other - logits).abs().amax(1)
        for row, (one, _) in enumerate(read):
            looks[one.image_id] = CleanLook((other if exact else logits)[row], float(change[row]))
    return looks, lost
