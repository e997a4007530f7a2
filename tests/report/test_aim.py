from __future__ import annotations

import pytest

from skinaudit.config import TargetMap, TargetRule, ThreatModel
from skinaudit.report import aim, prose
from skinaudit.report.picture_rows import columns
from tests.report.aims import PATCH, SAME
from tests.report.synthetic import header


@pytest.mark.parametrize("target", TargetRule)
@pytest.mark.parametrize("target_map", TargetMap)
def test_every_choice_has_its_words(target: TargetRule, target_map: TargetMap) -> None:
    if target is TargetRule.SAME and target_map is TargetMap.BENIGN:
        return
    threat = ThreatModel(target=target, target_map=target_map)
    assert f"“{target}”" in aim.diagnosis_wanted(threat)
    assert aim.map_wanted(threat).endswith(".")
    head = header()
    config = head.config.model_copy(update={"threat": threat})
    rows = dict(prose.threat_rows(head.model_copy(update={"config": config})))
    assert rows["Map wanted"] == aim.map_wanted(threat)
    protocol = dict(prose.protocol_rows(head.model_copy(update={"config": config})))
    assert ("Map kept" in protocol) is (target_map is TargetMap.BENIGN)
    assert ("Wanted map reached" in protocol) is (target_map is not TargetMap.BENIGN)
    assert (protocol["Steps of PGD"] == "not run") is (target is TargetRule.SAME)


def test_no_word_of_a_kept_map_where_another_one_is_wanted() -> None:
    for threat in (PATCH, SAME):
        said = " ".join([
            aim.kept_title(threat), aim.joint_title(threat), aim.map_outcome(threat, "CAM"), aim.deed(threat),
            aim.marks(threat), aim.purpose(threat), aim.question(threat), aim.no_proof(threat),
            *(" ".join(row) for row in aim.meanings(threat)),
        ])  # fmt: skip
        assert "kept" not in said.lower()
        assert "stays as it was" not in said
        assert aim.reference(threat) == "the wanted map"


def test_the_default_keeps_its_words() -> None:
    threat = ThreatModel()
    assert (aim.kept_title(threat), aim.joint_title(threat)) == ("Map kept", "Both at once")
    assert aim.reference(threat) == "the benign map"
    assert "stays as it was" in aim.purpose(threat)


def test_pictures_show_the_wanted_map_and_no_pgd_where_there_is_none() -> None:
    assert columns(ThreatModel())[4:] == ("Map after PGD", "Map after ADV²", "Map of the first class after ADV²")
    assert columns(PATCH)[4:] == ("Map wanted", "Map after ADV²", "Map after PGD")
    assert columns(SAME)[4:] == ("Map wanted", "Map after ADV²")
