"""Whole audits of a small model in which the attacker wants something else than harm behind an unchanged map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skinaudit.attacks.judge import Clean, Judge
from skinaudit.attacks.target_maps import NO_DONOR, choose_donor
from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.failures import RunDiffers
from skinaudit.audit.origin import command
from skinaudit.audit.reader import RunReader
from skinaudit.audit.records import ImageRecord, Record
from skinaudit.audit.scope import NothingToAudit
from skinaudit.audit.session import Prepared, prepare
from skinaudit.audit.survey import derive
from skinaudit.classifier.config_file import Value
from skinaudit.config import AuditConfig, TargetMap, TargetRule, ThreatModel
from skinaudit.report.document import Report
from skinaudit.report.render import render
from tests.audit.tiny_audit import BUDGET, DIRECT, Deleting, Listener, request, write_labels
from tests.bundles import change_config, make_bundle, tiny_densenet

ONE_SIDED = tiny_densenet(3)
SMALL = BUDGET.model_copy(update={"images": 4, "cam_steps": 12, "grad_steps": 12, "pgd_steps": 5})


def ready(
    folder: Path,
    threat: ThreatModel,
    *,
    seed: int = 0,
    malignant: tuple[str, ...] = ("mel",),
    network: Mapping[str, Value] | None = None,
) -> Prepared:
    """A prepared audit; the network of seed 3 calls some images nv, and ``ONE_SIDED`` calls everything mel."""
    asked = request(folder, budget=SMALL)
    bundle = make_bundle(folder / "bundle", seed=seed, network=network)
    change_config(bundle, "metadata.json", {"skinaudit": {"malignant": list(malignant)}})
    labels = write_labels(bundle, sorted(asked.images.glob("photo_*.png")), wrong=0)
    config = asked.config.model_copy(update={"threat": threat, "interpreters": ("cam",)})
    return prepare(replace(asked, labels=labels, config=config), DIRECT, Listener(), ())


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return ready(tmp_path_factory.mktemp("usual"), ThreatModel())


def wanting(usual: Prepared, target: TargetRule, target_map: TargetMap = TargetMap.BENIGN) -> Prepared:
    """The same audit of an attacker who wants something else; what is chosen and measured before stays."""
    threat = ThreatModel(target=target, target_map=target_map)
    config = usual.header.config.model_copy(update={"threat": threat})
    header = usual.header.model_copy(update={"config": config})
    return replace(usual, header=header, bench=replace(usual.bench, config=config))


def done(prepared: Prepared, run: Path) -> tuple[list[ImageRecord], list[Record], Report]:
    run_audit(prepared, run, DIRECT, Listener())
    with RunReader(run) as reader:
        return reader.images(), reader.records(), render(run).report


def said(report: Report) -> str:
    parts = [report.verdict, report.verdict_detail, *(one.text for one in report.answers)]
    parts += [line for one in report.interpreters for line in (*one.findings, one.rates_caption, one.cases_text)]
    return " ".join(parts).replace("\u00a0", " ")


def test_a_patch_is_wanted_of_every_record_and_measured_beside_the_benign_map(usual: Prepared, tmp_path: Path) -> None:
    prepared = wanting(usual, TargetRule.RANDOM, TargetMap.PATCH)
    images, records, report = done(prepared, tmp_path / "run")
    benign = {one.image_id: one.artifacts for one in images}
    assert {one.wanted_map for one in records} == {TargetMap.PATCH}
    assert {one.attack for one in records} >= {"adv2", "pgd", "noise"}
    with RunReader(tmp_path / "run") as run:
        for one in (one for one in records if one.attack in {"adv2", "pgd"}):
            shown, wanted, before = (
                np.load(run.artifact(path))
                for path in (
                    one.artifacts["map"],
                    one.artifacts["map-wanted"],
                    benign[one.image_id][f"map-{one.interpreter}"],
                )
            )
            assert one.to_target is not None
            assert one.to_benign is not None
            assert one.to_target.l1 == pytest.approx(float(np.abs(shown - wanted).mean()), abs=1e-6)
            assert one.to_benign.l1 == pytest.approx(float(np.abs(shown - before).mean()), abs=1e-6)
            assert one.joint == (one.flipped and one.kept)
    words = said(report)
    assert "wanted CAM map" in words
    assert "map kept" not in words
    assert "stayed" not in report.verdict


def test_the_map_of_another_image_of_the_wanted_class_is_wanted(usual: Prepared, tmp_path: Path) -> None:
    prepared = wanting(usual, TargetRule.SAME, TargetMap.CLASS)
    _, records, _ = done(prepared, tmp_path / "run")
    adv2 = [one for one in records if one.attack == "adv2"]
    predicted = {one: look.predicted for one, look in prepared.looks.items()}
    lent = [one for one in adv2 if one.wanted_map == TargetMap.CLASS]
    assert lent
    for one in lent:
        donor = prepared.specimen(str(one.map_donor))
        assert donor.image_id != one.image_id
        assert predicted[donor.image_id] == one.target_class == one.source_class
        assert donor.label == prepared.bench.classifier.classes[predicted[donor.image_id]]
    by_image = {(one.image_id, one.map_donor) for one in adv2}
    assert len(by_image) == len(prepared.chosen)  # the same donor for every interpreter


def test_without_a_donor_the_benign_map_is_wanted_and_the_record_says_why(tmp_path: Path) -> None:
    wanted = ThreatModel(target=TargetRule.LEAST_LIKELY, target_map=TargetMap.CLASS)
    prepared = ready(tmp_path, wanted, network=ONE_SIDED)
    _, records, report = done(prepared, tmp_path / "run")
    predicted = {prepared.looks[one].predicted for one in prepared.looks}
    orphans = [one for one in records if one.attack == "adv2" and one.target_class not in predicted]
    assert orphans
    for one in orphans:
        assert (one.wanted_map, one.map_donor, one.to_benign) == (TargetMap.BENIGN, None, None)
        assert one.map_reason == f"{NO_DONOR}, so the benign map was wanted"
    assert NO_DONOR in said(report)


def test_where_the_diagnosis_is_to_stay_success_is_a_map_that_moved_and_pgd_is_left_out(
    usual: Prepared, tmp_path: Path
) -> None:
    prepared = wanting(usual, TargetRule.SAME, TargetMap.PATCH)
    _, records, report = done(prepared, tmp_path / "run")
    assert {one.attack for one in records} >= {"adv2", "noise", "jpeg", "shift"}
    assert "pgd" not in {one.attack for one in records}
    for one in records:
        assert one.prediction is not None
        assert one.flipped == (one.prediction.index != one.source_class)
        assert one.joint == (not one.flipped and one.kept)
    assert {one.target_class == one.source_class for one in records if one.attack == "adv2"} == {True}
    result = report.interpreters[0]
    assert result.excess is None
    assert result.directions == ()
    words = said(report)
    assert "diagnosis stayed" in words.lower()
    assert "Diagnoses were changed" not in words


def test_an_untargeted_attack_is_content_with_any_other_class(usual: Prepared, tmp_path: Path) -> None:
    prepared = wanting(usual, TargetRule.UNTARGETED)
    _, records, _ = done(prepared, tmp_path / "run")
    for one in records:
        assert one.prediction is not None
        assert one.flipped == (one.prediction.index != one.source_class)
        if one.attack == "adv2":
            logits = prepared.looks[one.image_id].logits.clone()
            logits[one.source_class] = -np.inf
            assert one.target_class == int(logits.argmax())


def test_a_false_alarm_leaves_malignant_images_alone_with_a_reason(tmp_path: Path) -> None:
    prepared = ready(tmp_path, ThreatModel(target=TargetRule.FALSE_ALARM), seed=3, malignant=("nv",))
    images, records, report = done(prepared, tmp_path / "run")
    left = [one for one in images if "starts from a benign diagnosis" in str(one.reason)]
    assert left
    assert {(one.status, one.label) for one in left} == {("not selected", "nv")}
    classes = prepared.bench.classifier.classes
    assert {classes[one.source_class] for one in records} == {"mel", "bkl"}
    assert {classes[int(str(one.target_class))] for one in records if one.attack == "adv2"} == {"nv"}
    assert "False alarm (benign to malignant): diagnosis changed in" in said(report)


def test_a_false_alarm_needs_images_of_a_benign_diagnosis(tmp_path: Path) -> None:
    with pytest.raises(NothingToAudit, match="leaves all 9 usable images alone: a false alarm starts from a benign"):
        ready(tmp_path / "all", ThreatModel(target=TargetRule.FALSE_ALARM), network=ONE_SIDED)
    with pytest.raises(NothingToAudit, match="the model declares none"):
        ready(tmp_path / "none", ThreatModel(target=TargetRule.FALSE_ALARM), malignant=())


def test_another_wanted_map_is_another_run(usual: Prepared, tmp_path: Path) -> None:
    prepared = wanting(usual, TargetRule.RANDOM, TargetMap.PATCH)
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    with pytest.raises(RunDiffers, match="target map was patch, now benign"):
        run_audit(wanting(usual, TargetRule.RANDOM), tmp_path / "run", DIRECT, Listener())


def test_a_resumed_run_wants_the_same_maps(usual: Prepared, tmp_path: Path) -> None:
    prepared = wanting(usual, TargetRule.SAME, TargetMap.CLASS)
    _, undisturbed, _ = done(prepared, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, tmp_path / "run", DIRECT, Listener(interrupt_after=("adv2-cam", 2)))
    _, resumed, _ = done(prepared, tmp_path / "run")
    assert resumed == undisturbed


def test_a_lender_that_disappears_is_named_as_the_reason(usual: Prepared, tmp_path: Path) -> None:
    prepared = wanting(usual, TargetRule.SAME, TargetMap.CLASS)
    correct = [one.image_id for one in prepared.specimens if one.label is not None]
    lenders = {one: choose_donor(correct, one, derive(prepared.specimen(one).seed, "donor")) for one in prepared.chosen}
    gone = next(prepared.specimen(str(one)) for one in lenders.values() if one not in prepared.chosen)
    content = gone.path.read_bytes()
    try:
        run_audit(prepared, tmp_path / "run", DIRECT, Deleting(path=gone.path, at="controls"))
    finally:
        gone.path.write_bytes(content)
    with RunReader(tmp_path / "run") as run:
        records = [one for one in run.records() if lenders[one.image_id] == gone.image_id]
    assert records
    why = "the image whose map was drawn cannot be read any more, so a random patch was wanted"
    assert {(one.map_donor, one.wanted_map, one.map_reason) for one in records} == {(None, TargetMap.PATCH, why)}


def test_diagnosis_and_map_cannot_both_stay() -> None:
    with pytest.raises(ValueError, match="ask for no change at all"):
        ThreatModel(target=TargetRule.SAME)


@pytest.mark.parametrize("target", [TargetRule.RANDOM, TargetRule.SAME])
def test_the_recorded_command_asks_for_the_same_map(target: TargetRule) -> None:
    config = AuditConfig(threat=ThreatModel(target=target, target_map=TargetMap.PATCH))
    assert f"--target {target} --target-map patch " in command(config, labels=True, id_key=False)
    assert "--target-map" not in command(AuditConfig(), labels=True, id_key=False)


def test_a_donor_is_looked_at_as_the_model_gets_its_photograph(
    tmp_path: Path, usual: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    threat = ThreatModel(target=TargetRule.SAME, target_map=TargetMap.CLASS, full_resolution=True)
    config = usual.header.config.model_copy(update={"threat": threat})
    header = usual.header.model_copy(update={"config": config})
    looked: list[torch.dtype] = []
    clean = Judge.clean

    def noted(self: Judge, pixels: Sequence[torch.Tensor], names: Sequence[str] | None = None) -> list[Clean]:
        looked.extend(one.dtype for one in pixels)
        return clean(self, pixels, names)

    monkeypatch.setattr(Judge, "clean", noted)
    _, records, _ = done(replace(usual, header=header, bench=replace(usual.bench, config=config)), tmp_path / "run")
    assert {one.wanted_map for one in records if one.attack == "adv2"} == {TargetMap.CLASS}
    assert set(looked) == {torch.float32}  # 8-bit pixels would be those after rounding
