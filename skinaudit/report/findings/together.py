"""Numbers, words and examples for one change against several maps at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skinaudit.audit.records import ImageRecord, Record, RunHeader
from skinaudit.config import ThreatModel
from skinaudit.interpreters.registry import title_of
from skinaudit.report import aim, tally
from skinaudit.report.cases import Chosen, candidates, is_blank
from skinaudit.report.findings.case import worded_case
from skinaudit.report.findings.excess import excess_of
from skinaudit.report.findings.wanted_maps import fallen_back
from skinaudit.report.results import Rate, Together, TogetherCase
from skinaudit.report.wording import counted, listed, percent, rate_text

#: Examples shown; one place is kept for a picture on which not every map was kept, if there is one.
MOST_SHOWN = 3


def together(header: RunHeader, images: Sequence[ImageRecord], records: Sequence[Record]) -> Together | None:
    """What the joint attack reached; success there needs every map, so each map has the same rate. None without it."""
    of_map = {
        name: [one for one in records if one.attack == "joint" and one.interpreter == name]
        for name in header.config.interpreters
    }
    of_map = {name: mine for name, mine in of_map.items() if mine}
    if not of_map:
        return None
    titles, threat = tuple(title_of(name) for name in of_map), header.config.threat
    adv2 = tally.joint_on_every_map(of_map.values())
    pgd = tally.joint_on_every_map(
        [one for one in records if one.attack == "pgd" and one.interpreter == name] for name in of_map
    )
    both = sorted(adv2.keys() & pgd.keys())
    rate, beside = tally.rate(list(adv2.values())), tally.rate(list(pgd.values())) if pgd else None
    deed = aim.deed(threat, every_map=True)
    excess = excess_of([adv2[image] for image in both], [pgd[image] for image in both], deed)
    findings = (
        _headline(threat, titles, rate, beside),
        *((excess.text,) if excess else ()),
        *_limits(header, of_map),
        *_blank(header, images, of_map),
        *_other_maps(header, of_map),
        *_left_out(header, of_map),
    )
    cases = _examples(header, images, of_map)
    return Together(titles=titles, joint=rate, pgd=beside, excess=excess, findings=findings, cases=cases)


def _headline(threat: ThreatModel, titles: Sequence[str], rate: Rate, pgd: Rate | None) -> str:
    beside = f"; PGD, which looks at no map, in {rate_text(pgd)}" if pgd else ""
    outcome = f"{aim.success(threat)}, for each of these maps"
    return f"One change against {listed(titles)} at once ({outcome}): {rate_text(rate)}{beside}."


def all_maps_note(found: Together | None, threat: ThreatModel) -> str:
    """What the attack on several maps at once came to, for the front pages; empty where there was none."""
    if found is None or not found.joint.n:
        return ""
    beside = f"; PGD in {rate_text(found.pgd)}" if found.pgd else ""
    outcome = f"{aim.success(threat)} in {rate_text(found.joint)}"
    return f"All of {', '.join(found.titles)} on the same picture: {outcome}{beside}."


def _limits(header: RunHeader, of_map: Mapping[str, Sequence[Record]]) -> tuple[str, ...]:
    """What a map may have moved and still count, for each kind: two figures under a picture mean nothing without."""
    known = [limit for limit in header.thresholds if limit.interpreter in of_map]
    parts = [f"{title_of(limit.interpreter)} L1 {limit.l1:.3f}, overlap {percent(limit.iou20)}" for limit in known]
    if not parts:
        return ()
    counts = aim.kept_title(header.config.threat)
    return (f"“{counts}” means at most this L1 distance and at least this overlap: {'; '.join(parts)}.",)


def _blank(header: RunHeader, images: Sequence[ImageRecord], of_map: Mapping[str, Sequence[Record]]) -> tuple[str, ...]:
    """That some of the maps had nothing to keep."""
    attacked = {record.image_id for mine in of_map.values() for record in mine if record.status == "judged"}
    blank = [one for one in images if one.image_id in attacked and set(one.blank_maps) & set(of_map)]
    if not blank or not header.config.threat.keeps_map:
        return ()
    text = (
        f"On {len(blank)} of {counted(len(attacked), 'image')} one or more of these maps mark nothing before the "
        "attack (no pixel reaches one half): there was nothing of them to keep."
    )
    return (text,)


def _other_maps(header: RunHeader, of_map: Mapping[str, Sequence[Record]]) -> tuple[str, ...]:
    """Where another map had to be wanted than was asked for; said once where it holds for every map alike."""
    told = {title_of(name): fallen_back(header.config.threat, mine) for name, mine in of_map.items()}
    if len({tuple(sentences) for sentences in told.values()}) == 1:
        return tuple(next(iter(told.values())))
    return tuple(f"{title}: {sentence}" for title, sentences in told.items() for sentence in sentences)


def _left_out(header: RunHeader, of_map: Mapping[str, Sequence[Record]]) -> tuple[str, ...]:
    absent = [title_of(name) for name in header.config.interpreters if name not in of_map]
    if not absent:
        return ()
    return (f"Not among them: {listed(absent)}, as one map takes hundreds of passes of the network.",)


def _examples(
    header: RunHeader, images: Sequence[ImageRecord], of_map: Mapping[str, Sequence[Record]]
) -> tuple[TogetherCase, ...]:
    """Images that every map has a verdict on: the closest ones first, one that fell short last."""
    seen: dict[str, list[Chosen]] = {}
    for mine in of_map.values():
        for case in candidates(header, images, mine, "joint"):
            seen.setdefault(case.image.image_id, []).append(case)
    whole = sorted((views for views in seen.values() if len(views) == len(of_map)), key=_rank)
    reached = [views for views in whole if views[0].kind == "joint"]
    short = [views for views in whole if views[0].kind != "joint"]
    shown_short = short[: max(MOST_SHOWN - len(reached), 1)]
    return tuple(
        TogetherCase(caption=_caption(header, views), maps=tuple(worded_case(header, view) for view in views))
        for views in [*reached[: MOST_SHOWN - len(shown_short)], *shown_short]
    )


def _rank(views: Sequence[Chosen]) -> tuple[bool, bool, bool, float, str]:
    distances = [view.adv2.to_target.l1 if view.adv2.to_target else 1.0 for view in views]
    first, blank = views[0], any(is_blank(view) for view in views)
    return first.kind == "held", blank, not first.crosses_to_benign, max(distances), first.image.image_id


def _caption(header: RunHeader, views: Sequence[Chosen]) -> str:
    """The finding of an example in a line: what became of the diagnosis, and which maps gave it away."""
    threat, first = header.config.threat, views[0]
    if threat.keeps_diagnosis:
        deed = "The diagnosis changed, which was not wanted" if first.adv2.flipped else "The diagnosis stayed"
    elif first.adv2.flipped:
        deed = "Malignancy missed" if first.crosses_to_benign and header.labels_given else "Diagnosis changed"
    else:
        deed = "The attack did not reach its class"
    if any(view.adv2.kept is None for view in views):
        return f"{deed}, maps not judged."
    missed = [title_of(view.adv2.interpreter) for view in views if not view.adv2.kept]
    if not missed:
        return f"{deed}, {'every map stayed' if threat.keeps_map else 'every wanted map was reached'}."
    fate = "moved" if threat.keeps_map else f"did not become the wanted {'ones' if len(missed) > 1 else 'one'}"
    return f"{deed}, the map{'s' if len(missed) > 1 else ''} of {listed(missed)} {fate}."
