from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from skinaudit.audit.origin import command
from skinaudit.audit.resume import differences
from skinaudit.audit.scope import NothingToAudit
from skinaudit.audit.session import Prepared, prepare
from skinaudit.audit.survey import read_again, survey
from skinaudit.calibration.thresholds import DriftThreshold, read_thresholds, write_thresholds
from skinaudit.classifier.source import ModelSource
from skinaudit.config import AuditConfig, Norm, ThreatModel
from skinaudit.images.folder import LabelsError
from skinaudit.images.refusal import ImageRefused
from tests.audit.tiny_audit import DIRECT, Deleting, Listener, photograph, request
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Prepared:
    return prepare(request(folder), DIRECT, Listener())


def test_every_file_is_a_specimen_with_a_status(prepared: Prepared) -> None:
    found = {one.file_name: one.status for one in prepared.specimens}
    assert len(found) == 12
    assert found["broken.png"] == "unreadable"
    assert found["same_again.png"] == "duplicate"
    assert sum(status == "readable" for status in found.values()) == 10


def test_only_correctly_classified_images_are_chosen(prepared: Prepared) -> None:
    classes = prepared.bench.classifier.classes
    assert 0 < len(prepared.chosen) <= 6
    for image_id in prepared.chosen:
        specimen = prepared.specimen(image_id)
        assert specimen.label == classes[prepared.looks[image_id].predicted]


def test_without_labels_the_prediction_is_the_reference(folder: Path) -> None:
    free = prepare(replace(request(folder / "free"), labels=None), DIRECT, Listener())
    assert not free.header.labels_given
    assert len(free.chosen) == 6


def test_an_uncalibrated_model_is_calibrated_first_and_says_so(folder: Path) -> None:
    listener = Listener()
    found = prepare(request(folder / "uncalibrated"), DIRECT, listener)
    assert set(found.header.threshold_origins.values()) == {"calibrated on the attacked images"}
    assert [one.interpreter for one in found.header.thresholds] == ["cam", "grad"]
    assert listener.stages["calibrate"][0] == listener.advanced["calibrate"]
    assert "spare" in listener.said[0]


def test_stored_thresholds_are_used_and_named(folder: Path) -> None:
    asked = request(folder / "stored")
    first = prepare(asked, DIRECT, Listener())
    assert asked.model.place is not None
    file = asked.model.place / "skinaudit" / "calibration.json"
    write_thresholds(file, first.header.thresholds)
    again = prepare(asked, DIRECT, Listener())
    assert again.header.threshold_origins == {"cam": "bundle", "grad": "bundle"}
    assert again.header.thresholds == first.header.thresholds
    digest = first.bench.classifier.digest
    assert read_thresholds(file, digest)["cam"] == first.header.thresholds[0]


def test_preparing_twice_gives_the_same_choice_and_digest(prepared: Prepared, folder: Path) -> None:
    again = prepare(request(folder), DIRECT, Listener())
    assert again.chosen == prepared.chosen
    assert again.header.images_digest == prepared.header.images_digest
    assert again.header.thresholds == prepared.header.thresholds


def test_a_renamed_image_keeps_its_id_and_its_seed(folder: Path) -> None:
    asked = request(folder / "renamed")
    before = {one.image_id: one.seed for one in prepare(asked, DIRECT, Listener()).specimens}
    (asked.images / "photo_03.png").rename(asked.images / "zz.png")
    assert {
        one.image_id: one.seed for one in prepare(replace(asked, labels=None), DIRECT, Listener()).specimens
    } == before


def test_image_ids_do_not_follow_from_the_pixels_alone(folder: Path) -> None:
    asked = request(folder / "keyed")
    ids = {one.image_id for one in prepare(asked, DIRECT, Listener()).specimens}
    other = {one.image_id for one in prepare(replace(asked, id_key=folder / "other-key"), DIRECT, Listener()).specimens}
    assert not ids & other
    assert hashlib.sha256(photograph(0).tobytes()).hexdigest()[:16] not in ids


def test_effect_of_rounding_is_zero_without_resampling_and_measured_with_it(folder: Path) -> None:
    asked = replace(request(folder / "rounding"), labels=None)
    Image.fromarray(photograph(99, (50, 41))).save(asked.images / "larger.png")
    found = prepare(asked, DIRECT, Listener())
    by_name = {one.file_name: found.looks[one.image_id].rounding for one in found.specimens if one.status == "readable"}
    assert by_name["larger.png"] > 0
    assert by_name["photo_00.png"] < 1e-6


