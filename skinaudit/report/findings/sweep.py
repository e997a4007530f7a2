"""Numbers and words for the same attack within smaller radii."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.audit.records import Record, RunHeader
from skinaudit.interpreters.registry import title_of
from skinaudit.report import tally
from skinaudit.report.results import Sweep, SweepPoint
from skinaudit.report.wording import rate_text


def sweeps(header: RunHeader, records: Sequence[Record]) -> tuple[Sweep, ...]:
    """One curve for each interpreter that was attacked within smaller radii."""
    found = []
    for name in header.config.interpreters:
        mine = [record for record in records if record.interpreter == name]
        points = [
            _point(levels, [one for one in mine if one.attack == "sweep" and one.epsilon_levels == levels])
            for levels in sorted({one.epsilon_levels for one in mine if one.epsilon_levels is not None})
        ]
        if points:
            own = _point(header.config.threat.epsilon_levels, [one for one in mine if one.attack == "adv2"])
            curve = (*points, own)
            found.append(Sweep(interpreter=name, title=title_of(name), points=curve, finding=_finding(name, curve)))
    return tuple(found)


def _point(levels: int, records: Sequence[Record]) -> SweepPoint:
    groups = list(tally.by_image(records).values())
    return SweepPoint(
        levels=levels,
        flipped=tally.rate([any(record.flipped for record in group) for group in groups]),
        joint=tally.joint_rate(groups),
        l1=tally.average([group[0].to_target.l1 for group in groups if group[0].to_target]),
    )


def _finding(name: str, points: Sequence[SweepPoint]) -> str:
    """Within which radius most images are deceived; a larger one holds the same pictures."""
    title = title_of(name)
    if any(point.joint.value is None for point in points):
        return f"{title}: too few images to say from which radius on the attack succeeds."
    enough = next((point for point in points if (point.joint.value or 0.0) >= 0.5), None)
    first = points[0]
    least = f"within {first.levels}/255 it is {rate_text(first.joint)}"
    if enough is None:
        return f"{title}: within no radius that was tried are half of the images deceived; {least}."
    if enough is first:
        told = f"already within {first.levels}/255 {rate_text(first.joint)} are deceived"
    else:
        told = f"half of the images or more are deceived within {enough.levels}/255; {least}"
    return f"{title}: {told}.{_falls(points, enough)}"


def _falls(points: Sequence[SweepPoint], enough: SweepPoint) -> str:
    """What is to be said where a search within a larger radius found less than half; with a space before it."""
    fewer = [p for p in points if p.levels > enough.levels and (p.joint.value or 0.0) < 0.5]
    if not fewer:
        return ""
    found = " and ".join(f"{rate_text(point.joint)} within {point.levels}/255" for point in fewer)
    return f" The search itself found fewer, {found}, but the pictures of a smaller radius lie within a larger one."
