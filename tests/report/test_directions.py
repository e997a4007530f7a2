from __future__ import annotations

from skinaudit.config import TargetRule, ThreatModel
from skinaudit.report import tally
from skinaudit.report.findings.directions import directions_of
from tests.report.aims import PATCH, SAME, moved, summarised, words
from tests.report.synthetic import CLASSES, MALIGNANT, header, probabilities, verdict

BAD = [index for index, name in enumerate(CLASSES) if name in MALIGNANT]
GOOD = [index for index, name in enumerate(CLASSES) if name not in MALIGNANT]


def test_four_directions_are_counted_apart_and_missed_cancer_comes_first() -> None:
    records = [
        verdict("a", "adv2", source=BAD[0], target=GOOD[0]),
        verdict("b", "adv2", source=BAD[0], target=GOOD[0], kept=False),
        verdict("c", "adv2", source=GOOD[0], target=BAD[0], flipped=False),
        verdict("d", "adv2", source=BAD[0], target=BAD[1]),
        verdict("e", "adv2", source=GOOD[0], target=GOOD[1]),
        verdict("f", "pgd", source=BAD[0], target=GOOD[0]),
    ]
    found = directions_of(header(), records)
    assert [one.name for one in found] == [
        "malignant to benign",
        "benign to malignant",
        "within malignant",
        "within benign",
    ]
    assert [one.attempted for one in found] == [2, 1, 1, 1]
    assert [one.flipped.successes for one in found] == [2, 0, 1, 1]
    assert [one.joint.successes for one in found] == [1, 0, 1, 1]


def test_directions_within_a_side_are_left_out_where_nobody_went_there() -> None:
    found = directions_of(header(), [verdict("a", "adv2", source=BAD[0], target=GOOD[0])])
    assert [one.name for one in found] == ["malignant to benign", "benign to malignant"]
    assert "no image was attacked in this direction" in found[1].text


def test_an_untargeted_attack_counts_where_it_arrived_among_all_images_of_a_side() -> None:
    head = header()
    threat = ThreatModel(target=TargetRule.UNTARGETED)
    head = head.model_copy(update={"config": head.config.model_copy(update={"threat": threat})})
    to_benign = verdict("a", "adv2", source=BAD[0], target=BAD[1]).model_copy(
        update={"prediction": probabilities(GOOD[0], 0.9)}
    )
    records = [to_benign, verdict("b", "adv2", source=BAD[0], target=BAD[1])]
    found = {one.name: one for one in directions_of(head, records)}
    assert (found["malignant to benign"].attempted, found["malignant to benign"].flipped.successes) == (2, 1)
    assert (found["within malignant"].attempted, found["within malignant"].flipped.successes) == (2, 1)
    assert tally.arrived(head, to_benign, malignant=False)
    assert not tally.arrived(head, to_benign, malignant=True)


def test_the_verdict_leads_with_missed_cancer() -> None:
    detail = summarised(moved("adv2", 12, PATCH), PATCH).verdict_detail.replace("\u00a0", " ")
    assert "Cancer missed (malignant to benign), wanted map reached: 12 of 12 images" in detail
    assert "Cancer" not in summarised(moved("adv2", 12, PATCH), PATCH, labels=False).verdict_detail


def test_directions_speak_of_the_map_that_was_wanted() -> None:
    told = words(summarised(moved("adv2", 12, PATCH), PATCH).interpreters[0])
    assert "wanted map reached as well in 12 of 12" in told
    assert "map kept" not in told


def test_a_diagnosis_that_is_to_stay_has_no_direction() -> None:
    assert summarised(moved("adv2", 12, SAME, flipped=False), SAME).interpreters[0].directions == ()
