"""Whole audits with every kind of entry: the run's own files are read back and put to the model again."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.entry import Entry, at_8_bits
from skinaudit.audit.reader import RunReader
from skinaudit.audit.records import Record
from skinaudit.audit.session import Prepared, prepare
from skinaudit.config import Norm, ThreatModel
from skinaudit.report.render import render
from tests.audit.tiny_audit import BUDGET, DIRECT, Listener, photograph, request

SIZES = [(48, 64), (57, 41), (96, 40)]
SMALL = BUDGET.model_copy(update={"images": 3, "pgd_steps": 6, "cam_steps": 10, "warm_steps": 3})
THREATS = {
    "flow": ThreatModel(norm=Norm.FLOW, flow_limit=2.0),
    "full": ThreatModel(full_resolution=True),
    "full flow": ThreatModel(norm=Norm.FLOW, flow_limit=2.0, full_resolution=True),
}


def prepared_with(threat: ThreatModel, folder: Path) -> Prepared:
    asked = request(folder, count=4, labels=False, budget=SMALL)
    for number, path in enumerate(sorted(asked.images.glob("photo_*.png"))):
        Image.fromarray(photograph(number, SIZES[number % len(SIZES)])).save(path)
    config = asked.config.model_copy(update={"threat": threat, "interpreters": ("cam",)})
    return prepare(replace(asked, config=config), DIRECT, Listener())


@pytest.fixture(scope="module", params=list(THREATS))
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Path]:
    folder = tmp_path_factory.mktemp("entry")
    prepared = prepared_with(THREATS[request.param], folder)
    run_audit(prepared, folder / "run", DIRECT, Listener())
    return prepared, folder / "run"


def attacked(run: RunReader) -> list[Record]:
    found = [record for record in run.records() if record.attack in {"adv2", "pgd"}]
    assert len(found) == 6
    assert {record.status for record in found} == {"judged"}
    return found


def picture_of(run: RunReader, record: Record, kind: str) -> np.ndarray:
    saved = Image.open(io.BytesIO(run.artifact(record.artifacts[kind]).read_bytes()))
    assert "adversarial" in saved.info["Comment"]
    return np.asarray(saved)


def test_the_saved_file_gives_the_recorded_diagnosis_by_itself(finished: tuple[Prepared, Path]) -> None:
    prepared, folder = finished
    classifier = prepared.bench.classifier
    full = prepared.header.config.threat.full_resolution
    with RunReader(folder) as run:
        for record in attacked(run):
            if full:
                seen = classifier.preprocess.geometry(picture_of(run, record, "photograph"))
            else:
                pixels = torch.from_numpy(picture_of(run, record, "image").copy()).permute(2, 0, 1)
                seen = classifier.preprocess.from_display(pixels).float()
            assert record.prediction is not None
            probabilities = classifier(seen[None] / 255).softmax(1)[0]
            assert probabilities.tolist() == pytest.approx(record.prediction.probabilities, abs=1e-4)


def test_photographs_keep_their_size_and_what_is_shown_is_the_models(finished: tuple[Prepared, Path]) -> None:
    prepared, folder = finished
    full = prepared.header.config.threat.full_resolution
    sizes = {one.image_id: (one.height, one.width) for one in prepared.specimens}
    with RunReader(folder) as run:
        for record in attacked(run):
            assert picture_of(run, record, "image").shape == (32, 32, 3)
            assert ("photograph" in record.artifacts) == full
            if full:
                assert picture_of(run, record, "photograph").shape[:2] == sizes[record.image_id]


def test_the_size_of_a_change_is_measured_on_what_was_saved(finished: tuple[Prepared, Path]) -> None:
    prepared, folder = finished
    threat = prepared.header.config.threat
    files = {one.image_id: folder.parent / "images" / str(one.file_name) for one in prepared.specimens}
    with RunReader(folder) as run:
        clean = {one.image_id: one.artifacts.get("clean") for one in run.images()}
        for record in attacked(run):
            if threat.norm is Norm.FLOW:
                assert record.displacement_max is not None
                assert record.displacement_mean is not None
                assert 0 < record.displacement_mean <= record.displacement_max <= 2.0 + 1e-5
            else:
                assert record.displacement_max is None
                assert record.linf_levels <= 8
            saved = picture_of(run, record, "photograph" if threat.full_resolution else "image").astype(int)
            own = files[record.image_id] if threat.full_resolution else run.artifact(str(clean[record.image_id]))
            assert np.abs(saved - np.asarray(Image.open(own))).max() == record.linf_levels > 0


def test_noise_is_as_strong_as_the_attack_and_enters_where_it_does(finished: tuple[Prepared, Path]) -> None:
    prepared, folder = finished
    with RunReader(folder) as run:
        noise = [record for record in run.records() if record.attack == "noise"]
    assert len(noise) == 3
    if prepared.header.config.threat.norm is Norm.LINF:
        assert {record.linf_levels for record in noise} == {8}
    else:
        assert all(record.linf_levels > 0 for record in noise)


def test_the_report_says_where_the_change_enters_and_how_large_it_was(finished: tuple[Prepared, Path]) -> None:
    prepared, folder = finished
    report = render(folder).report
    threat = prepared.header.config.threat
    text = " ".join(f"{term} {meaning}" for term, meaning in report.threat)
    assert ("enters before resizing" in text) == threat.full_resolution
    assert ("fetched from at most 2 pixels away" in text) == (threat.norm is Norm.FLOW)
    (result,) = report.interpreters
    (adv2,) = [arm for arm in result.arms if arm.attack == "adv2"]
    measured = f"by more than {adv2.largest_change_levels} of 255 grey levels"
    assert any(measured in line for line in result.findings)
    assert any("was moved further than" in line for line in result.findings) == (threat.norm is Norm.FLOW)
    assert any("Changes at full camera resolution" in line for line in report.limitations) != threat.full_resolution


def test_resuming_gives_the_same_pictures(finished: tuple[Prepared, Path], tmp_path: Path) -> None:
    prepared, folder = finished
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, tmp_path / "run", DIRECT, Listener(interrupt_after=("adv2-cam", 1)))
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    with RunReader(folder) as undisturbed, RunReader(tmp_path / "run") as resumed:
        assert undisturbed.records() == resumed.records()


def test_the_clean_look_is_that_of_a_deployed_system(tmp_path: Path) -> None:
    prepared = prepared_with(THREATS["full"], tmp_path)
    classifier = prepared.bench.classifier
    assert len(prepared.looks) == 5
    for one in prepared.specimens:
        if one.image_id in prepared.looks:
            pixels = np.asarray(Image.open(tmp_path / "images" / str(one.file_name)))
            expected = classifier(classifier.preprocess.geometry(pixels)[None] / 255)[0]
            torch.testing.assert_close(prepared.looks[one.image_id].logits, expected, atol=1e-5, rtol=1e-4)


def test_a_picture_in_its_own_size_is_the_photograph_itself(tmp_path: Path) -> None:
    preprocess = prepared_with(THREATS["full"], tmp_path).bench.classifier.preprocess
    pixels = photograph(1, (48, 64))
    full, small = (Entry(preprocess, ThreatModel(full_resolution=full)) for full in (True, False))
    picture = full.picture(pixels)
    assert np.array_equal(preprocess.to_display(picture).permute(1, 2, 0).numpy(), pixels)
    torch.testing.assert_close(full.seen(picture), preprocess.geometry(pixels), rtol=0, atol=0)
    assert torch.equal(at_8_bits(full.seen(picture)), small.picture(pixels))
    assert small.seen(small.picture(pixels)) is not None
    assert torch.equal(at_8_bits(small.seen(small.picture(pixels))), preprocess.shown(pixels))
