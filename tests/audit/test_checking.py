"""The checks before an audit, what they change in it, and that a run which goes on keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from skinaudit.audit.checking import check_before_audit
from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.memory import prepare_within_memory
from skinaudit.audit.reader import RunReader
from skinaudit.audit.records import CheckFinding
from skinaudit.audit.session import AuditRequest, prepare
from skinaudit.classifier.classifier import load_classifier
from skinaudit.classifier.finding import TITLES
from skinaudit.classifier.source import ModelSource
from skinaudit.config import AuditConfig, Preset
from skinaudit.images.decoder import DirectDecoder
from skinaudit.report.findings import summarise
from tests.audit.tiny_audit import BUDGET, Listener, request
from tests.classifier.faulty_models import CLASSES, DEVIATION, MEAN, pictures

SMALL = BUDGET.model_copy(update={"images": 2, "pgd_steps": 3, "cam_steps": 6, "grad_steps": 6, "warm_steps": 2})


def faulty_request(folder: Path, factory: str) -> AuditRequest:
    """An audit of a network of ``faulty_models`` on 12 labelled pictures."""
    images, labels = pictures(12, seed=9)
    (folder / "images").mkdir(parents=True)
    lines = ["image,dx"]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        array = (image * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / "images" / f"photo{number}.png")
        lines.append(f"photo{number},{CLASSES[int(label)]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    source = ModelSource(
        factory=f"tests.classifier.faulty_models:{factory}", classes=CLASSES, mean=MEAN, std=DEVIATION, size=(32, 32),
        trust_code=True,
    )  # fmt: skip
    config = AuditConfig(interpreters=("cam",), preset=Preset.QUICK, budget=SMALL, batch_size=4, threads=1)
    return AuditRequest(source, folder / "images", folder / "labels.csv", config, folder / "key")


def test_every_check_is_stored_in_the_header_and_a_sound_model_keeps_its_batches(tmp_path: Path) -> None:
    listener = Listener()
    header = prepare(request(tmp_path), DirectDecoder(), listener).header
    assert [one.check for one in header.checks] == list(TITLES)
    assert all(one.passed for one in header.checks)
    assert header.config.batch_size == 4
    assert listener.stages["check"] == (10, 0)
    assert listener.advanced["check"] == 10


def test_the_accuracy_is_measured_on_every_labelled_image(tmp_path: Path) -> None:
    header = prepare(request(tmp_path, count=30), DirectDecoder(), Listener()).header
    accuracy = next(one for one in header.checks if one.check == "accuracy")
    assert "27 of 29 labelled images are right" in accuracy.evidence
    assert "expected by what is declared: 0.500" in accuracy.evidence
    assert accuracy.level == "ok"


def test_a_model_that_mixes_images_is_attacked_one_at_a_time_and_stays_so_when_the_run_goes_on(tmp_path: Path) -> None:
    asked = faulty_request(tmp_path / "work", "mixing")
    listener, run = Listener(), tmp_path / "run"
    prepared = prepare_within_memory(asked, run, DirectDecoder(), listener)
    assert prepared.header.config.batch_size == 1
    assert prepared.bench.judge.batch_size == 1
    assert "--batch-size 1" in prepared.header.command
    assert any(line.startswith("Alarm, each image on its own") for line in listener.said)
    interrupted = Listener(interrupt_after=("pgd", 1))
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, run, DirectDecoder(), interrupted)
    second = Listener()
    again = prepare_within_memory(asked, run, DirectDecoder(), second)
    assert "check" not in second.stages
    assert again.header.checks == prepared.header.checks
    run_audit(again, run, DirectDecoder(), second)
    with RunReader(run) as view:
        assert view.header.checks == prepared.header.checks
        assert {record.batch_size for record in view.records()} == {1}
        report = summarise(view)
    assert report.auditable.alarms == 1
    assert "12 of 12 images" in report.auditable.findings[0]


def test_known_checks_hold_even_where_new_ones_would_differ(tmp_path: Path) -> None:
    known = (
        CheckFinding(check="batch-dependence", passed=True, level="ok", evidence="e", meaning="m", consequence="c"),
    )
    header = prepare(faulty_request(tmp_path, "mixing"), DirectDecoder(), Listener(), known).header
    assert header.checks == known
    assert header.config.batch_size == 4


def test_without_a_readable_image_nothing_is_claimed(tmp_path: Path) -> None:
    asked = request(tmp_path)
    prepared = prepare(asked, DirectDecoder(), Listener())
    unread = [replace(one, status="refused") for one in prepared.specimens]
    classifier = load_classifier(asked.model)
    assert check_before_audit(classifier, unread, DirectDecoder(), 0, 4, Listener()) == ()
