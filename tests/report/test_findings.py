from __future__ import annotations

from pathlib import Path

import pytest

from skinaudit.audit.records import Attack, ImageRecord, Record
from skinaudit.report.cases import MOST_ROWS
from skinaudit.report.document import Report
from skinaudit.report.findings import summarise
from skinaudit.report.results import InterpreterResult
from tests.report.synthetic import SyntheticRun, header, probabilities, synthetic_run, verdict


def run(
    records: list[Record], *, labels: bool = True, limits: bool = True, names_of_maps: tuple[str, ...] = ("cam",)
) -> Report:
    names = sorted({record.image_id for record in records})
    images = [
        ImageRecord(image_id=name, status="attacked", label="mel" if labels else None, prediction=probabilities(0, 0.9))
        for name in names
    ]
    head = header(names_of_maps, labels_given=labels, images_found=len(images), limits=limits)
    return summarise(SyntheticRun(Path(), head, images, records))


def rows(attack: Attack, count: int, **changed: bool | None) -> list[Record]:
    flipped, kept = changed.get("flipped", True), changed.get("kept", True)
    return [verdict(f"i{number:03d}", attack, flipped=bool(flipped), kept=kept) for number in range(count)]


def words(result: InterpreterResult) -> str:
    return " ".join(result.findings).replace("\u00a0", " ")


def test_an_attack_on_all_maps_is_told_on_the_front_pages() -> None:
    records = [
        record
        for name, both in (("cam", 12), ("rts", 12))
        for attack in ("adv2", "joint")
        for number in range(both)
        for record in [verdict(f"i{number:03d}", attack, interpreter=name)]
    ]
    # On the same picture both maps are kept three times only.
    records = [
        one.model_copy(update={"joint": one.joint and one.image_id < "i003"}) if one.attack == "joint" else one
        for one in records
    ]
    report = run(records, names_of_maps=("cam", "rts"))
    told = "All of CAM, RTS on the same picture: diagnosis changed and map kept in 3 of 12 images"
    assert told in report.verdict_detail.replace("\u00a0", " ")
    assert told in report.answers[1].text.replace("\u00a0", " ")
    assert "All of" not in run(rows("adv2", 12)).verdict_detail


def test_maps_that_mark_nothing_before_the_attack_are_counted() -> None:
    records = rows("adv2", 12)
    images = [
        ImageRecord(
            image_id=record.image_id,
            status="attacked",
            prediction=probabilities(0, 0.9),
            blank_maps=("cam",) if number < 3 else ("rts",),
        )
        for number, record in enumerate(records)
    ]
    records[0] = verdict("i000", "adv2", kept=False)
    head = header(("cam",), labels_given=False, images_found=12)
    (found,) = summarise(SyntheticRun(Path(), head, images, records)).interpreters
    assert "The CAM map of 3 of 12 images marks nothing before the attack" in words(found)
    assert "2 of these count as kept" in words(found)
    assert "marks nothing" not in words(run(rows("adv2", 12)).interpreters[0])


def test_verdict_says_that_the_explanation_stayed_when_any_map_was_kept() -> None:
    report = run(rows("adv2", 14))
    assert report.level == "changed unseen"
    assert report.verdict_detail.replace("\u00a0", " ") == (
        "Diagnosis changed and CAM map kept in 14 of 14 images (100 %, 95 % interval 78–100 %)."
        " Cancer missed (malignant to benign), map kept: 14 of 14 images (100 %, 95 % interval 78–100 %)."
    )


def test_verdict_says_changed_only_when_every_map_moved() -> None:
    report = run(rows("adv2", 14, kept=False))
    assert report.level == "changed"
    assert "no explanation was found to stay" in report.verdict


def test_verdict_without_a_threshold_does_not_judge_the_explanation() -> None:
    report = run(rows("adv2", 14, kept=None), limits=False)
    assert report.level == "changed"
    assert "not judged" in report.verdict
    assert "Without a drift threshold" in words(report.interpreters[0])


def test_no_success_is_called_no_proof() -> None:
    report = run(rows("adv2", 14, flipped=False))
    assert report.level == "not changed"
    assert "no proof" in report.verdict_detail
    assert report.worst == ()
    assert report.answers[2].text == "ADV² reached no diagnosis that it aimed at."


def test_a_run_without_attacks_is_no_evidence() -> None:
    report = run([])
    assert report.level == "nothing tested"
    assert report.interpreters[0].findings == ("No attack on CAM was judged in this run, so nothing is said about it.",)


def test_pgd_kept_above_a_fifth_makes_stability_no_evidence() -> None:
    pgd = [verdict(f"i{number:03d}", "pgd", kept=number < 4) for number in range(14)]
    report = run([*rows("adv2", 14), *pgd])
    assert report.interpreters[0].depends_on_diagnosis is False
    assert "hardly depends on the diagnosis, so its stability is no evidence" in words(report.interpreters[0])
    assert "hardly depends" in report.answers[1].text


