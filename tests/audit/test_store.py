from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skinaudit.audit.chain import CLOCK_WENT_BACK
from skinaudit.audit.failures import AlreadyStored, NotARun, RunCorrupt, RunDiffers, RunLocked, StoreError
from skinaudit.audit.reader import RunReader
from skinaudit.audit.records import RunHeader
from skinaudit.audit.store import RunStore
from skinaudit.config import AuditConfig
from tests.audit.rows import distances, header, image, record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "first"


def open_run(folder: Path, new: RunHeader | None = None) -> RunStore:
    return RunStore.create_or_resume(folder, new or header())


def add_unit(store: RunStore, image_id: str, name: str, data: bytes = b"map") -> None:
    unit = f"{image_id}-{name}"
    path = store.put_artifact(image_id, f"{name}.npy", data)
    store.add_records(unit, [record(unit, image_id, artifacts={"map": path})])


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """A disk without space, as far as this process can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# --- creating and resuming


def test_a_new_run_holds_its_header_and_the_event_with_its_digest(folder: Path) -> None:
    with open_run(folder) as store:
        assert store.header == header()
        (event,) = store.events()
        assert store.verify_chain() == []
    text = json.dumps(header().model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert (event.kind, event.digest) == ("run created", hashlib.sha256(text.encode()).hexdigest())
    assert [path.name for path in folder.iterdir()] == ["run.sqlite"]


def test_an_empty_folder_is_a_new_run(folder: Path) -> None:
    folder.mkdir(parents=True)
    open_run(folder).close()
    assert RunReader(folder).header == header()


def test_a_run_goes_on_with_its_stored_header_and_units(folder: Path) -> None:
    with open_run(folder) as store:
        add_unit(store, "img1", "cam")
    with open_run(folder, header(run_id="another", created="2030-01-01T00:00:00Z", command="x")) as store:
        assert store.header == header()
        assert store.finished_units() == {"img1-cam"}
        add_unit(store, "img1", "grad")
        assert store.finished_units() == {"img1-cam", "img1-grad"}
        assert store.verify_chain() == []


def test_differing_settings_are_refused_by_name_and_change_nothing(folder: Path) -> None:
    open_run(folder).close()
    before = (folder / "run.sqlite").read_bytes()
    other = header(config=AuditConfig(batch_size=4, seed=7), images_digest="e" * 64)
    with pytest.raises(RunDiffers) as caught:
        open_run(folder, other)
    message = str(caught.value)
    assert "batch size was 8, now 4; seed was 0, now 7; the images (digest) was cccc" in message
    assert message.endswith("Give what it was started with, or another folder")
    assert "\n" not in message
    assert (folder / "run.sqlite").read_bytes() == before
    open_run(folder).close()  # the refusal left no lock


def test_a_folder_with_something_else_is_not_touched(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.docx").write_text("x")
    with pytest.raises(NotARun, match=r"is not empty and holds no run \(there is 'thesis.docx'\)"):
        open_run(folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.docx"]


def test_a_file_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotARun, match="is a file; give a new or empty folder"):
        open_run(tmp_path / "file")


def test_a_creation_that_was_killed_is_begun_again(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".lock").write_text("1")
    (folder / "run.sqlite.new").write_bytes(b"half a database")
    (folder / "run.sqlite.new-journal").write_bytes(b"half a journal")
    with open_run(folder) as store:
        assert store.verify_chain() == []
    assert [path.name for path in folder.iterdir()] == ["run.sqlite"]


@pytest.mark.parametrize("damage", [b"", bytes(8192), b"SQLite format 3\0"])
def test_a_damaged_database_is_refused_and_left_alone(folder: Path, damage: bytes) -> None:
    open_run(folder).close()
    (folder / "run.sqlite").write_bytes(damage)
    with pytest.raises(RunCorrupt, match="is damaged"):
        open_run(folder)
    assert (folder / "run.sqlite").read_bytes() == damage
    assert not (folder / ".lock").exists()


# --- one writer

WORK = """
import sys, time
from pathlib import Path
from skinaudit.audit.records import RunHeader
from skinaudit.audit.store import RunStore
store = RunStore.create_or_resume(Path(sys.argv[1]), RunHeader.model_validate_json(sys.argv[2]))
store.put_artifact("img1", "torn.npy", b"x")
print("working", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_killed(folder: Path) -> None:
    command = [sys.executable, "-c", WORK, str(folder), header().model_dump_json()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "working\n"
        with pytest.raises(RunLocked, match=f"process {process.pid} is working on this run"):
            open_run(folder)
        with RunReader(folder) as reader:  # reading is allowed meanwhile
            assert reader.records() == []
    finally:
        process.kill()
        process.communicate()
    with open_run(folder) as store:
        assert store.sweep_orphans() == 1
        assert store.verify_chain() == []


def test_nothing_here_imports_torch() -> None:
    code = "import sys, skinaudit.audit.store, skinaudit.audit.reader; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- rows and artifacts


def test_what_is_added_is_read_back_equal(folder: Path) -> None:
    with open_run(folder) as store:
        path = store.put_artifact("img1", "clean.png", b"pixels")
        store.add_image(image("img1", clean=path))
        store.add_records("u", [record("u", draw=0, to_target=distances(1 / 3)), record("u", draw=1)])
        assert path == "artifacts/img1/clean.png"
        assert store.artifact(path).read_bytes() == b"pixels"
        assert store.images() == [image("img1", clean=path)]
        assert store.records() == [record("u", draw=0, to_target=distances(1 / 3)), record("u", draw=1)]
        kinds = [(event.kind, event.unit, dict(event.detail)) for event in store.events()]
    assert kinds == [
        ("run created", None, {}),
        ("image added", "img1", {"status": "attacked"}),
        ("unit finished", "u", {"records": 2}),
    ]


def test_the_order_of_execution_does_not_show(tmp_path: Path) -> None:
    units = [("b", "x"), ("a", "y"), ("a", "x"), ("c", "w")]
    runs = []
    for number, order in enumerate((units, units[::-1])):
        with open_run(tmp_path / str(number)) as store:
            for image_id in dict.fromkeys(image_id for image_id, _ in order):
                store.add_image(image(image_id))
            for image_id, name in order:
                add_unit(store, image_id, name)
            store.export_results(tmp_path / f"{number}.csv")
            runs.append((store.images(), store.records()))
    assert runs[0] == runs[1]
    assert [row.unit_id for row in runs[0][1]] == ["a-x", "a-y", "b-x", "c-w"]
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()


def test_an_image_or_unit_is_stored_once(folder: Path) -> None:
    with open_run(folder) as store:
        store.add_image(image())
        add_unit(store, "img1", "cam")
        head = store.chain_head()
        with pytest.raises(AlreadyStored, match="image img1 is in the run already"):
            store.add_image(image())
        with pytest.raises(AlreadyStored, match="unit img1-cam is in the run already"):
            store.add_records("img1-cam", [record("img1-cam")])
        assert store.chain_head() == head


def test_a_committed_artifact_never_changes(folder: Path) -> None:
    with open_run(folder) as store:
        add_unit(store, "img1", "cam", b"first")
        assert store.put_artifact("img1", "cam.npy", b"first") == "artifacts/img1/cam.npy"
        with pytest.raises(AlreadyStored, match="with other bytes"):
            store.put_artifact("img1", "cam.npy", b"second")
        assert store.artifact("artifacts/img1/cam.npy").read_bytes() == b"first"


def test_two_units_may_name_one_artifact(folder: Path) -> None:
    with open_run(folder) as store:
        add_unit(store, "img1", "cam")
        store.add_records("other", [record("other", artifacts={"map": "artifacts/img1/cam.npy"})])
        assert store.verify_chain() == []


def test_a_record_cannot_name_an_artifact_that_was_not_put(folder: Path) -> None:
    with open_run(folder) as store:
        with pytest.raises(ValueError, match=r"'artifacts/img1/map\.npy' was not put into the run"):
            store.add_records("u", [record("u", artifacts={"map": "artifacts/img1/map.npy"})])
        assert store.finished_units() == set()
        assert store.verify_chain() == []


def test_records_that_are_no_records_of_the_unit_are_refused(folder: Path) -> None:
    with open_run(folder) as store:
        with pytest.raises(ValueError, match="unit u: give at least one record"):
            store.add_records("u", [])
        with pytest.raises(ValueError, match="only records of this unit"):
            store.add_records("u", [record("u"), record("v")])
        with pytest.raises(ValueError, match="unit u holds NaN or infinity"):
            store.add_records("u", [record("u", to_target=distances(float("nan")))])
        assert store.records() == []


# --- interruptions


def test_an_interruption_between_artifact_and_transaction_leaves_a_consistent_run(folder: Path) -> None:
    def interrupted() -> None:
        with open_run(folder) as store:
            add_unit(store, "img1", "cam")
            store.put_artifact("img1", "grad.npy", b"lost")
            # What a kill in the middle of a write leaves.
            (folder / "artifacts/img1/.torn.npy.part").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with open_run(folder) as store:
        assert store.verify_chain() == []
        assert store.sweep_orphans() == 2
        assert [path.name for path in (folder / "artifacts/img1").iterdir()] == ["cam.npy"]
        assert store.finished_units() == {"img1-cam"}
        add_unit(store, "img1", "grad")
        assert store.sweep_orphans() == 0
        assert store.verify_chain() == []


def test_a_swept_artifact_must_be_put_again(folder: Path) -> None:
    with open_run(folder) as store:
        path = store.put_artifact("img1", "map.npy", b"x")
        store.sweep_orphans()
        with pytest.raises(ValueError, match="was not put into the run"):
            store.add_records("u", [record("u", artifacts={"map": path})])


def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_when_there_is_space(folder: Path) -> None:
    advice = "free space and run the same command again$"
    with open_run(folder) as store:
        with no_file_may_grow_beyond(1000):
            with pytest.raises(StoreError, match=f"map.npy cannot be written: .*; {advice}"):
                store.put_artifact("img1", "map.npy", bytes(2000))
            path = store.put_artifact("img1", "small.npy", b"x")
            with pytest.raises(StoreError, match=advice):
                store.add_records("u", [record("u", artifacts={"map": path})])
        assert [path.name for path in (folder / "artifacts/img1").iterdir()] == ["small.npy"]
        assert store.finished_units() == set()
        store.add_records("u", [record("u", artifacts={"map": path})])
        assert store.finished_units() == {"u"}
        assert store.verify_chain() == []


# --- events


def test_events_are_chained_and_keep_their_detail(folder: Path) -> None:
    with open_run(folder) as store:
        store.event("thresholds fixed", {"interpreter": "cam", "l1": 0.05, "images": 120})
        event = store.events()[-1]
        assert event.detail == {"interpreter": "cam", "l1": 0.05, "images": 120}
        assert store.chain_head() == event.hash
        with pytest.raises(ValueError, match="that the store writes itself"):
            store.event("unit finished", {})
        assert store.verify_chain() == []


def test_time_never_goes_backwards(folder: Path) -> None:
    times = iter([datetime(2026, 1, 2, 12, tzinfo=UTC), datetime(2026, 1, 2, 11, tzinfo=UTC)])
    with RunStore.create_or_resume(folder, header(), clock=lambda: next(times)) as store:
        store.event("interrupted", {})
        created, interrupted = store.events()
        assert created.time == interrupted.time == "2026-01-02T12:00:00.000000Z"
        assert interrupted.detail == {CLOCK_WENT_BACK: 3600.0}
        assert store.verify_chain() == []


def test_finishing_sweeps_and_closes_once(folder: Path) -> None:
    with open_run(folder) as store:
        store.add_image(image())
        add_unit(store, "img1", "cam")
        store.put_artifact("img1", "unused.npy", b"x")
        head = store.finish()
        assert head == store.chain_head() == store.finish()
        assert store.is_closed
        assert dict(store.events()[-1].detail) == {"images": 1, "records": 1}
        assert not (folder / "artifacts/img1/unused.npy").exists()
        closed_at = store.closed_at
    with open_run(folder) as store:
        assert (store.finish(), store.closed_at) == (head, closed_at)


def test_a_unit_added_later_opens_the_run_again(folder: Path) -> None:
    with open_run(folder) as store:
        first = store.finish()
        add_unit(store, "img1", "cam")
        assert not store.is_closed
        assert store.finish() != first
        assert store.verify_chain() == []


def test_closing_twice_is_harmless(folder: Path) -> None:
    store = open_run(folder)
    store.close()
    store.close()
    open_run(folder).close()
