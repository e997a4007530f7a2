"""What is still to do before an audit is finished, and how long that takes at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skinaudit.audit.changed_images import changed_images
from skinaudit.audit.database import DATABASE_NAME
from skinaudit.audit.failures import HalfWritten
from skinaudit.audit.forecast import clean_passes, costly_passes, stage_passes
from skinaudit.audit.plan import at_once, shapes, stages
from skinaudit.audit.reader import RunReader
from skinaudit.audit.resume import refuse_differing

if TYPE_CHECKING:
    from skinaudit.audit.plan import Stage
    from skinaudit.audit.session import Prepared


@dataclass(frozen=True)
class Outlook:
    """Work ahead: longest seconds by stage (those with work left, benign maps included), units left, units in all."""

    seconds: dict[str, float]
    units_left: int
    units: int

    @property
    def total_seconds(self) -> float:
        """Upper bound for everything."""
        return sum(self.seconds.values())


def outlook(prepared: Prepared, folder: Path) -> Outlook:
    """Look at a run directory, if there is one yet, and bound the time of what is missing in it.

    Raises:
        StoreError and its kin: the folder holds a run that cannot be read, or was started with something else.
    """
    finished, recorded = _so_far(prepared, folder)
    config = prepared.header.config
    bill = _Bill(prepared)
    new = [image_id for image_id in prepared.chosen if image_id not in recorded]
    seconds = bill.clean(new) if new else {}
    left = units = 0
    for stage in stages(config):
        concerned = prepared.concerned(stage)
        missing = [image_id for image_id in concerned if stage.unit_id(image_id) not in finished]
        units += len(concerned)
        left += len(missing)
        if missing:
            seconds |= bill.stage(stage, missing)
    return Outlook(seconds, left, units)


class _Bill:
    """Longest seconds of a run's stages, asked for in their order: a costly benign map is billed where it comes up."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared, self._config = prepared, prepared.header.config
        self._known: set[tuple[str, str]] = set()  # (interpreter, image) of the costly maps billed so far

    def clean(self, images: Sequence[str]) -> dict[str, float]:
        """Of the benign maps of images that are not in the run yet."""
        passes = clean_passes(self._config, len(images)) + self._costly(images, self._config.interpreters)
        return {"clean": passes * self._prepared.seconds_per_pass}

    def stage(self, stage: Stage, images: Sequence[str]) -> dict[str, float]:
        """Of a stage that these images are left to."""
        asked = Counter(name for image_id in images for name in self._prepared.asked_about(image_id))
        names = self._config.interpreters if stage.interpreter is None else (stage.interpreter, *at_once(self._config))
        passes = stage_passes(self._config, stage, len(images), asked) + self._costly(images, names)
        return {stage.name: passes * self._prepared.seconds_per_pass}

    def _costly(self, images: Sequence[str], names: Sequence[str]) -> float:
        passes = 0.0
        for name in shapes(self._config).keys() & set(names):
            new = {(name, one) for one in images if name in self._prepared.asked_about(one)} - self._known
            self._known |= new
            passes += costly_passes(self._config, name, len(new))
        return passes


def _so_far(prepared: Prepared, folder: Path) -> tuple[set[str], set[str]]:
    """Units that are finished, and images that have a record."""
    if not (folder / DATABASE_NAME).exists():
        return set(), set()
    try:
        with RunReader(folder) as run:
            old, new = run.header, prepared.header
            images = ""
            if old.images_digest != new.images_digest:
                shown = new.config.show_file_names
                images = changed_images(run.images(), old.images_found, prepared.specimens, show_file_names=shown)
            refuse_differing(folder, old.model_dump(mode="json"), new.model_dump(mode="json"), images)
            return run.finished_units(), {image.image_id for image in run.images()}
    except HalfWritten:
        return set(), set()  # whoever opens it next for writing repairs it and compares then
