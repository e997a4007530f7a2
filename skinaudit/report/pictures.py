"""Photographs, differences and maps of one case as small rasters, ready to be placed on a page."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.lib.utils import ImageReader

from skinaudit.audit.records import Attack, ImageRecord, Prediction, Record
from skinaudit.config import Norm, ThreatModel
from skinaudit.report.palette import colour_table
from skinaudit.report.results import Case
from skinaudit.report.run_view import RunView

#: Longest side of an embedded raster: 224 px on 23 mm are 250 dpi.
LONGEST_SIDE = 224
JPEG_QUALITY = 86
#: Share of the map's colour in an overlay; the rest is the photograph in grey.
OVERLAY = 0.62
#: The difference picture is drawn around mid grey, amplified so that the largest allowed change fills its range.
MID_GREY = 127.5
_FLOW_RANGE = 40


def amplification(threat: ThreatModel) -> int:
    """Factor of the difference picture: at an L∞ radius the largest change just reaches black or white.

    A flow sets no bound on a value; there the factor leaves a change of 40 grey levels in range.

    >>> amplification(ThreatModel(epsilon=8 / 255)), amplification(ThreatModel(norm=Norm.FLOW))
    (15, 3)
    """
    return max(1, int(MID_GREY / (_FLOW_RANGE if threat.norm is Norm.FLOW else threat.epsilon * 255)))


def difference(clean: NDArray[np.uint8], changed: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """What was added, (H,W,3): mid grey where nothing was, ``factor`` times the change elsewhere."""
    amplified = (changed.astype(np.int16) - clean.astype(np.int16)) * factor + MID_GREY
    return amplified.clip(0, 255).astype(np.uint8)


def overlay(photograph: NDArray[np.uint8], saliency: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A map (h,w) in [0,1] over its photograph (H,W,3), as a reading station would show it."""
    height, width = photograph.shape[:2]
    finite = np.nan_to_num(saliency.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    enlarged = Image.fromarray(finite).resize((width, height), Image.Resampling.BILINEAR)
    levels = (np.asarray(enlarged).clip(0, 1) * 255).round().astype(np.uint8)
    grey = np.asarray(Image.fromarray(photograph).convert("L"), dtype=np.float32)[..., None]
    mixed = (1 - OVERLAY) * grey + OVERLAY * colour_table()[levels].astype(np.float32)
    return mixed.round().astype(np.uint8)


def raster(pixels: NDArray[np.uint8]) -> ImageReader:
    """Pixels (H,W,3) as a JPEG that reportlab embeds byte for byte."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    buffer.seek(0)
    return ImageReader(buffer)


class Gallery:
    """Pictures of a run by what they show; each is made once, and is None when the run does not hold it."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._images = {image.image_id: image for image in view.images()}
        # One unit may hold the verdicts of several interpreters on the same pixels.
        self._records = {(record.unit_id, record.interpreter, record.attack): record for record in view.records()}
        self._made: dict[tuple[str, ...], ImageReader | None] = {}
        self.threat = view.header.config.threat
        self.factor = amplification(self.threat)

    def verdict(self, case: Case, attack: Attack) -> Record | None:
        """What the attack ("adv2" or "pgd") made of this image, None when the run has no such verdict."""
        unit, made_by = (case.adv2_unit, case.attack) if attack == "adv2" else (case.pgd_unit, attack)
        return None if unit is None else self._records.get((unit, case.interpreter, made_by))

    def clean_prediction(self, case: Case) -> Prediction | None:
        """What the model said of the unchanged image."""
        image = self._image(case)
        return image.prediction if image else None

    def photograph(self, case: Case) -> ImageReader | None:
        """The image as the model was shown it."""
        return self._keep(("photo", case.image_id), self._pixels(self._image(case), "clean"))

    def adversarial(self, case: Case) -> ImageReader | None:
        """The image after ADV²."""
        return self._keep(
            ("adversarial", case.adv2_unit, case.interpreter), self._pixels(self.verdict(case, "adv2"), "image")
        )

    def change(self, case: Case) -> ImageReader | None:
        """What ADV² added, amplified."""
        clean, changed = self._pixels(self._image(case), "clean"), self._pixels(self.verdict(case, "adv2"), "image")
        if clean is None or changed is None or clean.shape != changed.shape:
            return None
        return self._keep(("change", case.adv2_unit, case.interpreter), difference(clean, changed, self.factor))

    def map_before(self, case: Case) -> ImageReader | None:
        """The benign map of the class first predicted, over the photograph."""
        image = self._image(case)
        return self._overlaid(
            ("before", case.image_id, case.interpreter), image, "clean", image, f"map-{case.interpreter}"
        )

    def map_after(self, case: Case, attack: Attack, kind: str = "map") -> ImageReader | None:
        """A map after an attack, over the image it was drawn for; ``kind`` is "map" or "map-original"."""
        record = self.verdict(case, attack)
        key = (kind, attack, record.unit_id if record else "", case.interpreter)
        return self._overlaid(key, record, "image", record, kind)

    def map_wanted(self, case: Case) -> ImageReader | None:
        """The map that the attacker wanted, over the photograph; it is stored where it is not the benign one."""
        record = self.verdict(case, "adv2")
        if record is None or "map-wanted" not in record.artifacts:
            return self.map_before(case)
        key = ("wanted", record.unit_id, case.interpreter)
        return self._overlaid(key, self._image(case), "clean", record, "map-wanted")

    def _image(self, case: Case) -> ImageRecord | None:
        return self._images.get(case.image_id)

    def _pixels(self, owner: ImageRecord | Record | None, kind: str) -> NDArray[np.uint8] | None:
        if owner is None or kind not in owner.artifacts:
            return None
        with Image.open(self._view.artifact(owner.artifacts[kind])) as opened:
            return np.asarray(opened.convert("RGB"))

    def _overlaid(
        self,
        key: tuple[str, ...],
        photograph_of: ImageRecord | Record | None,
        photograph: str,
        map_of: ImageRecord | Record | None,
        saliency: str,
    ) -> ImageReader | None:
        if key in self._made:
            return self._made[key]
        pixels = self._pixels(photograph_of, photograph)
        if pixels is None or map_of is None or saliency not in map_of.artifacts:
            return None
        values = np.load(self._view.artifact(map_of.artifacts[saliency]), allow_pickle=False)
        return self._keep(key, overlay(pixels, values))

    def _keep(self, key: tuple[str, ...], pixels: NDArray[np.uint8] | None) -> ImageReader | None:
        if key not in self._made:
            self._made[key] = None if pixels is None else raster(pixels)
        return self._made[key]
