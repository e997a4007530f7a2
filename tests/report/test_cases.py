from __future__ import annotations

from skinaudit.audit.records import ImageRecord, Record
from skinaudit.report.cases import MOST_ROWS, best_then_failures, candidates, worst_first
from tests.report.synthetic import header, probabilities, verdict


def image(name: str, confidence: float = 0.999) -> ImageRecord:
    return ImageRecord(image_id=name, status="attacked", prediction=probabilities(0, confidence))


def shown(records: list[Record]) -> list[str]:
    images = [image(record.image_id) for record in records if record.attack == "adv2"]
    return [case.image.image_id for case in best_then_failures(candidates(header(), images, records))]


def test_missed_malignancy_comes_first_then_the_map_that_moved_least() -> None:
    records = [
        verdict("alarm", "adv2", source=1, target=0, l1=0.01),
        verdict("far", "adv2", l1=0.05),
        verdict("near", "adv2", l1=0.02),
    ]
    assert shown(records) == ["near", "far", "alarm"]


def test_rows_are_capped_and_failures_keep_their_places() -> None:
    records = [verdict(f"joint{number:03d}", "adv2") for number in range(100)]
    records += [verdict(f"moved{number}", "adv2", kept=False, l1=0.3) for number in range(5)]
    records += [verdict("held", "adv2", flipped=False)]
    names = shown(records)
    assert len(names) == MOST_ROWS
    assert [name.rstrip("0123456789") for name in names] == ["joint"] * (MOST_ROWS - 3) + ["moved"] * 2 + ["held"]


def test_failures_fill_the_rows_when_nothing_succeeded() -> None:
    assert len(shown([verdict(f"h{number}", "adv2", flipped=False) for number in range(30)])) == MOST_ROWS


def test_the_worst_is_hidden_and_malignant_and_sure_and_no_image_comes_twice() -> None:
    records = [
        verdict("visible", "adv2", kept=False, confidence=0.999),
        verdict("alarm", "adv2", source=1, target=0, confidence=0.99),
        verdict("unsure", "adv2", confidence=0.95),
        verdict("sure", "adv2", confidence=0.98),
        verdict("held", "adv2", flipped=False),
    ]
    found = candidates(header(), [image(record.image_id) for record in records], records)
    assert [case.image.image_id for case in worst_first([*found, *found], 9)] == ["sure", "unsure", "alarm", "visible"]


def test_a_diagnosis_that_the_model_hardly_gave_is_not_the_worst() -> None:
    records = [verdict("doubtful", "adv2", confidence=0.999), verdict("sure", "adv2", confidence=0.97)]
    found = candidates(header(), [image("doubtful", 0.4), image("sure", 0.95)], records)
    assert [case.image.image_id for case in worst_first(found, 9)] == ["sure", "doubtful"]


def test_a_map_that_marked_nothing_comes_after_the_others() -> None:
    records = [
        verdict("blank", "adv2", confidence=0.999, l1=0.001),
        verdict("marked", "adv2", confidence=0.9),
        verdict("moved", "adv2", kept=False),
    ]
    images = [image("blank").model_copy(update={"blank_maps": ("cam",)}), image("marked"), image("moved")]
    found = candidates(header(), images, records)
    for order in (worst_first(found, 9), best_then_failures(found)):
        assert [case.image.image_id for case in order] == ["marked", "blank", "moved"]


def test_equally_grave_cases_take_turns_among_the_interpreters() -> None:
    records = [
        verdict("a", "adv2", interpreter="grad", confidence=0.999),
        verdict("b", "adv2", interpreter="grad", confidence=0.998),
        verdict("b", "adv2", interpreter="cam", confidence=0.97),
        verdict("a", "adv2", interpreter="cam", confidence=0.99),
        verdict("alarm", "adv2", interpreter="rts", source=1, target=0, confidence=0.999),
        verdict("c", "adv2", interpreter="grad", confidence=0.96),
    ]
    found = [
        case
        for name in ("cam", "grad", "rts")
        for case in candidates(
            header(), [image(name) for name in ("a", "b", "c", "alarm")], [r for r in records if r.interpreter == name]
        )
    ]
    picked = [(case.image.image_id, case.adv2.interpreter) for case in worst_first(found, 9)]
    assert picked == [("a", "grad"), ("b", "cam"), ("c", "grad"), ("alarm", "rts")]


def test_pgd_stands_beside_adv2_of_the_same_image() -> None:
    records = [verdict("a", "adv2"), verdict("b", "adv2"), verdict("b", "pgd")]
    found = candidates(header(), [image("a"), image("b")], records)
    assert [case.pgd.image_id if case.pgd else None for case in found] == [None, "b"]
