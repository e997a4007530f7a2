"""Counts, rates and means over the records of a run; no words, no drawing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median

from skinaudit.audit.records import Attack, ImageRecord, MapDistances, Record, RunHeader
from skinaudit.config import TargetRule
from skinaudit.interpreters.registry import title_of
from skinaudit.metrics.intervals import TOO_FEW, bootstrap_mean, wilson
from skinaudit.report.document import ClassCount, Exclusion
from skinaudit.report.results import Arm, Average, Rate

ARM_ORDER: tuple[Attack, ...] = ("adv2", "joint", "pgd", "noise", "jpeg", "shift")
ARM_TITLES: dict[Attack, str] = {
    "adv2": "ADV²",
    "joint": "ADV² on all maps",
    "transfer": "Transfer",
    "sweep": "ADV² within a smaller radius",
    "pgd": "PGD",
    "noise": "Random noise",
    "jpeg": "JPEG",
    "shift": "Half-pixel shift",
}


def rate(outcomes: Sequence[bool]) -> Rate:
    """Share of true outcomes with its Wilson interval, unstated below ``TOO_FEW``."""
    successes, n = sum(outcomes), len(outcomes)
    if n < TOO_FEW:
        return Rate(successes=successes, n=n, value=None, low=None, high=None)
    interval = wilson(successes, n)
    return Rate(successes=successes, n=n, value=successes / n, low=interval.low, high=interval.high)


def average(values: Sequence[float]) -> Average:
    """Mean, bootstrap interval and median, unstated below ``TOO_FEW``."""
    n = len(values)
    if n < TOO_FEW:
        return Average(n=n, mean=None, low=None, high=None, median=None)
    interval = bootstrap_mean(list(values))
    return Average(n=n, mean=fmean(values), low=interval.low, high=interval.high, median=median(values))


def by_image(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Judged records of one arm, grouped by image in the order of their ids, so that order of work changes nothing."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: (record.image_id, record.draw, record.unit_id)):
        if record.status == "judged":
            groups[record.image_id].append(record)
    return dict(groups)


def arm(records: Sequence[Record], attack: Attack) -> Arm | None:
    """Numbers of one attack or control against one interpreter, None when the run has no such record.

    Rates and means count images, not draws: draws of one image are not independent. An image counts as flipped (or
    jointly attacked) when any draw is, as kept when every draw is; distances and confidence are means over its draws.
    """
    mine = [record for record in records if record.attack == attack]
    if not mine:
        return None
    groups = list(by_image(mine).values())
    judged = [record for group in groups for record in group]
    flipped = [any(record.flipped for record in group) for group in groups]
    kept = [_all_kept(group) for group in groups]
    # Without a threshold nobody can say whether a map is kept: such an image counts in neither rate.
    known = [(is_kept, is_flipped) for is_kept, is_flipped in zip(kept, flipped, strict=True) if is_kept is not None]
    return Arm(
        attack=attack,
        title=ARM_TITLES[attack],
        n=len(groups),
        failed=sum(record.status == "failed" for record in mine),
        flipped=rate(flipped),
        kept=rate([is_kept for is_kept, _ in known]),
        kept_when_flipped=rate([is_kept for is_kept, is_flipped in known if is_flipped]),
        joint=joint_rate(groups),
        l1=average(_means(groups, lambda record: record.to_target.l1 if record.to_target else None)),
        iou20=average(_means(groups, lambda record: record.to_target.iou20 if record.to_target else None)),
        original_l1=average(_means(groups, lambda record: record.original_class.l1 if record.original_class else None)),
        confidence=average(_means(groups, lambda record: record.prediction.confidence if record.prediction else None)),
        benign_l1=_to_benign(groups, lambda found: found.l1),
        # Of two sets of the same size: with an IoU of i they share 2 i / (1 + i) of their members.
        benign_overlap=_to_benign(groups, lambda found: 2 * found.iou20 / (1 + found.iou20)),
        benign_spearman=_to_benign(groups, lambda found: found.spearman),
        l1_points=tuple(_means(groups, lambda record: record.to_target.l1 if record.to_target else None)),
        largest_change_levels=max((record.linf_levels for record in judged), default=0),
        largest_displacement=max(
            (row.displacement_max for row in judged if row.displacement_max is not None), default=None
        ),
        mean_displacement=_mean([row.displacement_mean for row in judged if row.displacement_mean is not None]),
        mean_steps=fmean(record.steps for record in judged) if judged else None,
    )


def joint_rate(groups: Iterable[Sequence[Record]]) -> Rate:
    """How often any draw of an image had diagnosis changed and map kept; images without a drift limit do not count."""
    return rate([any(bool(record.joint) for record in group) for group in groups if _all_kept(group) is not None])


def _all_kept(group: Sequence[Record]) -> bool | None:
    known = [record.kept for record in group if record.kept is not None]
    return all(known) if known else None


def _means(groups: Sequence[Sequence[Record]], value: Callable[[Record], float | None]) -> list[float]:
    found = [[number for record in group if (number := value(record)) is not None] for group in groups]
    return [fmean(numbers) for numbers in found if numbers]


def _to_benign(groups: Sequence[Sequence[Record]], value: Callable[[MapDistances], float]) -> Average | None:
    """Mean distance to the benign map, None where that is the wanted one everywhere."""
    found = _means(groups, lambda record: value(record.to_benign) if record.to_benign else None)
    return average(found) if found else None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def paired_joint(records: Sequence[Record]) -> tuple[list[bool], list[bool]]:
    """Joint success of ADV² and of PGD on the images that have a verdict from both, in the same order."""
    adv2 = by_image(record for record in records if record.attack == "adv2" and record.joint is not None)
    pgd = by_image(record for record in records if record.attack == "pgd" and record.joint is not None)
    both = sorted(adv2.keys() & pgd.keys())
    return (
        [any(bool(record.joint) for record in adv2[image]) for image in both],
        [any(bool(record.joint) for record in pgd[image]) for image in both],
    )


def joint_on_every_map(of_maps: Iterable[Sequence[Record]]) -> dict[str, bool]:
    """Image -> joint success on each of several maps; images that lack a verdict on one of them are left out.

    Args:
        of_maps: for each map the records of one attack.
    """
    each = [
        {image: any(bool(one.joint) for one in group) for image, group in by_image(mine).items() if _known(group)}
        for mine in of_maps
    ]
    whole = set.intersection(*(set(one) for one in each)) if each else set()
    return {image: all(one[image] for one in each) for image in sorted(whole)}


def _known(group: Sequence[Record]) -> bool:
    return all(record.joint is not None for record in group)


def class_counts(header: RunHeader, images: Sequence[ImageRecord]) -> tuple[ClassCount, ...]:
    """Images of each class, by label, by clean prediction, and as attacked (by clean prediction)."""
    model = header.model
    labelled = Counter(image.label for image in images if image.label is not None)
    predicted = Counter(image.prediction.index for image in images if image.prediction is not None)
    attacked = Counter(
        image.prediction.index for image in images if image.prediction is not None and image.status == "attacked"
    )
    return tuple(
        ClassCount(
            name=name,
            title=model.class_titles[index] if index < len(model.class_titles) else name,
            malignant=name in model.malignant,
            labelled=labelled[name] if header.labels_given else None,
            predicted=predicted[index],
            attacked=attacked[index],
        )
        for index, name in enumerate(model.classes)
    )


def exclusions(images: Sequence[ImageRecord]) -> tuple[Exclusion, ...]:
    """Images that were not attacked, grouped by status and reason, most frequent first."""
    counts = Counter((image.status, image.reason or "no reason recorded") for image in images)
    rows = [
        Exclusion(status=status, reason=reason, count=count)
        for (status, reason), count in counts.items()
        if status != "attacked"
    ]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.status, row.reason)))


def failed_units(records: Sequence[Record]) -> tuple[Exclusion, ...]:
    """Verdicts on maps that could not be given, grouped by what they were about and why."""
    counts = Counter(
        (f"{ARM_TITLES[record.attack]} on {title_of(record.interpreter)}", record.reason or "no reason recorded")
        for record in records
        if record.status == "failed"
    )
    return tuple(
        Exclusion(status=unit, reason=reason, count=count)
        for (unit, reason), count in sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    )


def accuracy(header: RunHeader, images: Sequence[ImageRecord]) -> tuple[Rate, float | None] | None:
    """Accuracy and balanced accuracy on clean labelled images; None without labels, balanced None below ``TOO_FEW``."""
    if not header.labels_given:
        return None
    hits: dict[str, list[bool]] = defaultdict(list)
    for image in images:
        if image.label in header.model.classes and image.prediction is not None:
            hits[image.label].append(header.model.classes[image.prediction.index] == image.label)
    outcomes = [hit for name in sorted(hits) for hit in hits[name]]
    balanced = fmean(fmean(row) for row in hits.values()) if len(outcomes) >= TOO_FEW else None
    return rate(outcomes), balanced


def driven(
    header: RunHeader, records: Sequence[Record], from_malignant: bool, to_malignant: bool | None = None
) -> list[Record]:
    """ADV² verdicts whose attack went from one side of the line between malignant and benign to another class.

    Args:
        header: names the malignant classes and the target rule. An untargeted attack goes to no side: all are given.
        records: of one interpreter.
        from_malignant: side of the unchanged image's class.
        to_malignant: side of the wanted class; None: the other one.
    """
    wanted = not from_malignant if to_malignant is None else to_malignant
    anywhere = header.config.threat.target is TargetRule.UNTARGETED
    return [
        record
        for group in by_image(record for record in records if record.attack == "adv2").values()
        for record in group
        if record.target_class is not None
        and is_malignant(header, record.source_class) is from_malignant
        and (anywhere or is_malignant(header, record.target_class) is wanted)
    ]


def arrived(header: RunHeader, record: Record, malignant: bool) -> bool:
    """Was the diagnosis changed to the wanted one, or to any where that will do, on this side of the line?"""
    return (
        record.flipped and record.prediction is not None and is_malignant(header, record.prediction.index) is malignant
    )


def is_malignant(header: RunHeader, index: int) -> bool:
    """Is a class declared malignant?"""
    return header.model.classes[index] in header.model.malignant
