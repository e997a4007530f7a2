from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from skinaudit.audit.chain import GENESIS
from skinaudit.audit.failures import NotARun, RunCorrupt, StoreError
from skinaudit.audit.reader import RunReader
from skinaudit.audit.store import RunStore
from tests.audit.rows import header, image, record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    with RunStore.create_or_resume(folder, header()) as store:
        store.add_image(image("img1", clean=store.put_artifact("img1", "clean.png", b"pixels")))
        store.add_records("u", [record("u")])
        store.finish()
    return folder


def alter(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def test_a_reader_sees_the_run_and_changes_nothing(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with RunReader(folder) as reader:
        assert reader.header == header()
        assert [row.image_id for row in reader.images()] == ["img1"]
        assert [row.unit_id for row in reader.records()] == ["u"]
        assert reader.finished_units() == {"u"}
        assert reader.is_closed
        assert reader.closed_at == reader.events()[-1].time
        assert reader.chain_head() == reader.events()[-1].hash
        assert reader.verify_chain() == []
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARun, match=r"is not a run directory: it has no run.sqlite"):
        RunReader(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_finished_has_no_closing_time(tmp_path: Path) -> None:
    RunStore.create_or_resume(tmp_path / "run", header()).close()
    with RunReader(tmp_path / "run") as reader, pytest.raises(StoreError, match="the run is not finished"):
        _ = reader.closed_at


def test_artifacts_come_only_from_the_run(folder: Path) -> None:
    with RunReader(folder) as reader:
        assert reader.artifact("artifacts/img1/clean.png").read_bytes() == b"pixels"
        for path in ("../run/artifacts/img1/clean.png", "/etc/passwd", "run.sqlite", "artifacts/img1/../../run.sqlite"):
            with pytest.raises(StoreError, match="no artifact path of this run"):
                reader.artifact(path)
        with pytest.raises(StoreError, match=r"other.png is missing"):
            reader.artifact("artifacts/img1/other.png")


def test_a_header_that_was_changed_is_not_read(folder: Path) -> None:
    alter(folder, "UPDATE header SET body = replace(body, '0.1.0', '0.1.1')")
    with RunReader(folder) as reader:
        with pytest.raises(RunCorrupt, match="its header was changed"):
            _ = reader.header
        assert "the header was changed: its digest does not fit" in reader.verify_chain()


@pytest.mark.parametrize("table", ["images", "records"])
def test_a_row_of_an_unknown_form_is_refused(folder: Path, table: str) -> None:
    alter(folder, f"UPDATE {table} SET body = '{{\"colour\": 1}}'")
    with RunReader(folder) as reader, pytest.raises(RunCorrupt, match=r"a row is not a .*Record that this version"):
        getattr(reader, table)()


@pytest.mark.parametrize("detail", ["{", "[1]", '{ "images": 1 }'])
def test_an_event_of_an_unknown_form_is_refused(folder: Path, detail: str) -> None:
    alter(folder, f"UPDATE events SET detail = '{detail}' WHERE seq = 4")
    with RunReader(folder) as reader:
        with pytest.raises(RunCorrupt, match="an event was changed"):
            reader.chain_head()
        assert ["an event was changed" in problem for problem in reader.verify_chain()] == [True]


def test_an_empty_event_log_is_refused(folder: Path) -> None:
    alter(folder, "DELETE FROM events")
    with RunReader(folder) as reader:
        with pytest.raises(RunCorrupt, match="its event log is empty"):
            reader.chain_head()
        assert "the chain does not begin with 'run created'" in reader.verify_chain()


def test_exported_events_can_be_checked_with_nothing_but_json_and_sha256(folder: Path, tmp_path: Path) -> None:
    with RunReader(folder) as reader:
        reader.export_events(tmp_path / "events.jsonl")
        head = reader.chain_head()
    previous = GENESIS
    for line in (tmp_path / "events.jsonl").read_text("utf-8").splitlines():
        event = json.loads(line)
        stated = event.pop("hash")
        assert event["previous"] == previous
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode("utf-8")).hexdigest()
        assert previous == stated
    assert previous == head


def test_exported_results_name_classes_of_the_header(folder: Path, tmp_path: Path) -> None:
    with RunReader(folder) as reader:
        reader.export_results(tmp_path / "results.csv")
        with pytest.raises(StoreError, match=r"nowhere/results.csv cannot be written"):
            reader.export_results(tmp_path / "nowhere" / "results.csv")
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["source_class"], row["predicted_class"], row["target_l1"]) == ("nv", "mel", "0.01")