def test_nothing_right_means_nothing_to_audit(folder: Path) -> None:
    asked = request(folder / "wrong")
    classes = ("mel", "nv", "bkl")
    lines = asked.labels.read_text().splitlines() if asked.labels else []
    shifted = [f"{line.split(',')[0]},{classes[(classes.index(line.split(',')[1]) + 1) % 3]}" for line in lines[1:-2]]
    labels = folder / "wrong.csv"
    labels.write_text("\n".join(["image,dx", *shifted[:7]]) + "\n")
    with pytest.raises(NothingToAudit, match="gets none of the 10 readable images right"):
        prepare(replace(asked, labels=labels), DIRECT, Listener())


def test_an_interpreter_that_does_not_fit_is_skipped_with_a_reason(folder: Path) -> None:
    asked = request(folder / "vit")
    network = {
        "_target_": "timm.create_model",
        "model_name": "vit_tiny_patch16_224",
        "pretrained": False,
        "num_classes": 3,
        "img_size": 32,
    }
    bundle = make_bundle(folder / "vit-bundle", network=network)
    listener = Listener()
    found = prepare(replace(asked, model=ModelSource(bundle), labels=None), DIRECT, listener)
    assert found.header.config.interpreters == ("grad",)
    assert "attention" in found.header.skipped_interpreters["cam"]
    assert any("cam is skipped" in text for text in listener.said)

    # What needs two kinds of map cannot be had of one: that is said as well, and the command repeats what was done.
    joint = replace(asked, config=asked.config.model_copy(update={"joint": True, "sweep": (4,)}))
    header = prepare(replace(joint, model=ModelSource(bundle), labels=None), DIRECT, listener).header
    assert (header.config.joint, header.config.sweep) == (False, (4,))
    assert list(header.skipped_attacks) == ["The attack on all maps at once"]
    assert "--joint" not in header.command
    assert "--sweep 4" in header.command
    assert any("all maps at once is skipped" in text for text in listener.said)


def test_other_labels_are_other_runs(folder: Path) -> None:
    asked = request(folder / "labels")
    before = prepare(asked, DIRECT, Listener()).header
    assert asked.labels is not None
    rows = asked.labels.read_text().splitlines()
    asked.labels.write_text("\n".join(rows[:-1]) + "\n")
    after = prepare(asked, DIRECT, Listener()).header
    assert any("labels" in text for text in differences(before.model_dump(mode="json"), after.model_dump(mode="json")))


def with_columns(labels: Path, *columns: tuple[str, list[str]]) -> None:
    """Add columns to a label file, their values in turn."""
    head, *rows = labels.read_text().splitlines()
    lines = [",".join([head, *(name for name, _ in columns)])]
    lines += [
        ",".join([row, *(values[place % len(values)] for _, values in columns)]) for place, row in enumerate(rows)
    ]
    labels.write_text("\n".join(lines) + "\n")


def test_columns_of_the_label_file_become_subgroups_and_what_is_left_out_is_said(folder: Path) -> None:
    asked = request(folder / "subgroups")
    assert asked.labels is not None
    plain = prepare(asked, DIRECT, Listener()).header
    assert (plain.subgroups, "--subgroup" in plain.command) == ((), False)
    with_columns(asked.labels, ("sex", ["f", "m"]), ("age", ["41", "45", "58"]), ("patient_id", ["p1", "p2"]))
    listener = Listener()
    found = prepare(asked, DIRECT, listener)
    assert found.header.subgroups == ("sex", "age")
    assert "--labels LABELS --subgroup sex --subgroup age " in found.header.command
    assert any("patient_id: its name is not one of those" in text for text in listener.said)
    values = {one.file_name: one.subgroups for one in found.specimens}
    assert values["photo_02.png"] == {"sex": "f", "age": "50-59"}
    assert found.header.labels_digest != plain.labels_digest
    none = prepare(replace(asked, subgroups=()), DIRECT, Listener()).header
    assert (none.subgroups, none.labels_digest) == ((), plain.labels_digest)
    assert "--subgroup none " in none.command


def test_other_values_of_a_subgroup_are_another_run(folder: Path) -> None:
    asked = replace(request(folder / "values"), subgroups=("sex",))
    assert asked.labels is not None
    with_columns(asked.labels, ("sex", ["f", "m"]))
    before = prepare(asked, DIRECT, Listener()).header.model_dump(mode="json")
    asked.labels.write_text(asked.labels.read_text().replace(",f\n", ",m\n", 1))
    after = prepare(asked, DIRECT, Listener()).header.model_dump(mode="json")
    assert [phrase.partition(" was")[0] for phrase in differences(before, after)] == ["the labels (digest)"]


def test_subgroups_that_cannot_be_had_are_refused(folder: Path) -> None:
    asked = request(folder / "no-subgroups")
    with pytest.raises(LabelsError, match=r"labels\.csv: the label file has no column 'sex'"):
        prepare(replace(asked, subgroups=("sex",)), DIRECT, Listener())
    with pytest.raises(LabelsError, match="there is none; give --labels"):
        prepare(replace(asked, subgroups=("sex",), labels=None), DIRECT, Listener())


