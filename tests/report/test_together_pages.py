"""Which pictures stand in an example of the chapter on all maps, what is printed below and framed."""

from __future__ import annotations

from typing import cast

import pytest

from skinaudit.audit.records import ImageRecord, Record
from skinaudit.config import TargetMap, TargetRule, ThreatModel
from skinaudit.report import together as chapter
from skinaudit.report.findings.together import together
from skinaudit.report.picture_rows import Panel
from skinaudit.report.pictures import Gallery
from skinaudit.report.results import Case
from skinaudit.report.style import register_fonts
from tests.report.synthetic import CLASSES, header, probabilities, verdict

BEFORE, AFTER = 0, 1


class Names:
    """A gallery whose pictures are their own names."""

    factor = 10

    def __init__(self, threat: ThreatModel, records: list[Record]) -> None:
        self.threat = threat
        self._records = {(one.image_id, one.interpreter): one for one in records}

    def verdict(self, case: Case, attack: str) -> Record:
        assert attack == "adv2"
        return self._records[case.image_id, case.interpreter]

    def clean_prediction(self, case: Case) -> object:
        return probabilities(BEFORE, 0.9)

    def photograph(self, case: Case) -> str:
        return "photograph"

    def adversarial(self, case: Case) -> str:
        return "changed photograph"

    def change(self, case: Case) -> str:
        return "change"

    def map_before(self, case: Case) -> str:
        return f"{case.interpreter} before"

    def map_after(self, case: Case, attack: str) -> str:
        return f"{case.interpreter} after"

    def map_wanted(self, case: Case) -> str:
        return f"{case.interpreter} wanted"


def panels(
    threat: ThreatModel, kept: dict[str, bool], monkeypatch: pytest.MonkeyPatch, *, flipped: bool = True
) -> dict[str, Panel]:
    """Of one image under the joint attack: name of the picture -> its panel."""
    wanted = flipped is not threat.keeps_diagnosis
    records = [
        verdict("one", "joint", interpreter=name, flipped=flipped, kept=kept[name], l1=0.02).model_copy(
            update={"joint": wanted and all(kept.values()), "prediction": probabilities(AFTER, 0.8)}
        )
        for name in kept
    ]
    run = header(tuple(kept))
    run = run.model_copy(update={"config": run.config.model_copy(update={"threat": threat})})
    image = ImageRecord(image_id="one", status="attacked", label="mel", prediction=probabilities(BEFORE, 0.9))
    found = together(run, [image], records)
    assert found is not None
    seen: list[Panel] = []
    monkeypatch.setattr(chapter, "PictureRow", lambda row, _: seen.extend(row))
    gallery = cast("Gallery", Names(threat, records))
    register_fonts()
    chapter.together(found, [f"title of {name}" for name in CLASSES], gallery)
    return {str(panel.picture): panel for panel in seen}


def framed(found: dict[str, Panel]) -> set[str]:
    return {name for name, panel in found.items() if panel.marked}


CHANGED = "changed photograph"


@pytest.mark.parametrize("names", [("cam", "grad"), ("cam", "grad", "rts", "grad-cam", "layer-cam")])
def test_kept_maps_and_the_changed_diagnosis_are_framed(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = panels(ThreatModel(), dict.fromkeys(names, True), monkeypatch)
    assert framed(found) == {CHANGED, *(f"{name} after" for name in names)}
    assert len(found) == 2 + 2 * len(names)


def test_a_map_that_moved_has_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert framed(panels(ThreatModel(), {"cam": False, "grad": True}, monkeypatch)) == {CHANGED, "grad after"}


def test_where_the_diagnosis_held_nothing_is_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = panels(ThreatModel(), {"cam": True, "grad": True}, monkeypatch, flipped=False)
    assert framed(found) == set()


def test_where_the_diagnosis_is_to_stay_each_wanted_map_is_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    threat = ThreatModel(target=TargetRule.SAME, target_map=TargetMap.PATCH)
    stayed = panels(threat, {"cam": True, "grad": False}, monkeypatch, flipped=False)
    assert framed(stayed) == {"cam after"}
    assert {"change", "cam wanted", "grad wanted"} < stayed.keys()
    assert framed(panels(threat, {"cam": True, "grad": True}, monkeypatch, flipped=True)) == set()


def test_each_picture_has_its_own_diagnosis_below(monkeypatch: pytest.MonkeyPatch) -> None:
    found = panels(ThreatModel(), {"cam": True, "grad": True}, monkeypatch)
    text = {name: " ".join(words for words, _ in panel.lines) for name, panel in found.items()}
    assert f"title of {CLASSES[BEFORE]}" in text["photograph"]
    assert f"title of {CLASSES[AFTER]}" in text[CHANGED]
    assert f"title of {CLASSES[BEFORE]}" not in text[CHANGED]
    assert "L1 0.020" in text["cam after"]
