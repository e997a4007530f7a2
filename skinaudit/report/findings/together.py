"""Numbers, words and examples for one change against several maps at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skinaudit.audit.records import ImageRecord, Record, RunHeader
from skinaudit.interpreters.registry import title_of
from skinaudit.report import tally
from skinaudit.report.aim import success
from skinaudit.report.cases import Chosen, candidates, is_blank
from skinaudit.report.findings.case import worded_case
from skinaudit.report.results import Together, TogetherCase
from skinaudit.report.wording import rate_text

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
    titles = tuple(title_of(name) for name in of_map)
    rate = tally.joint_rate(tally.by_image(next(iter(of_map.values()))).values())
    outcome = f"{success(header.config.threat)}, for each of these maps"
    return Together(
        titles=titles,
        joint=rate,
        finding=f"One change against {' and '.join(titles)} at once ({outcome}): {rate_text(rate)}.",
        cases=_examples(header, images, of_map),
    )


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
    fate = "moved" if threat.keeps_map else "did not become the wanted one"
    return f"{deed}, the map of {' and '.join(missed)} {fate}."
