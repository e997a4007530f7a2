"""What is still to do before an audit is finished, and how long that takes at most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skinaudit.audit.changed_images import changed_images
from skinaudit.audit.database import DATABASE_NAME
from skinaudit.audit.failures import HalfWritten
from skinaudit.audit.forecast import stage_passes
from skinaudit.audit.plan import stages
from skinaudit.audit.reader import RunReader
from skinaudit.audit.resume import refuse_differing

if TYPE_CHECKING:
    from skinaudit.audit.session import Prepared


@dataclass(frozen=True)
class Outlook:
    """Work ahead: longest seconds by stage (those with work left), units left, units in all."""

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
    finished = _finished(prepared, folder)
    config = prepared.header.config
    seconds: dict[str, float] = {}
    left = units = 0
    for stage in stages(config):
        concerned = prepared.concerned(stage)
        missing = [image_id for image_id in concerned if stage.unit_id(image_id) not in finished]
        units += len(concerned)
        left += len(missing)
        if missing:
            asked = Counter(name for image_id in missing for name in prepared.asked_about(image_id))
            passes = stage_passes(config, stage, len(missing), asked)
            seconds[stage.name] = passes * prepared.seconds_per_pass
    return Outlook(seconds, left, units)


def _finished(prepared: Prepared, folder: Path) -> set[str]:
    if not (folder / DATABASE_NAME).exists():
        return set()
    try:
        with RunReader(folder) as run:
            old, new = run.header, prepared.header
            images = ""
            if old.images_digest != new.images_digest:
                shown = new.config.show_file_names
                images = changed_images(run.images(), old.images_found, prepared.specimens, show_file_names=shown)
            refuse_differing(folder, old.model_dump(mode="json"), new.model_dump(mode="json"), images)
            return run.finished_units()
    except HalfWritten:
        return set()  # whoever opens it next for writing repairs it and compares then
