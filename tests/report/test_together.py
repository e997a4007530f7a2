"""One change against several maps: counts by hand, which examples are shown, what their pages print."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from skinaudit.audit.records import ImageRecord, Record
from skinaudit.config import TargetMap, ThreatModel
from skinaudit.report.findings.together import all_maps_note, together
from skinaudit.report.pdf import write_pdf
from skinaudit.report.results import Together
from skinaudit.report.wording import percent
from tests.report.synthetic import header, probabilities, synthetic_run, verdict

NAMES = ("cam", "grad")


def at_once(image: str, kept: dict[str, bool], *, flipped: bool = True, l1: float = 0.02) -> list[Record]:
    """Verdicts of the joint attack on one image: success needs every map."""
    return [
        verdict(image, "joint", interpreter=name, flipped=flipped, kept=kept[name], l1=l1).model_copy(
            update={"unit_id": f"{image}-joint", "joint": flipped and all(kept.values())}
        )
        for name in NAMES
    ]


def found(records: list[Record], blank: str = "") -> Together:
    images = [
        ImageRecord(
            image_id=name,
            status="attacked",
            label="mel",
            prediction=probabilities(0, 0.9),
            blank_maps=("grad",) if name == blank else (),
        )
        for name in sorted({record.image_id for record in records})
    ]
    result = together(header(NAMES), images, records)
    assert result is not None
    return result


BOTH, ONE = {"cam": True, "grad": True}, {"cam": True, "grad": False}


def test_success_needs_every_map() -> None:
    records = [row for place in range(20) for row in at_once(f"image-{place:02d}", BOTH if place < 13 else ONE)]
    assert (found(records).joint.successes, found(records).joint.n) == (13, 20)
    assert found(records).findings[0].startswith("One change against CAM and GRAD at once")
    assert "13 of 20 images (65" in found(records).findings[0]


def pgd(image: str, kept: dict[str, bool]) -> list[Record]:
    return [verdict(image, "pgd", interpreter=name, kept=kept[name]) for name in NAMES]


def test_pgd_stands_beside_it_and_needs_every_map_too() -> None:
    names = [f"image-{place:02d}" for place in range(12)]
    records = [row for name in names for row in at_once(name, BOTH)]
    records += [row for place, name in enumerate(names) for row in pgd(name, BOTH if place < 3 else ONE)]
    result = found(records)
    assert result.pgd is not None
    assert result.excess is not None
    assert (result.pgd.successes, result.pgd.n) == (3, 12)
    assert result.excess.difference == pytest.approx(9 / 12)
    assert "; PGD, which looks at no map, in 3 of 12 images" in result.findings[0]
    assert "changed the diagnosis with every map kept 75 points more often than PGD" in result.findings[1]
    note = all_maps_note(result, ThreatModel())
    assert note.startswith("All of CAM, GRAD on the same picture: diagnosis changed and map kept in 12 of 12 images")
    assert "PGD in 3 of 12" in note
    assert found([row for name in names for row in at_once(name, BOTH)]).pgd is None
    assert all_maps_note(None, ThreatModel()) == ""


def test_what_the_two_figures_under_a_map_mean_is_said() -> None:
    (limits,) = [text for text in found(at_once("one", BOTH)).findings if "at most this L1 distance" in text]
    for limit in header(NAMES).thresholds:
        assert f"{limit.interpreter.upper()} L1 {limit.l1:.3f}, overlap {percent(limit.iou20)}" in limits


def test_maps_that_had_nothing_to_keep_are_counted() -> None:
    records = [*at_once("near", BOTH), *at_once("far", BOTH)]
    assert not any("mark nothing" in text for text in found(records).findings)
    assert any(text.startswith("On 1 of 2 images one or more") for text in found(records, blank="near").findings)


def test_maps_that_were_audited_but_not_attacked_with_the_others_are_named() -> None:
    records = at_once("one", BOTH)
    images = [ImageRecord(image_id="one", status="attacked", prediction=probabilities(0, 0.9))]
    result = together(header((*NAMES, "mask")), images, records)
    assert result is not None
    assert "Not among them: MASK, as one map takes hundreds of passes of the network." in result.findings
    assert not any("Not among" in text for text in found(records).findings)


def test_other_maps_than_those_asked_for_are_said_once() -> None:
    run = header(NAMES)
    threat = ThreatModel(target_map=TargetMap.CLASS)
    run = run.model_copy(update={"config": run.config.model_copy(update={"threat": threat})})
    fallen = {"wanted_map": TargetMap.BENIGN, "map_reason": "no other image shows the class"}
    records = [one.model_copy(update=fallen) for one in at_once("one", BOTH)]
    images = [ImageRecord(image_id="one", status="attacked", prediction=probabilities(0, 0.9))]
    alike = together(run, images, records)
    assert alike is not None
    assert alike.findings.count("In 1 of 1 image no other image shows the class.") == 1
    one_map = together(run, images, [records[0], at_once("one", BOTH)[1].model_copy(update={"wanted_map": "class"})])
    assert one_map is not None
    assert "CAM: In 1 of 1 image no other image shows the class." in one_map.findings


def test_maps_that_moved_are_all_named_and_labels_decide_whether_malignancy_was_missed() -> None:
    assert found(at_once("one", {"cam": False, "grad": True})).cases[0].caption.endswith("the map of CAM moved.")
    neither = at_once("one", {"cam": False, "grad": False})
    assert found(neither).cases[0].caption == "Malignancy missed, the maps of CAM and GRAD moved."
    images = [ImageRecord(image_id="one", status="attacked", prediction=probabilities(0, 0.9))]
    without = together(header(NAMES, labels_given=False), images, neither)
    assert without is not None
    assert without.cases[0].caption.startswith("Diagnosis changed, ")


def test_the_farthest_of_the_maps_decides_the_order() -> None:
    one, other = at_once("one", BOTH, l1=0.01), at_once("other", BOTH, l1=0.02)
    far = at_once("one", BOTH, l1=0.05)[1]
    assert [case.maps[0].image_id for case in found([one[0], far, *other]).cases] == ["other", "one"]


def test_an_image_without_a_verdict_on_every_map_is_no_example() -> None:
    result = found([*at_once("one", BOTH), at_once("other", BOTH)[0]])
    assert [case.maps[0].image_id for case in result.cases] == ["one"]
    assert result.joint.n == 1


def test_the_closest_come_first_and_one_that_fell_short_last() -> None:
    records = [
        *at_once("far", BOTH, l1=0.05), *at_once("near", BOTH, l1=0.01), *at_once("next", BOTH, l1=0.02),
        *at_once("moved", ONE), *at_once("held", BOTH, flipped=False),
    ]  # fmt: skip
    cases = found(records).cases
    assert [case.maps[0].image_id for case in cases] == ["near", "next", "moved"]
    assert [[one.interpreter for one in case.maps] for case in cases] == [["cam", "grad"]] * 3
    assert cases[0].caption == "Malignancy missed, every map stayed."
    assert cases[-1].caption == "Malignancy missed, the map of GRAD moved."


def test_one_of_whose_maps_marked_nothing_comes_after_the_others() -> None:
    records = [*at_once("near", BOTH, l1=0.01), *at_once("far", BOTH, l1=0.05)]
    assert [case.maps[0].image_id for case in found(records, blank="near").cases] == ["far", "near"]


def test_failures_fill_the_places_of_missing_successes() -> None:
    records = [*at_once("moved", ONE), *at_once("held", BOTH, flipped=False)]
    assert [case.caption for case in found(records).cases] == [
        "Malignancy missed, the map of GRAD moved.",
        "The attack did not reach its class, every map stayed.",
    ]


def test_a_map_without_limits_is_not_said_to_have_stayed() -> None:
    records = [one.model_copy(update={"kept": None, "joint": None}) for one in at_once("one", BOTH)]
    assert found(records).cases[0].caption == "Malignancy missed, maps not judged."


def test_a_run_without_the_attack_has_no_chapter() -> None:
    assert together(header(NAMES), [], [verdict("one", "adv2")]) is None


@pytest.mark.parametrize("target_map", [TargetMap.BENIGN, TargetMap.CLASS])
def test_the_chapter_shows_the_changed_picture_through_every_map(tmp_path: Path, target_map: TargetMap) -> None:
    run = synthetic_run(tmp_path, 3, with_excluded=False)
    config = run.header.config.model_copy(update={"threat": ThreatModel(target_map=target_map), "joint": True})
    run.header = run.header.model_copy(update={"config": config})
    run.record_rows += [
        one.model_copy(update={"attack": "joint", "unit_id": f"{one.image_id}-joint"})
        for one in run.record_rows
        if one.attack == "adv2"
    ]
    path = tmp_path / "report.pdf"
    write_pdf(run, path)
    texts = [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(BytesIO(path.read_bytes())).pages]
    (chapter,) = [text for text in texts if "All maps at once" in text and "One change against" in text]
    assert all(words in chapter for words in ("CAM before", "CAM after", "GRAD before", "GRAD after", "L1 0.0"))
    assert ("CAM wanted" in chapter) is (target_map is TargetMap.CLASS)
    assert "not stored" not in chapter
