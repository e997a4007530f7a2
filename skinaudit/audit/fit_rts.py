"""From a folder of images to a fitted RTS inside the model's bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from skinaudit.audit.survey import Specimen, balanced_choice, read_again, survey
from skinaudit.classifier.bundle import Bundle
from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.fitted import name_fitted
from skinaudit.images.decoder import Decoder
from skinaudit.images.refusal import ImageRefused
from skinaudit.interpreters.rts import NAME
from skinaudit.interpreters.rts_file import write_generator
from skinaudit.interpreters.rts_fit import Epoch, FitError, Fitted, fit
from skinaudit.interpreters.rts_schedule import FitSettings


@dataclass(frozen=True)
class FitRequest:
    """Images, their labels by file stem (may be empty), how many to take, settings, and where the state is kept."""

    images: Path
    labels: Mapping[str, str]
    most: int | None
    settings: FitSettings
    checkpoint: Path
    key: bytes


def fit_rts(
    classifier: Classifier,
    request: FitRequest,
    decoder: Decoder,
    *,
    surveyed: Callable[[int, int], None] = lambda _done, _total: None,
    loaded: Callable[[int, int], None] = lambda _done, _total: None,
    trained: Callable[[int, int], None] = lambda _done, _total: None,
    told: Callable[[int, Epoch], None] = lambda _number, _epoch: None,
    left_out: Callable[[str], None] = lambda _reason: None,
) -> Fitted:
    """Fit RTS to a folder's images. Stores nothing but the checkpoint.

    Args:
        classifier: the model, on the device where the work is done; its memory order is changed, its values are not.
        request: images and settings. With labels the classes are taken in turn, so that none is left to a few images.
        decoder: reads the files, twice: once for what they are, once for their pixels.
        surveyed: told how many of how many files were read.
        loaded: told how many of how many chosen images are in memory.
        trained: told how many of how many image passes are done.
        told: told the held-out loss of each epoch.
        left_out: told why an image that could be read at first is not used.

    Raises:
        FolderError, FitError, CheckpointRefused, InterpreterUnavailable, OSError: each with one line for the user.
    """
    seed = request.settings.seed
    specimens = survey(request.images, request.labels, request.key, seed, decoder, surveyed)
    chosen = _chosen(specimens, request)
    classifier.network.to(memory_format=torch.channels_last)
    with _pixels(classifier, chosen, decoder, seed, loaded, left_out) as images:
        return fit(classifier, images, request.settings, checkpoint=request.checkpoint, advance=trained, told=told)


def place_of(classifier: Classifier) -> Path:
    """Where a fitted RTS belongs: inside the bundle, else beside the weights."""
    return classifier.description.fitted_file(NAME)


def store(classifier: Classifier, fitted: Fitted, out: Path | None = None) -> Path:
    """Write a fitted RTS to where it belongs, and its digest into the bundle's metadata; or just to ``out``.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    file = out or place_of(classifier)
    digest = write_generator(file, fitted.generator, classifier.digest)
    if out is None and isinstance(classifier.description, Bundle):
        name_fitted(classifier.description, NAME, digest)
    return file


def _chosen(specimens: Sequence[Specimen], request: FitRequest) -> list[Specimen]:
    usable = [one for one in specimens if one.status == "readable" and (one.label or not request.labels)]
    if not usable:
        what = "readable and labelled" if request.labels else "readable"
        raise FitError(f"none of {len(specimens)} files is {what}; give the images that the model was trained on")
    names = balanced_choice(usable, {one.image_id: one.label or "" for one in usable}, request.most)
    return [one for one in usable if one.image_id in names]


@contextmanager
def _pixels(
    classifier: Classifier,
    chosen: Sequence[Specimen],
    decoder: Decoder,
    seed: int,
    loaded: Callable[[int, int], None],
    left_out: Callable[[str], None],
) -> Iterator[NDArray[np.uint8]]:
    """(N,3,h,w) uint8 of the images as the model is shown them, decoded once, in a file that is gone afterwards."""
    count = 0
    with tempfile.TemporaryFile() as file:
        kept = np.memmap(file, np.uint8, "w+", shape=(len(chosen), 3, *classifier.input_size))
        for number, (_, pixels) in enumerate(read_again(chosen, decoder, seed), 1):
            if isinstance(pixels, ImageRefused):
                left_out(pixels.reason)
            else:
                kept[count] = classifier.preprocess.shown(pixels).numpy()
                count += 1
            loaded(number, len(chosen))
        yield kept[:count]
