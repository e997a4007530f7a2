"""Which attacked images are shown, in which order: best examples first, then failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from skinaudit.audit.records import Attack, ImageRecord, Record, RunHeader
from skinaudit.report.results import CaseKind
from skinaudit.report.tally import by_image

#: Most picture rows of one interpreter, and how many of them are kept free for images where the attack fell short.
MOST_ROWS = 10
ROWS_FOR_FAILURES = 3


@dataclass(frozen=True)
class Chosen:
    """One image with its ADV² verdict (or that of the joint attack), the PGD verdict beside it, and what came of it."""

    image: ImageRecord
    adv2: Record
    pgd: Record | None
    kind: CaseKind
    crosses_to_benign: bool


def candidates(
    header: RunHeader, images: Sequence[ImageRecord], records: Sequence[Record], attack: Attack = "adv2"
) -> list[Chosen]:
    """Every image that the attack has a verdict on, for the records of one interpreter, in the order of image ids."""
    known = {image.image_id: image for image in images}
    pgd = by_image(record for record in records if record.attack == "pgd")
    return [
        _chosen(header, known[image_id], group[0], pgd.get(image_id, [None])[0])
        for image_id, group in by_image(record for record in records if record.attack == attack).items()
        if image_id in known
    ]


def best_then_failures(found: Sequence[Chosen]) -> list[Chosen]:
    """Rows to show for one interpreter, at most ``MOST_ROWS``.

    Joint successes come first, those from malignant to benign before the others, then by distance of the map; benign
    maps that mark nothing come after those that there is something to see of. At
    least ``ROWS_FOR_FAILURES`` places are kept for images where the map moved or the diagnosis held, if there are any.
    """
    successes = sorted((case for case in found if case.kind == "joint"), key=_rank)
    failures = sorted((case for case in found if case.kind != "joint"), key=_rank)
    shown_failures = _both_kinds(failures, max(MOST_ROWS - len(successes), ROWS_FOR_FAILURES))
    return successes[: MOST_ROWS - len(shown_failures)] + shown_failures


def _both_kinds(failures: Sequence[Chosen], room: int) -> list[Chosen]:
    """At most ``room`` failures; a diagnosis that held is among them if there is one, for it is the rarest sight."""
    held = [case for case in failures if case.kind == "held"]
    moved = [case for case in failures if case.kind != "held"]
    return moved[: room - min(len(held), 1)] + held[: max(1, room - len(moved))] if room else []


def worst_first(cases: Sequence[Chosen], most: int, uninformative: frozenset[str] = frozenset()) -> list[Chosen]:
    """The worst rows, each of another image: hidden before visible, missed malignancy before others, surer first.

    As sure as the model was both before and after: a diagnosis that it hardly gave is no great loss. Among cases as
    grave as each other, the interpreters take turns. Interpreters whose map hardly depends on the diagnosis are
    ``uninformative``; their cases come after the others, as do those whose benign map marks nothing.
    """
    left = [case for case in cases if case.kind != "held"]
    chosen: list[Chosen] = []
    while left and len(chosen) < most:
        turns = Counter(case.adv2.interpreter for case in chosen)
        worst = min(
            left, key=lambda case: (*_gravity(case, uninformative), turns[case.adv2.interpreter], *_surest(case))
        )
        chosen.append(worst)
        # The same photograph twice would show one weakness twice.
        left = [case for case in left if case.image.image_id != worst.image.image_id]
    return chosen


def is_blank(case: Chosen) -> bool:
    """Whether the benign map marks nothing: that it stayed then says little."""
    return case.adv2.interpreter in case.image.blank_maps


def _gravity(case: Chosen, uninformative: frozenset[str]) -> tuple[bool, bool, bool]:
    says_little = case.adv2.interpreter in uninformative or is_blank(case)
    return case.kind != "joint", says_little, not case.crosses_to_benign


def _surest(case: Chosen) -> tuple[float, float, str]:
    before, after = _confidence(case.image), _confidence(case.adv2)
    return -min(before, after), -after, case.image.image_id


def _confidence(verdict: ImageRecord | Record) -> float:
    return verdict.prediction.confidence if verdict.prediction else 0.0


def _chosen(header: RunHeader, image: ImageRecord, adv2: Record, pgd: Record | None) -> Chosen:
    changed = adv2.flipped and not header.config.threat.keeps_diagnosis  # else it is a failure
    kind: CaseKind = "joint" if adv2.joint else "changed" if changed else "held"
    malignant = [name in header.model.malignant for name in header.model.classes]
    after = adv2.prediction.index if adv2.prediction else adv2.source_class
    return Chosen(image, adv2, pgd, kind, malignant[adv2.source_class] and not malignant[after])


def _rank(case: Chosen) -> tuple[bool, bool, bool, float, str]:
    distance = case.adv2.to_target.l1 if case.adv2.to_target else 1.0
    return case.kind == "held", is_blank(case), not case.crosses_to_benign, distance, case.image.image_id