def test_the_recorded_command_can_be_pasted_whatever_a_column_is_called() -> None:
    text = command(AuditConfig(), labels=True, id_key=False, subgroups=("age (years)", "x; rm -r y"))
    assert "--subgroup 'age (years)' --subgroup 'x; rm -r y' " in text


def test_the_recorded_command_gives_the_same_epsilon() -> None:
    odd = AuditConfig(threat=ThreatModel(epsilon=0.031))
    assert "--epsilon 0.031 " in command(odd, labels=True, id_key=True)
    assert "--epsilon 8/255 " in command(AuditConfig(), labels=False, id_key=False)


def test_the_recorded_command_gives_the_same_change_at_the_same_place() -> None:
    moved = AuditConfig(threat=ThreatModel(norm=Norm.FLOW, flow_limit=0.75))
    text = command(moved, labels=False, id_key=False)
    assert "--norm flow --flow-limit 0.75 " in text
    assert "--epsilon" not in text
    full = command(AuditConfig(threat=ThreatModel(full_resolution=True)), labels=False, id_key=False)
    assert "--epsilon 8/255 --full-resolution " in full


def test_a_run_below_the_images_is_not_audited(folder: Path) -> None:
    asked = request(folder / "inside")
    before = len(prepare(asked, DIRECT, Listener()).specimens)
    run = asked.images / "run"
    (run / "artifacts").mkdir(parents=True)
    (run / "run.sqlite").write_bytes(b"")
    (run / "artifacts" / "x.png").write_bytes((asked.images / "photo_00.png").read_bytes())
    assert len(prepare(asked, DIRECT, Listener()).specimens) == before


def test_epsilon_is_limited() -> None:
    with pytest.raises(ValueError, match="between 1/255 and 64/255"):
        ThreatModel(epsilon=0.5)
    assert ThreatModel(epsilon=0.031).epsilon_levels == 7
    assert AuditConfig().threat.epsilon_levels == 8


def test_thresholds_of_other_weights_are_refused(tmp_path: Path) -> None:
    threshold = DriftThreshold(
        interpreter="cam", l1=0.1, iou20=0.5, images=1, pairs=1, by_change={}, data_digest="d", model_digest="m"
    )
    write_thresholds(tmp_path / "c.json", [threshold])
    with pytest.raises(ValueError, match="measured on other weights"):
        read_thresholds(tmp_path / "c.json", "another")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(ValueError, match="not a calibration file"):
        read_thresholds(tmp_path / "c.json", "m")
    assert threshold.keeps(0.1, 0.5)
    assert not threshold.keeps(0.11, 0.5)
    assert not threshold.keeps(0.1, 0.49)


def test_a_file_that_is_gone_at_the_second_look_stays_in_the_list_with_its_reason(folder: Path) -> None:
    asked = request(folder / "gone")
    undisturbed = prepare(asked, DIRECT, Listener())
    found = prepare(asked, DIRECT, Deleting(path=asked.images / "photo_01.png", at="look"))
    lost = next(one for one in found.specimens if one.file_name == "photo_01.png")
    assert (lost.status, lost.reason) == ("unreadable", "could be read at first, but not later: the file is missing")
    assert lost.image_id not in found.looks
    assert lost.image_id not in found.chosen
    assert len(found.specimens) == len(undisturbed.specimens)


def test_a_file_that_was_changed_meanwhile_is_not_taken_for_the_first(folder: Path) -> None:
    asked = request(folder / "changed")
    changed = asked.images / "photo_01.png"
    specimens = survey(asked.images, {}, b"k" * 32, 0, DIRECT)
    Image.fromarray(photograph(99)).save(changed)
    found = {one.file_name: pixels for one, pixels in read_again(specimens[1:4], DIRECT, 0)}
    assert [isinstance(pixels, ImageRefused) for pixels in found.values()] == [False, True, False]
    assert "was changed" in str(found["photo_01.png"])


def test_a_file_that_is_gone_at_calibration_is_left_out_aloud(folder: Path) -> None:
    asked = request(folder / "uncalibrated-gone")
    listener = Deleting(path=asked.images / "photo_01.png", at="calibrate")
    found = prepare(asked, DIRECT, listener)
    assert found.header.thresholds[0].images > 0
    assert any("left out of the drift limits" in text for text in listener.said)


def test_another_frame_is_another_run() -> None:
    before = AuditConfig().model_dump(mode="json")
    after = AuditConfig(frame=2, burned_in=True).model_dump(mode="json")
    assert differences({"config": before}, {"config": after}) == [
        "burned-in annotation allowed was no, now yes",
        "frame of multi-frame DICOM files was none, now 2",
    ]
    assert command(AuditConfig(frame=2, burned_in=True), labels=False, id_key=False).endswith(
        "--frame 2 --allow-burned-in"
    )
