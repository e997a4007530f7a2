"""Numbers and words for pictures made for one map and seen through the others."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.audit.records import Record, RunHeader
from skinaudit.config import ThreatModel
from skinaudit.interpreters.registry import title_of
from skinaudit.report import tally
from skinaudit.report.results import Transfer, TransferCell, TransferRow
from skinaudit.report.wording import rate_text

PGD = "PGD"


def transfer(header: RunHeader, records: Sequence[Record]) -> Transfer | None:
    """The matrix (made for × seen through), PGD last; None where a run has nothing made for another map."""
    if not any(record.attack == "transfer" for record in records):
        return None
    names = header.config.interpreters
    made_for = [name for name in names if any(one.attack == "adv2" and one.interpreter == name for one in records)]
    rows = [
        TransferRow(title=title_of(name), cells=tuple(_cell(_seen(records, name, seen)) for seen in names))
        for name in made_for
    ]
    pgd = [_cell([one for one in records if one.attack == "pgd" and one.interpreter == seen]) for seen in names]
    matrix = (*rows, TransferRow(title=PGD, cells=tuple(pgd)))
    findings = _findings(header.config.threat, names, matrix)
    return Transfer(titles=tuple(title_of(name) for name in names), rows=matrix, findings=findings)


def _seen(records: Sequence[Record], made_for: str, seen: str) -> list[Record]:
    if made_for == seen:
        return [one for one in records if one.attack == "adv2" and one.interpreter == seen]
    return [one for one in records if one.attack == "transfer" and one.made_for == made_for and one.interpreter == seen]


def _cell(records: Sequence[Record]) -> TransferCell | None:
    groups = list(tally.by_image(records).values())
    if not groups:
        return None
    distances = [record.to_target.l1 for group in groups for record in group[:1] if record.to_target]
    return TransferCell(joint=tally.joint_rate(groups), l1=tally.average(distances))


def _findings(threat: ThreatModel, names: Sequence[str], rows: Sequence[TransferRow]) -> tuple[str, ...]:
    """The strongest transfer, and whether any goes beyond what PGD reaches without looking at a map."""
    pgd = rows[-1]
    stated = [
        (row.title, title_of(name), cell.joint, against.joint if against else None)
        for row in rows[:-1]
        for name, cell, against in zip(names, row.cells, pgd.cells, strict=True)
        if cell is not None and cell.joint.value is not None and row.title != title_of(name)
    ]
    if not stated:
        return ("Too few images were judged to say whether pictures made for one map deceive another.",)
    made_for, seen, rate, against = max(stated, key=lambda one: one[2].value or 0.0)
    beside = "" if against is None else f"; PGD, which looks at no map, reaches {rate_text(against)}"
    deed = f"kept the {seen} map" if threat.keeps_map else f"reached the wanted {seen} map"
    return (f"Most often a picture made for {made_for} also {deed}: {rate_text(rate)}{beside}.",)