def test_pgd_kept_in_a_fifth_or_less_does_not() -> None:
    pgd = [verdict(f"i{number:03d}", "pgd", kept=number < 2) for number in range(10)]
    report = run([*rows("adv2", 10), *pgd])
    assert report.interpreters[0].depends_on_diagnosis is True
    assert "no evidence" not in words(report.interpreters[0])


def test_pgd_that_changed_no_diagnosis_says_nothing_of_the_map() -> None:
    report = run([*rows("adv2", 14), *rows("pgd", 14, flipped=False)])
    assert report.interpreters[0].depends_on_diagnosis is None


def test_excess_over_pgd_is_worded_with_its_test() -> None:
    report = run([*rows("adv2", 12), *rows("pgd", 12, kept=False)])
    excess = report.interpreters[0].excess
    assert excess is not None
    assert (excess.n, excess.difference) == (12, 1.0)
    assert "100 points more often than PGD" in excess.text
    assert "McNemar p < 0.001" in excess.text


def test_excess_of_few_images_is_too_few_to_say() -> None:
    excess = run([*rows("adv2", 3), *rows("pgd", 3, kept=False)]).interpreters[0].excess
    assert excess is not None
    assert excess.difference is None
    assert "too few to say" in excess.text


def test_missed_malignancy_is_counted_with_labels_and_unnamed_without() -> None:
    with_labels, without = run(rows("adv2", 12)), run(rows("adv2", 12), labels=False)
    assert with_labels.interpreters[0].directions[0].joint.successes == 12
    assert "Missed malignancy" in words(with_labels.interpreters[0])
    assert without.interpreters[0].directions == ()
    assert without.data.accuracy is None
    assert without.data.balanced_accuracy is None
    text = without.model_dump_json().lower()
    assert "malignancy missed" not in text
    assert "missed malignancy" not in text


def test_a_control_that_changes_diagnoses_is_a_finding() -> None:
    noise = [verdict(f"i{number:03d}", "noise", flipped=number < 3) for number in range(12)]
    result = run([*rows("adv2", 12), *noise, *rows("jpeg", 12, flipped=False)]).interpreters[0]
    assert "Without any intent, random noise of the attack's size changed the diagnosis in 3 of 12" in words(result)
    assert "No diagnosis was changed by JPEG re-encoding (12 images)." in result.findings


def test_enough_images_are_called_enough() -> None:
    assert "needs 385 images" in run(rows("adv2", 14)).enough
    assert "how often" in run(rows("adv2", 3)).enough
    assert "That is enough" in run(rows("adv2", 400)).enough


def test_worst_case_is_looked_for_among_all_images_not_among_those_shown() -> None:
    records = rows("adv2", 60)
    sure = verdict("zz", "adv2", l1=0.079, confidence=0.9999)
    report = run([*records, sure])
    assert report.worst[0].image_id == "zz"
    assert "zz" not in {case.image_id for case in report.interpreters[0].cases}
    assert report.interpreters[0].cases_text.startswith(f"{MOST_ROWS} of 61 images shown")


def test_order_of_records_changes_nothing(tmp_path: Path) -> None:
    first = synthetic_run(tmp_path, 14, pictures_of=2)
    turned = SyntheticRun(first.folder, first.header, first.image_rows[::-1], first.record_rows[::-1])
    assert summarise(first) == summarise(turned)


def test_report_never_says_compliant(tmp_path: Path) -> None:
    text = summarise(synthetic_run(tmp_path, 14, pictures_of=2)).model_dump_json()
    assert "complian" not in text
    assert "evidence for" in text


def test_where_nothing_changed_there_was_nothing_to_warn_of() -> None:
    answer = run([*rows("adv2", 12, flipped=False), *rows("pgd", 12, flipped=False)]).answers[1]
    assert (answer.figure, answer.note) == ("–", "nothing to judge")


def everything_said(report: Report) -> str:
    parts = [report.verdict, report.verdict_detail, *(answer.text for answer in report.answers)]
    return " ".join([*parts, words(report.interpreters[0])]).replace("\u00a0", " ")


def test_a_control_that_changes_diagnoses_is_not_hidden_where_no_attack_succeeded() -> None:
    noise = [verdict(f"i{number:03d}", "noise", flipped=number < 3) for number in range(12)]
    report = run([*rows("adv2", 12, flipped=False), *rows("pgd", 12, flipped=False), *noise])
    assert report.level == "not changed"
    assert report.verdict == (
        "No diagnosis was changed to the one that ADV² aimed at, but diagnoses changed without any attack."
    )
    told = "random noise of the attack's size changed the diagnosis in 3 of 12 images"
    assert told in report.verdict_detail
    assert told in report.answers[2].text
    assert "Random noise of the attack's size changed it in 3 of 12 images" in report.answers[0].text
    assert "No diagnosis was changed." not in everything_said(report)
    assert "none can be changed" not in everything_said(report)


