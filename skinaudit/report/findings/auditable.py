"""Words around the checks of the model: is it auditable, and what of that belongs on the first page?"""

from __future__ import annotations

from skinaudit.audit.records import RunHeader
from skinaudit.classifier.checks import declared_accuracy
from skinaudit.classifier.finding import BATCH, TITLES, one_at_a_time
from skinaudit.report.document import Auditability, CheckRow, Data
from skinaudit.report.wording import counted, percent, rate_text

_RESULTS = {"alarm": "alarm", "note": "note", "ok": "passed"}


def auditable(header: RunHeader, data: Data) -> Auditability:
    """What the checks of the model say, in the order in which they are read."""
    rows = tuple(
        CheckRow(
            check=one.check,
            title=TITLES.get(one.check, one.check),
            level=one.level,
            result=_RESULTS[one.level],
            evidence=one.evidence,
            meaning=one.meaning,
            consequence=one.consequence,
        )
        for one in header.checks
    )
    alarms = [row for row in rows if row.level == "alarm"]
    notes = sum(row.level == "note" for row in rows)
    batch = _batch_sentence(header, data)
    return Auditability(
        alarms=len(alarms),
        notes=notes,
        headline=_headline(rows, alarms, notes),
        alarm=_alarm(rows, alarms, batch),
        findings=(batch,) if batch else (),
        rows=rows,
    )


def _headline(rows: tuple[CheckRow, ...], alarms: list[CheckRow], notes: int) -> str:
    if not rows:
        return "The model was not checked before this run, so nothing is said about whether it can be audited."
    also = f"; {counted(notes, 'note')}" if notes else ""
    if alarms:
        raised = f"{len(alarms)} of {counted(len(rows), 'check')} raised an alarm{also}"
        return f"{raised}: figures of this report may mislead."
    return f"None of {counted(len(rows), 'check')} raised an alarm{also}."


def _alarm(rows: tuple[CheckRow, ...], alarms: list[CheckRow], batch: str) -> str | None:
    if not alarms:
        return None
    names = ", ".join(row.title.lower() for row in alarms)
    first = f"{len(alarms)} of {counted(len(rows), 'check')} of the model raised an alarm ({names}). "
    return f"{first}{batch or alarms[0].meaning} See “Is this model auditable”."


def _batch_sentence(header: RunHeader, data: Data) -> str:
    """A model that mixes the images of a batch: what its accuracy is worth, and what it is at batch size one."""
    mixed = any(one.check == BATCH and one.level == "alarm" for one in header.checks)
    if not mixed or not one_at_a_time(header.checks):
        return ""
    declared = declared_accuracy(header.model.declared)
    stated = "Any accuracy declared for it" if declared is None else f"Its declared accuracy of {percent(declared)}"
    measured = (
        "without labels, nobody can say what it is at batch size one."
        if data.accuracy is None
        else f"at batch size one, its diagnosis agrees with the label in {rate_text(data.accuracy)}."
    )
    return (
        "A prediction of this model depends on the other images in its batch, so it was attacked one image at a time. "
        f"{stated} cannot be trusted; {measured}"
    )
