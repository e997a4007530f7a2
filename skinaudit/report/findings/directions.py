"""Words for where diagnoses were driven: cancer missed, false alarms, and changes within one side."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.audit.records import Record, RunHeader
from skinaudit.report import tally
from skinaudit.report.results import Direction, DirectionName
from skinaudit.report.wording import rate_text

#: (name, from malignant, to malignant, what it means); cancer that is missed comes first.
_DIRECTIONS: tuple[tuple[DirectionName, bool, bool, str], ...] = (
    ("malignant to benign", True, False, "Missed malignancy"),
    ("benign to malignant", False, True, "False alarm"),
    ("within malignant", True, True, "Another malignancy"),
    ("within benign", False, False, "Another benign diagnosis"),
)


def directions_of(header: RunHeader, records: Sequence[Record]) -> tuple[Direction, ...]:
    """Each direction with its rates; those within a side only where they were tried.

    None where the diagnosis was to stay, or where no class is declared malignant.
    """
    if header.config.threat.keeps_diagnosis or not header.model.malignant:
        return ()
    found = []
    for name, before, after, hazard in _DIRECTIONS:
        mine = tally.driven(header, records, before, after)
        if mine or before is not after:
            found.append(_direction(header, name, mine, after, hazard))
    return tuple(found)


def _direction(
    header: RunHeader, name: DirectionName, records: Sequence[Record], to_malignant: bool, hazard: str
) -> Direction:
    there = [tally.arrived(header, row, to_malignant) for row in records]
    flipped = tally.rate(there)
    joint = tally.rate([bool(row.joint) and arrived for row, arrived in zip(records, there, strict=True)])
    outcome = "map kept" if header.config.threat.keeps_map else "wanted map reached"
    if not records:
        text = f"{hazard} ({name}): no image was attacked in this direction."
    else:
        text = f"{hazard} ({name}): diagnosis changed in {rate_text(flipped)}; {outcome} as well in {rate_text(joint)}."
    return Direction(name=name, attempted=len(records), flipped=flipped, joint=joint, text=text)
