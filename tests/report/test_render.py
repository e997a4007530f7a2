"""Every form of a report on a run that is stored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from skinaudit.audit.failures import NotARun, RunCorrupt, StoreError
from skinaudit.audit.store import RunStore
from skinaudit.report.render import render
from skinaudit.report.twin import read_json
from tests.audit.rows import header, image, record


def finished_run(folder: Path) -> Path:
    with RunStore.create_or_resume(folder, header()) as store:
        store.add_image(image("a"))
        row = record("a")
        store.add_records(row.unit_id, [row])
        store.finish()
    return folder


def test_all_forms_lie_in_the_run_and_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    first = render(run)
    paths = (first.pdf, first.json, first.results, first.events)
    assert [path.name for path in paths] == ["report.pdf", "report.json", "results.csv", "events.jsonl"]
    assert read_json(first.json) == first.report
    before = [path.read_bytes() for path in paths]
    render(run)
    assert [path.read_bytes() for path in paths] == before
    assert not list(run.glob(".*.part"))


def test_an_altered_run_gives_no_report(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    with closing(sqlite3.connect(run / "run.sqlite")) as connection:
        connection.execute("UPDATE records SET body = replace(body, 'true', 'false')")
        connection.commit()
    with pytest.raises(RunCorrupt, match="not those that the audit wrote"):
        render(run)


def test_the_pdf_may_lie_elsewhere(tmp_path: Path) -> None:
    rendered = render(finished_run(tmp_path / "run"), tmp_path / "new" / "file.pdf")
    assert rendered.pdf.read_bytes().startswith(b"%PDF-")
    assert rendered.json == tmp_path / "new" / "file.json"
    assert not (tmp_path / "run" / "report.pdf").exists()


def test_no_run_and_an_open_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARun):
        render(tmp_path)
    with RunStore.create_or_resume(tmp_path / "open", header()) as store:
        store.add_image(image("a"))
    with pytest.raises(StoreError, match="not finished"):
        render(tmp_path / "open")
    assert not (tmp_path / "open" / "report.pdf").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        render(run, tmp_path / "file" / "report.pdf")
