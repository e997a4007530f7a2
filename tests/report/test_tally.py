from __future__ import annotations

import math

import pytest

from skinaudit.report import tally
from tests.report.synthetic import CLASSES, excluded, header, probabilities, verdict


def names(count: int) -> list[str]:
    return [f"i{number:02d}" for number in range(count)]


def wilson_by_hand(successes: int, n: int) -> tuple[float, float]:
    z, share = 1.959964, successes / n
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def test_rates_of_an_arm_are_counted_by_hand() -> None:
    records = [
        verdict(name, "adv2", flipped=place < 9, kept=place < 6 or place == 11) for place, name in enumerate(names(12))
    ]
    arm = tally.arm(records, "adv2")
    assert arm is not None
    assert (arm.flipped.successes, arm.flipped.n, arm.flipped.value) == (9, 12, 0.75)
    assert (arm.kept.successes, arm.kept.n) == (7, 12)
    assert (arm.joint.successes, arm.joint.n) == (6, 12)
    assert (arm.kept_when_flipped.successes, arm.kept_when_flipped.n) == (6, 9)
    assert (arm.joint.low, arm.joint.high) == pytest.approx(wilson_by_hand(6, 12), abs=1e-5)


def test_mean_and_median_distance_are_those_of_the_images() -> None:
    moves = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.55]
    arm = tally.arm([verdict(name, "pgd", l1=move) for name, move in zip(names(10), moves, strict=True)], "pgd")
    assert arm is not None
    assert arm.l1.mean == pytest.approx(0.1)
    assert arm.l1.median == pytest.approx(0.055)
    assert arm.l1.low is not None
    assert arm.l1.high is not None
    assert arm.l1.low < 0.1 < arm.l1.high
    assert arm.l1_points == tuple(moves)


def test_draws_of_one_image_count_once_by_the_worst_draw() -> None:
    draws = [
        verdict("a", "noise", draw=0, flipped=False, kept=True, l1=0.02),
        verdict("a", "noise", draw=1, flipped=True, kept=True, l1=0.04),
        verdict("a", "noise", draw=2, flipped=False, kept=False, l1=0.09),
    ]
    arm = tally.arm(draws, "noise")
    assert arm is not None
    assert (arm.n, arm.flipped.successes, arm.kept.successes) == (1, 1, 0)
    assert arm.l1_points == pytest.approx((0.05,))


def test_a_failed_unit_is_counted_apart_and_moves_no_rate() -> None:
    good = [verdict(name, "adv2") for name in names(10)]
    failed = verdict("z", "adv2").model_copy(update={"status": "failed", "reason": "not finite", "flipped": False})
    arm = tally.arm([*good, failed], "adv2")
    assert arm is not None
    assert (arm.n, arm.failed, arm.flipped.value) == (10, 1, 1.0)
    assert [(row.reason, row.count) for row in tally.failed_units([*good, failed])] == [("not finite", 1)]


def test_without_a_threshold_no_map_counts_as_kept_or_moved() -> None:
    arm = tally.arm([verdict(name, "adv2", kept=None) for name in names(12)], "adv2")
    assert arm is not None
    assert (arm.kept.n, arm.joint.n, arm.flipped.n) == (0, 0, 12)


def test_an_attack_that_the_run_does_not_have_is_no_arm() -> None:
    assert tally.arm([verdict("a", "adv2")], "pgd") is None


def test_success_on_every_map_needs_all_of_them_on_the_same_image() -> None:
    cam = [verdict("a", "pgd"), verdict("b", "pgd"), verdict("c", "pgd", kept=False), verdict("d", "pgd")]
    grad = [verdict("a", "pgd"), verdict("b", "pgd", kept=False), verdict("c", "pgd"), verdict("e", "pgd")]
    unknown = [verdict("a", "pgd"), verdict("b", "pgd", kept=None)]
    assert tally.joint_on_every_map([cam, grad]) == {"a": True, "b": False, "c": False}
    assert tally.joint_on_every_map([cam, grad, unknown]) == {"a": True}
    assert tally.joint_on_every_map([]) == {}


def test_classes_are_counted_by_label_prediction_and_attack() -> None:
    counts = {row.name: row for row in tally.class_counts(header(), excluded())}
    assert (counts["mel"].labelled, counts["mel"].predicted, counts["mel"].malignant) == (1, 0, True)
    assert (counts["nv"].labelled, counts["nv"].predicted, counts["nv"].attacked) == (0, 1, 0)


def test_classes_without_labels_have_no_count_of_labels() -> None:
    assert {row.labelled for row in tally.class_counts(header(labels_given=False), excluded(labels=False))} == {None}


def test_accuracy_and_balanced_accuracy_are_counted_by_hand() -> None:
    base = excluded()[0]
    images = [
        base.model_copy(update={"label": label, "prediction": probabilities(CLASSES.index(said), 0.9)})
        for label, said in [("nv", "nv")] * 8 + [("mel", "mel")] + [("mel", "nv")] * 3
    ]
    scored = tally.accuracy(header(), images)
    assert scored is not None
    assert scored[0].value == pytest.approx(9 / 12)
    assert scored[1] == pytest.approx((1.0 + 0.25) / 2)
    assert tally.accuracy(header(labels_given=False), images) is None


def test_only_attacks_across_the_line_are_driven() -> None:
    records = [
        verdict("a", "adv2", source=0, target=1),
        verdict("b", "adv2", source=0, target=2),
        verdict("c", "adv2", source=1, target=0),
        verdict("d", "pgd", source=0, target=1),
    ]
    assert [row.image_id for row in tally.driven(header(), records, from_malignant=True)] == ["a"]
    assert [row.image_id for row in tally.driven(header(), records, from_malignant=False)] == ["c"]


def test_exclusions_are_grouped_by_reason() -> None:
    rows = tally.exclusions([*excluded(), *excluded()])
    assert [(row.status, row.count) for row in rows] == [("duplicate", 2), ("misclassified", 2), ("unreadable", 2)]