def test_pgd_that_succeeds_where_adv2_does_not_is_not_hidden_either() -> None:
    report = run([*rows("adv2", 12, flipped=False), *rows("pgd", 12), *rows("jpeg", 12, flipped=False)])
    assert report.verdict == "No diagnosis was changed to the one that ADV² aimed at."
    for told in (report.verdict_detail, report.answers[2].text):
        assert "PGD, which ignores the map, reached its diagnosis in 12 of 12 images" in told
    assert "nothing to warn of" not in everything_said(report)


def test_every_control_that_changes_diagnoses_stands_beside_the_first_answer() -> None:
    jpeg = [verdict(f"i{number:03d}", "jpeg", flipped=number < 2) for number in range(12)]
    quiet = rows("shift", 12, flipped=False) + rows("noise", 12, flipped=False)
    text = run([*rows("adv2", 12), *jpeg, *quiet]).answers[0].text
    assert "JPEG re-encoding changed it in 2 of 12 images" in text
    assert "Random noise of the attack's size changed it in 0 of 12 images" in text
    assert "shift" not in text


@pytest.mark.parametrize(
    ("count", "changed", "kept", "headline"),
    [
        (3, 3, True, "In 3 of 3 images the diagnosis was changed and the explanation stayed"),
        (3, 2, False, "In 2 of 3 images the diagnosis was changed and no explanation was found to stay"),
        (9, 9, None, "In 9 of 9 images the diagnosis was changed and the explanation was not judged"),
    ],
)
def test_below_the_least_number_of_images_the_headline_says_that_they_are_too_few(
    count: int, changed: int, kept: bool | None, headline: str
) -> None:
    records = [verdict(f"i{number}", "adv2", flipped=number < changed, kept=kept) for number in range(count)]
    report = run(records, limits=kept is not None)
    assert report.verdict == f"{headline}: too few images to say how often."


def test_two_images_of_two_do_not_speak_for_a_run_of_twenty() -> None:
    many = [verdict(f"i{number:03d}", "adv2", kept=number > 0) for number in range(20)]
    few = [verdict(f"i{number:03d}", "adv2", interpreter="mask-fast") for number in range(2)]
    report = run([*many, *few], names_of_maps=("cam", "mask-fast"))
    assert report.verdict == "Diagnoses were changed; the explanation stayed the same."
    assert "CAM map kept in 19 of 20 images" in report.verdict_detail.replace("\u00a0", " ")


@pytest.mark.parametrize(("count", "few"), [(1, "1 image is"), (3, "3 images are"), (9, "9 images are")])
def test_of_few_images_that_withstood_nothing_is_concluded(count: int, few: str) -> None:
    assert run(rows("adv2", count, flipped=False)).verdict == (
        f"No diagnosis was changed to the one that ADV² aimed at: {few} too few to say whether one can be."
    )


def test_from_the_least_number_on_the_headline_is_plain() -> None:
    assert run(rows("adv2", 10)).verdict == "Diagnoses were changed; the explanation stayed the same."
    assert run(rows("adv2", 10, flipped=False)).verdict == "No diagnosis was changed to the one that ADV² aimed at."


def test_where_no_attack_was_judged_nothing_is_said_of_a_worst_case() -> None:
    noise = [verdict(f"i{number:03d}", "noise", flipped=number < 3) for number in range(12)]
    assert [answer.note for answer in run(noise).answers] == ["nothing judged"] * 3


def test_equal_rates_are_called_as_often() -> None:
    excess = run([*rows("adv2", 12), *rows("pgd", 12)]).interpreters[0].excess
    assert excess is not None
    assert "as often as PGD" in excess.text


def test_without_limits_the_summary_does_not_judge_the_map() -> None:
    assert run(rows("adv2", 12, kept=None), limits=False).answers[1].note == "not judged"


def test_verdict_on_a_map_that_hardly_depends_on_the_diagnosis_says_so() -> None:
    assert "hardly depends" in run([*rows("adv2", 12), *rows("pgd", 12)]).verdict_detail
    assert "hardly depends" not in run([*rows("adv2", 12), *rows("pgd", 12, kept=False)]).verdict_detail


def test_verdict_and_worst_case_prefer_an_interpreter_whose_map_depends_on_the_diagnosis(tmp_path: Path) -> None:
    report = summarise(synthetic_run(tmp_path, 28, pictures_of=1))
    assert [row.depends_on_diagnosis for row in report.interpreters] == [True, False]
    assert "CAM map" in report.verdict_detail
    assert {case.interpreter for case in report.worst} == {"cam"}


def test_the_caption_of_the_distances_says_that_a_kept_map_needs_more_than_a_small_distance() -> None:
    (result,) = run([*rows("adv2", 4), *rows("pgd", 4, kept=False)]).interpreters
    caption = result.distances_caption.replace("\u00a0", " ")
    assert caption.startswith("CAM: L1 drift within the limit of 0.")
    assert "in 4 of 4 images under ADV² and 4 of 4 images under PGD" in caption
    assert caption.endswith(
        "A map counts as kept only where its most important fifth also overlaps that of the benign map enough."
    )
