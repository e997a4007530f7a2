"""Words for one image under attack."""

from __future__ import annotations

from skinaudit.audit.records import RunHeader
from skinaudit.config import ThreatModel
from skinaudit.report.cases import Chosen
from skinaudit.report.results import Case
from skinaudit.report.wording import image_name, percent, short


def worded_case(header: RunHeader, chosen: Chosen) -> Case:
    """One image under attack with its diagnoses before and after, and its finding in a sentence and in a line."""
    image, adv2 = chosen.image, chosen.adv2
    titles = [short(title) for title in header.model.class_titles]
    before, after = titles[adv2.source_class], titles[adv2.prediction.index] if adv2.prediction else "no diagnosis"
    distances = adv2.to_target
    return Case(
        image_id=image.image_id,
        name=image_name(image),
        interpreter=adv2.interpreter,
        kind=chosen.kind,
        drawn=image.drawn,
        label=image.label,
        source=before,
        target=titles[adv2.target_class] if adv2.target_class is not None else before,
        attack=adv2.attack,
        adv2_unit=adv2.unit_id,
        pgd_unit=chosen.pgd.unit_id if chosen.pgd else None,
        before=before,
        confidence_before=image.prediction.confidence if image.prediction else None,
        after=after,
        confidence_after=adv2.prediction.confidence if adv2.prediction else None,
        crosses_to_benign=chosen.crosses_to_benign and chosen.kind != "held",
        l1=distances.l1 if distances else None,
        iou20=distances.iou20 if distances else None,
        text=_case_text(header, chosen, before, after),
        caption=_case_caption(header, chosen),
    )


def _case_text(header: RunHeader, chosen: Chosen, before: str, after: str) -> str:
    threat, distances = header.config.threat, chosen.adv2.to_target
    moved = f" (L1 {distances.l1:.3f}, top-20 % overlap {percent(distances.iou20)})" if distances else ""
    if threat.keeps_diagnosis:
        if chosen.adv2.flipped:
            return f"{before} became {after}, which was not wanted{moved}."
        reached = "the wanted map was reached" if chosen.kind == "joint" else "the wanted map was not reached"
        return f"{before} stayed and {reached}{moved}."
    if chosen.kind == "held":
        stayed = f"{before} stayed" if before == after else f"{before} became {after}, which was not the class wanted"
        return f"The attack did not reach its class: {stayed}."
    harm = "Malignancy missed: " if chosen.crosses_to_benign and header.labels_given else ""
    if chosen.kind == "joint":
        return f"{harm}{before} became {after} and {_map_stayed(threat)}{moved}."
    if chosen.adv2.joint is None:
        return f"{harm}{before} became {after}; with no drift threshold the map is not judged{moved}."
    short_of = "the map moved beyond the drift limit" if threat.keeps_map else "the wanted map was not reached"
    return f"{harm}{before} became {after}, but {short_of}{moved}."


def _map_stayed(threat: ThreatModel) -> str:
    return "the map stayed" if threat.keeps_map else "the wanted map was reached"


def _case_caption(header: RunHeader, chosen: Chosen) -> str:
    """The finding of one row in a line; the diagnoses stand below its pictures."""
    distances = chosen.adv2.to_target
    moved = f": L1 {distances.l1:.3f}, overlap {percent(distances.iou20)}" if distances else ""
    threat = header.config.threat
    if threat.keeps_diagnosis:
        if chosen.adv2.flipped:
            return f"The diagnosis changed, which was not wanted{moved}."
        return f"The diagnosis stayed, the wanted map {'' if chosen.kind == 'joint' else 'not '}reached{moved}."
    if chosen.kind == "held":
        adv2 = chosen.adv2
        other = adv2.prediction is not None and adv2.prediction.index != adv2.source_class
        return f"{'Another diagnosis than the one wanted' if other else 'The diagnosis held'}{moved}."
    what = "Malignancy missed" if chosen.crosses_to_benign and header.labels_given else "Diagnosis changed"
    if chosen.kind == "joint":
        return f"{what}, {_map_stayed(threat)}{moved}."
    short_of = "the map moved" if threat.keeps_map else "the wanted map was not reached"
    return f"{what}, {short_of if chosen.adv2.joint is not None else 'map not judged'}{moved}."
