"""Pictures and maps as the bytes of the files that a run keeps, lying as the photograph does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, PngImagePlugin

if TYPE_CHECKING:
    from torch import Tensor

    from skinaudit.classifier.classifier import Classifier

_MARK = "adversarial example made by skinaudit to test a classifier; not a photograph of a patient as taken"


def picture_bytes(classifier: Classifier, shown: Tensor, *, adversarial: bool = False) -> bytes:
    """PNG of (3,h,w) uint8 pixels as the photograph lies; adversarial pictures are marked in a text chunk."""
    array = classifier.preprocess.to_display(shown).permute(1, 2, 0).contiguous().cpu().numpy()
    notes = PngImagePlugin.PngInfo()
    if adversarial:
        notes.add_text("Comment", _MARK)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", pnginfo=notes)
    return buffer.getvalue()


def pixels_of(classifier: Classifier, data: bytes) -> Tensor:
    """The (3,h,w) uint8 pixels in model orientation that a PNG of ``picture_bytes`` holds."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        array = np.array(image)
    return classifier.preprocess.from_display(torch.from_numpy(array).permute(2, 0, 1)).contiguous()


def map_bytes(classifier: Classifier, saliency: Tensor) -> bytes:
    """NPY (float32) of a map (h,w), lying as the photograph does."""
    buffer = io.BytesIO()
    np.save(buffer, classifier.preprocess.to_display(saliency).contiguous().numpy().astype(np.float32))
    return buffer.getvalue()
