from __future__ import annotations

from skinaudit.report.document import Level
from tests.report.aims import SAME, everything, moved, summarised, words


def test_a_map_that_was_sent_away_is_the_verdict() -> None:
    records = [
        *moved("adv2", 12, SAME, flipped=False, iou=0.1),
        *moved("noise", 12, SAME, flipped=False, kept=False, iou=1.0),
    ]
    report = summarised(records, SAME)
    assert report.level == "map moved"
    assert report.verdict == "The explanation was sent elsewhere while the diagnosis stayed."
    assert report.verdict_detail.replace("\u00a0", " ").startswith(
        "Diagnosis stayed and wanted CAM map reached in 12 of 12 images"
    )
    assert [one.question for one in report.answers] == [
        "Can the explanation be sent elsewhere?",
        "What is left of the explanation?",
        "What is the worst case?",
    ]
    assert report.answers[1].figure.replace("\u00a0", " ") == "18 %"  # 2 · 0.1 / 1.1
    assert "Random noise of the attack's size: 0 of 12 images" in report.answers[0].text.replace("\u00a0", " ")
    assert "Melanoma stayed and the wanted map was reached" in everything(report)
    assert "PGD" not in everything(report)


def test_noise_stands_where_pgd_would() -> None:
    noise = moved("noise", 12, SAME, flipped=False, kept=False)
    result = summarised([*moved("adv2", 12, SAME, flipped=False), *noise], SAME).interpreters[0]
    assert result.excess is None
    assert "Random noise of the attack's size reached the wanted map with the diagnosis unchanged in 0 of 12" in words(
        result
    )
    assert "random noise of the attack's size in 0 of 12" in result.rates_caption.replace("\u00a0", " ")
    assert "L1 distance from the wanted map within the limit" in result.distances_caption
    assert "A map counts as reached only where" in result.distances_caption


def test_a_diagnosis_that_changed_is_a_failure_and_no_worst_case() -> None:
    report = summarised(moved("adv2", 12, SAME, flipped=True), SAME)
    assert report.level == "map held"
    assert report.worst == ()
    assert {case.kind for case in report.interpreters[0].cases} == {"held"}
    assert "which was not wanted" in everything(report)
    assert report.answers[2].text == "ADV² reached no wanted map with the diagnosis unchanged."


def test_levels_and_headlines_follow_what_is_known() -> None:
    few = summarised(moved("adv2", 3, SAME, flipped=False), SAME)
    assert few.verdict.startswith("In 3 of 3 images the explanation was sent elsewhere")
    held = summarised(moved("adv2", 12, SAME, flipped=False, kept=False), SAME)
    assert held.verdict == "No explanation was sent where the attacker wanted it."
    few_held = summarised(moved("adv2", 3, SAME, flipped=False, kept=False), SAME)
    assert "too few to say whether one can be" in few_held.verdict
    nothing: Level = "nothing tested"
    empty = summarised([], SAME)
    assert empty.level == nothing
    assert [one.note for one in empty.answers] == ["nothing judged"] * 3
    unjudged = [one.model_copy(update={"kept": None, "joint": None}) for one in moved("adv2", 12, SAME, flipped=False)]
    assert summarised(unjudged, SAME).verdict == "Whether an explanation can be sent elsewhere was not judged."
