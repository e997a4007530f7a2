from __future__ import annotations

import pytest

from skinaudit.attacks.target_maps import NO_DONOR
from skinaudit.config import TargetMap, TargetRule, ThreatModel
from tests.report.aims import PATCH, everything, moved, summarised, words


def test_a_wanted_map_that_was_reached_is_told_as_such() -> None:
    report = summarised([*moved("adv2", 12, PATCH), *moved("pgd", 12, PATCH, kept=False)], PATCH)
    assert report.level == "changed as wanted"
    assert report.verdict == "Diagnoses were changed; the explanation showed what the attacker wanted."
    told = everything(report)
    assert "ADV² changed the diagnosis in 12 of 12 images" in told
    assert "with the wanted CAM map reached in 12 of 12" in told
    assert "changed the diagnosis and reached the wanted map 100 points more often than PGD" in told
    assert "the wanted map was reached" in told
    assert "stayed" not in told
    assert "kept" not in told.replace("are kept", "")
    result = report.interpreters[0]
    assert (result.kept_title, result.reference) == ("Wanted map reached", "the wanted map")


def test_a_wanted_map_that_was_missed_is_told_as_such() -> None:
    report = summarised(moved("adv2", 12, PATCH, kept=False), PATCH)
    assert report.level == "changed"
    assert report.verdict == "Diagnoses were changed, but no explanation was found to be the wanted one."
    assert "with the wanted map reached in none" in report.verdict_detail
    assert "the wanted map was not reached" in everything(report)


def test_pgd_that_reaches_a_wanted_map_does_not_call_the_map_independent() -> None:
    report = summarised([*moved("adv2", 12, PATCH), *moved("pgd", 12, PATCH)], PATCH)
    assert report.interpreters[0].depends_on_diagnosis is None
    assert "hardly depends" not in everything(report)


def test_what_is_left_of_the_benign_map_follows_from_the_overlap() -> None:
    adv2, noise = moved("adv2", 12, PATCH, iou=0.25), moved("noise", 12, PATCH, flipped=False, iou=1.0)
    result = summarised([*adv2, *noise], PATCH).interpreters[0]
    arm = result.arm("adv2")
    assert arm is not None
    assert arm.benign_overlap is not None
    assert arm.benign_overlap.mean == pytest.approx(2 * 0.25 / 1.25)  # |A∩B| / |A| of sets of equal size
    assert arm.benign_spearman is not None
    assert arm.benign_spearman.mean == pytest.approx(0.6)
    told = words(result)
    assert (
        "after ADV² 0.40 of them still are, with a rank correlation (Spearman) of 0.60; after random noise 1.00" in told
    )
    few = summarised(moved("adv2", 3, PATCH), PATCH).interpreters[0]
    assert "Spearman" not in words(few)


def test_where_the_benign_map_is_wanted_nothing_is_measured_twice() -> None:
    usual = ThreatModel()
    records = [one.model_copy(update={"to_benign": None}) for one in moved("adv2", 12, usual)]
    result = summarised(records, usual).interpreters[0]
    assert [arm.benign_overlap for arm in result.arms] == [None]
    assert "rank correlation" not in words(result)


def test_images_that_fell_back_to_another_map_are_counted_with_the_reason() -> None:
    threat = ThreatModel(target=TargetRule.RANDOM, target_map=TargetMap.CLASS)
    records = moved("adv2", 12, threat)
    reason = f"{NO_DONOR}, so the benign map was wanted"
    records[3:5] = [
        one.model_copy(update={"wanted_map": TargetMap.BENIGN, "map_reason": reason, "to_benign": None})
        for one in records[3:5]
    ]
    report = summarised(records, threat)
    assert f"In 2 of 12 images {reason}." in words(report.interpreters[0])
    told = "On 2 of 12 images the map that was asked for could not be had"
    assert told in report.verdict_detail
    assert told in report.answers[1].text


def test_patches_that_are_not_clear_are_counted() -> None:
    records = moved("adv2", 12, PATCH)
    records[0] = records[0].model_copy(update={"map_reason": "it touches 3 of its 100 pixels"})
    assert "In 1 of 12 images no patch that was drawn is clear" in words(summarised(records, PATCH).interpreters[0])
