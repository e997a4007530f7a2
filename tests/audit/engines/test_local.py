from __future__ import annotations

import io
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.failures import RunCorrupt, RunDiffers
from skinaudit.audit.outlook import outlook
from skinaudit.audit.reader import RunReader
from skinaudit.audit.session import Prepared, prepare
from skinaudit.config import AuditConfig, ThreatModel
from skinaudit.report.render import render
from tests.audit.tiny_audit import DIRECT, Deleting, Listener, request


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(request(tmp_path_factory.mktemp("local")), DIRECT, Listener())


@pytest.fixture(scope="module")
def finished(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    run_audit(prepared, folder, DIRECT, Listener())
    return folder


def test_every_image_has_every_attack_and_control(prepared: Prepared, finished: Path) -> None:
    with RunReader(finished) as run:
        assert run.is_closed
        assert run.verify_chain() == []
        assert len(run.images()) == 12
        rows = {(one.image_id, one.interpreter, one.attack) for one in run.records()}
    expected = {
        (image_id, interpreter, attack)
        for image_id in prepared.chosen
        for interpreter in ("cam", "grad")
        for attack in ("adv2", "transfer", "pgd", "noise", "jpeg", "shift")
    }
    assert rows == expected


def test_saved_pictures_stay_inside_epsilon_and_carry_their_mark(finished: Path) -> None:
    with RunReader(finished) as run:
        clean = {image.image_id: image.artifacts.get("clean") for image in run.images()}
        attacked = [record for record in run.records() if record.attack in {"adv2", "pgd"}]
        assert attacked
        for record in attacked:
            before = np.asarray(Image.open(run.artifact(str(clean[record.image_id]))), dtype=int)
            saved = run.artifact(record.artifacts["image"]).read_bytes()
            picture = Image.open(io.BytesIO(saved))
            assert "adversarial" in picture.text["Comment"]
            difference = np.abs(np.asarray(picture, dtype=int) - before).max()
            assert difference == record.linf_levels <= 8


def test_saved_maps_belong_to_the_recorded_distances(finished: Path) -> None:
    with RunReader(finished) as run:
        images = {image.image_id: image for image in run.images()}
        for record in run.records():
            if record.attack != "adv2" or record.to_target is None:
                continue
            benign = np.load(run.artifact(images[record.image_id].artifacts[f"map-{record.interpreter}"]))
            shown = np.load(run.artifact(record.artifacts["map"]))
            assert float(np.abs(benign - shown).mean()) == pytest.approx(record.to_target.l1, abs=1e-6)


def test_joint_success_is_flipped_and_kept(finished: Path) -> None:
    with RunReader(finished) as run:
        records = run.records()
    assert all(record.joint == (record.flipped and record.kept) for record in records)
    assert {record.flipped for record in records} == {True, False}


def test_files_that_are_not_attacked_say_why(finished: Path) -> None:
    with RunReader(finished) as run:
        others = [image for image in run.images() if image.status != "attacked"]
    assert {image.status for image in others} >= {"unreadable", "duplicate", "misclassified", "unlabelled"}
    assert all(image.reason for image in others)
    assert all(image.file_name is None for image in others)


@pytest.mark.parametrize("stop", [("clean", 3), ("controls", 2), ("pgd", 3), ("adv2-cam", 1), ("adv2-grad", 5)])
def test_an_interrupted_run_resumes_to_the_same_records(
    prepared: Prepared, finished: Path, tmp_path: Path, stop: tuple[str, int]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, tmp_path / "run", DIRECT, Listener(interrupt_after=stop))
    listener = Listener()
    run_audit(prepared, tmp_path / "run", DIRECT, listener)
    with RunReader(tmp_path / "run") as resumed, RunReader(finished) as undisturbed:
        assert resumed.records() == undisturbed.records()
        assert resumed.images() == undisturbed.images()
        assert resumed.verify_chain() == []
        assert "interrupted" in [event.kind for event in resumed.events()]
    assert listener.stages[stop[0]][1] > 0


def test_a_finished_run_is_left_alone(prepared: Prepared, finished: Path) -> None:
    with RunReader(finished) as run:
        head, closed = run.chain_head(), run.closed_at
    listener = Listener()
    assert run_audit(prepared, finished, DIRECT, listener) == head
    assert listener.advanced == {}
    with RunReader(finished) as run:
        assert run.closed_at == closed


def test_a_run_left_in_the_middle_of_a_write_goes_on(prepared: Prepared, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    database = tmp_path / "run" / "run.sqlite"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # so that changed pages reach the file before the transaction ends
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO artifacts VALUES (?, ?)", [(f"{n:05}", "x" * 500) for n in range(500)])
        for end in ("", "-journal"):
            shutil.copy(f"{database}{end}", f"{tmp_path}/killed{end}")
    for end in ("", "-journal"):
        shutil.move(f"{tmp_path}/killed{end}", f"{database}{end}")
    ahead = outlook(prepared, tmp_path / "run")
    assert ahead.units_left == ahead.units
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    assert outlook(prepared, tmp_path / "run").units_left == 0


def test_other_settings_are_refused_by_name(prepared: Prepared, finished: Path) -> None:
    threat = ThreatModel(epsilon=4 / 255)
    config = AuditConfig(**{**dict(prepared.header.config), "threat": threat})
    header = prepared.header.model_copy(update={"config": config})
    other = Prepared(prepared.bench, header, prepared.specimens, prepared.looks, prepared.chosen, 1.0)
    with pytest.raises(RunDiffers, match="epsilon"):
        run_audit(other, finished, DIRECT, Listener())


GONE = "could be read at first, but not later: the file is missing"


@pytest.mark.parametrize(
    ("stage", "spared"), [("clean", set()), ("controls", set()), ("pgd", {"noise", "jpeg", "shift"})]
)
def test_an_image_that_disappears_becomes_rows_with_a_reason(
    prepared: Prepared, finished: Path, tmp_path: Path, stage: str, spared: set[str]
) -> None:
    gone = prepared.specimen(prepared.chosen[0])
    away = gone.path.with_suffix(".away")
    away.write_bytes(gone.path.read_bytes())
    try:
        run_audit(prepared, tmp_path / "run", DIRECT, Deleting(path=gone.path, at=stage))
    finally:
        away.rename(gone.path)
    with RunReader(tmp_path / "run") as run, RunReader(finished) as undisturbed:
        assert run.is_closed
        assert run.verify_chain() == []
        others = [one for one in run.records() if one.image_id != gone.image_id]
        assert others == [one for one in undisturbed.records() if one.image_id != gone.image_id]
        mine = [one for one in run.records() if one.image_id == gone.image_id]
        image = next(one for one in run.images() if one.image_id == gone.image_id)
        kinds = {(one.interpreter, one.attack) for one in undisturbed.records()}
    assert {(one.interpreter, one.attack) for one in mine} == kinds
    for one in mine:
        assert (one.status, one.reason) == (("judged", None) if one.attack in spared else ("failed", GONE))
    assert (image.status, image.reason) == (("unreadable", GONE) if stage == "clean" else ("attacked", None))


def test_what_takes_no_time_is_done_before_a_stage_begins(prepared: Prepared, tmp_path: Path) -> None:
    gone = prepared.specimen(prepared.chosen[0])
    away = gone.path.with_suffix(".away")
    away.write_bytes(gone.path.read_bytes())
    listener = Deleting(path=gone.path, at="clean")
    try:
        run_audit(prepared, tmp_path / "run", DIRECT, listener)
    finally:
        away.rename(gone.path)
    images = len(prepared.chosen)
    alone = len(prepared.specimens) - images
    assert alone > 0
    assert listener.stages["left alone"] == (alone, 0)
    assert listener.stages["clean"] == (images, 0)
    assert (listener.advanced["left alone"], listener.advanced["clean"]) == (alone, images)
    assert listener.stages["pgd"] == (images, 1)  # the one that is gone
    assert listener.advanced["pgd"] == images - 1


def test_the_report_names_what_disappeared(prepared: Prepared, tmp_path: Path) -> None:
    gone = prepared.specimen(prepared.chosen[0])
    away = gone.path.with_suffix(".away")
    away.write_bytes(gone.path.read_bytes())
    try:
        run_audit(prepared, tmp_path / "run", DIRECT, Deleting(path=gone.path, at="pgd"))
    finally:
        away.rename(gone.path)
    data = render(tmp_path / "run").report.data
    assert {row.reason for row in data.failed_units} == {GONE}
    assert {row.status for row in data.failed_units} >= {"ADV² on CAM", "PGD on GRAD"}
    assert "Missing, and listed with its reason: 6 verdicts on a map." in data.findings
    text = "".join(page.extract_text() for page in PdfReader(tmp_path / "run" / "report.pdf").pages)
    assert "Work that failed" in text


def test_damaged_files_are_not_replaced_by_a_failure(prepared: Prepared, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    gone = prepared.specimen(prepared.chosen[0])
    with RunReader(tmp_path / "run") as run:
        record = next(one for one in run.records() if one.image_id == gone.image_id and one.attack == "pgd")
        run.artifact(record.artifacts["image"]).write_bytes(b"damaged")
    away = gone.path.with_suffix(".away")
    away.write_bytes(gone.path.read_bytes())
    try:
        with pytest.raises(RunCorrupt, match="put the image back"):
            run_audit(prepared, tmp_path / "run", DIRECT, Deleting(path=gone.path, at="clean"))
    finally:
        away.rename(gone.path)
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    with RunReader(tmp_path / "run") as run, RunReader(finished) as undisturbed:
        assert run.records() == undisturbed.records()
