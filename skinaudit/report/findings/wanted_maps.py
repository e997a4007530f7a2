"""Words for runs in which another map than the benign one was wanted: what is left of that, and what fell back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from skinaudit.audit.records import Record
from skinaudit.config import TargetMap, ThreatModel
from skinaudit.report import aim
from skinaudit.report.results import Arm, Average
from skinaudit.report.wording import images, rate_text


def wanted_maps_findings(
    threat: ThreatModel, title: str, arms: Sequence[Arm], records: Sequence[Record]
) -> tuple[str, ...]:
    """What stands beside the rates of one interpreter; nothing where the benign map was wanted."""
    by_attack = {arm.attack: arm for arm in arms if arm.n}
    if threat.keeps_map or "adv2" not in by_attack:
        return ()
    found = []
    noise = by_attack.get("noise")
    if threat.keeps_diagnosis and noise is not None and noise.joint.n:
        found.append(f"Random noise of the attack's size {aim.deed(threat)} in {rate_text(noise.joint)}.")
    found += _left_of_the_benign_map(title, [by_attack[name] for name in ("adv2", "noise") if name in by_attack])
    return (*found, *fallen_back(threat, [record for record in records if record.attack == "adv2"]))


def fallback_note(threat: ThreatModel, records: Sequence[Record]) -> str:
    """For the front pages: that some images were put to another map than was asked for; empty where none was."""
    judged = [record for record in records if record.attack == "adv2" and record.status == "judged"]
    others = {record.image_id for record in judged if record.wanted_map != threat.target_map and record.map_reason}
    if not others:
        return ""
    share = f"{len(others)} of {images(len({record.image_id for record in judged}))}"
    return f"On {share} the map that was asked for could not be had and another was wanted; the results say which."


def _left_of_the_benign_map(title: str, arms: Sequence[Arm]) -> list[str]:
    parts = []
    for arm in arms:
        overlap, ranks = _mean(arm.benign_overlap), _mean(arm.benign_spearman)
        if overlap and ranks:
            change = arm.title if arm.attack == "adv2" else "random noise"
            parts.append(f"after {change} {overlap} of them still are, with a rank correlation (Spearman) of {ranks}")
    if not parts:
        return []
    unrelated = "means; maps that have nothing to do with each other: 0.20 and 0"
    return [f"Of the pixels that are the benign {title} map's top 20 %, {'; '.join(parts)} ({unrelated})."]


def _mean(average: Average | None) -> str:
    return "" if average is None or average.mean is None else f"{average.mean:.2f}"


def fallen_back(threat: ThreatModel, records: Sequence[Record]) -> list[str]:
    """Which images were put to another map than the settings say, and which patches are not quite clear."""
    judged = [record for record in records if record.status == "judged"]
    others = Counter(
        str(record.map_reason) for record in judged if record.wanted_map != threat.target_map and record.map_reason
    )
    found = [f"In {count} of {images(len(judged))} {reason}." for reason, count in sorted(others.items())]
    touching = sum(
        record.wanted_map == TargetMap.PATCH == threat.target_map and record.map_reason is not None for record in judged
    )
    if touching:
        found.append(
            f"In {touching} of {images(len(judged))} no patch that was drawn is clear of the benign map's top 20 %; "
            "the one that touches least of it was wanted."
        )
    return found
