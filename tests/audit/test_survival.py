"""Whatever happens to a run: it ends with the records of an undisturbed one, or is refused with a reason."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skinaudit.audit.chain import CLOCK_WENT_BACK
from skinaudit.audit.engines.local import RESTORED, run_audit
from skinaudit.audit.failures import AlreadyStored, RunCorrupt, RunGone, RunLocked, StoreError
from skinaudit.audit.reader import RunReader
from skinaudit.audit.records import ImageRecord, Record
from skinaudit.audit.session import Prepared, prepare
from skinaudit.config import Budget
from tests.audit.doomed import Doomed
from tests.audit.tiny_audit import DIRECT, Listener, request
from tests.bundles import make_bundle, tiny_densenet

SEED = 20
NOBODY = 65534
BUDGET = Budget(images=3, pgd_steps=3, cam_steps=3, grad_steps=3, warm_steps=1, controls=1, early_stop=True)

Content = tuple[list[Record], list[ImageRecord], dict[str, str]]


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that a process without privileges can reach as well."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture(scope="module")
def prepared(public: Path) -> Prepared:
    asked = request(public / "asked", count=4, budget=BUDGET, labels=False)
    make_bundle(public / "asked" / "bundle", network={**tiny_densenet(3), "init_features": 4, "block_config": [1]})
    config = asked.config.model_copy(update={"interpreters": ("cam",), "batch_size": 3})
    return prepare(replace(asked, config=config), DIRECT, Listener())


@pytest.fixture(scope="module")
def doomed(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doomed]:
    with Doomed(tmp_path_factory.mktemp("doomed"), prepared) as helper:
        yield helper


@pytest.fixture(scope="module")
def whole(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run; tests take copies."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_audit(prepared, folder, DIRECT, Listener())
    return folder


@pytest.fixture(scope="module")
def undisturbed(whole: Path) -> Content:
    return content(whole)


def content(folder: Path) -> Content:
    """Every record (none holds a time) and the digest of every file, once the chain has been checked."""
    with RunReader(folder) as run:
        assert run.verify_chain() == []
        assert run.is_closed
        files = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (folder / "artifacts").rglob("*")
            if path.is_file()
        }
        assert not list(folder.glob("*-journal"))
        assert not (folder / ".lock").exists()
        return run.records(), run.images(), files


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- killed


@pytest.fixture(scope="module")
def lines(doomed: Doomed, undisturbed: Content, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many lines an undisturbed run goes through; the forked process computes what this one does."""
    folder = tmp_path_factory.mktemp("lines") / "run"
    end = doomed.audit(folder)
    assert (end.code, end.said) == (0, "")
    assert content(folder) == undisturbed
    return end.lines


@pytest.mark.parametrize("moment", range(12))
def test_a_run_killed_before_any_line_goes_on_to_the_same_records(
    prepared: Prepared, doomed: Doomed, undisturbed: Content, lines: int, tmp_path: Path, moment: int
) -> None:
    share = (moment + random.Random(SEED + moment).random()) / 12
    end = doomed.audit(tmp_path / "run", line=1 + int(share * (lines - 1)))
    assert end.code == -signal.SIGKILL
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    assert content(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("moment", range(4))
def test_a_run_killed_in_the_middle_of_a_write_goes_on_to_the_same_records(
    prepared: Prepared, doomed: Doomed, whole: Path, undisturbed: Content, tmp_path: Path, moment: int
) -> None:
    size = random.Random(SEED + moment).randrange(1000, (whole / "run.sqlite").stat().st_size)
    assert doomed.audit(tmp_path / "run", largest_file=size).code == -signal.SIGXFSZ
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    assert content(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("moment", range(4))
def test_a_run_killed_at_any_time_goes_on_to_the_same_records(
    prepared: Prepared, doomed: Doomed, undisturbed: Content, tmp_path: Path, moment: int
) -> None:
    doomed.audit(tmp_path / "run", seconds=random.Random(SEED + moment).uniform(0.05, 0.5))
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    assert content(tmp_path / "run") == undisturbed


def test_a_run_killed_again_and_again_goes_on_to_the_same_records(
    prepared: Prepared, doomed: Doomed, undisturbed: Content, lines: int, tmp_path: Path
) -> None:
    generator = random.Random(SEED)
    for _ in range(4):
        assert doomed.audit(tmp_path / "run", line=generator.randrange(lines // 8, lines // 4)).code == -signal.SIGKILL
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    assert content(tmp_path / "run") == undisturbed


# --- torn files


@pytest.mark.parametrize("lost", [1, 100, 4096, 20_000])
def test_a_database_that_lost_its_end_is_refused_and_left_as_it_is(
    prepared: Prepared, whole: Path, tmp_path: Path, lost: int
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    database = run / "run.sqlite"
    os.truncate(database, database.stat().st_size - lost)
    before = snapshot(run)
    with pytest.raises(
        RunCorrupt, match=r"(is damaged|not those that the audit wrote): .*; restore .* from a copy, or start anew in"
    ) as refused:
        run_audit(prepared, run, DIRECT, Listener())
    assert "\n" not in str(refused.value)
    assert snapshot(run) == before


@pytest.mark.parametrize("left", [0.0, 0.3, 0.8, 1.0])
def test_a_torn_journal_is_rolled_back_as_far_as_it_is_sound_or_refused(
    prepared: Prepared, doomed: Doomed, undisturbed: Content, tmp_path: Path, left: float
) -> None:
    run = tmp_path / "run"
    assert doomed.audit(run, largest_file=50_000).code == -signal.SIGXFSZ
    journal = run / "run.sqlite-journal"
    os.truncate(journal, int(left * journal.stat().st_size))
    with suppress(RunCorrupt):
        run_audit(prepared, run, DIRECT, Listener())
        assert content(run) == undisturbed
        return
    assert left < 1.0
    assert any(run.rglob("clean.png"))


@pytest.mark.parametrize("damage", ["cut", "emptied", "removed", "changed"])
def test_a_damaged_file_is_computed_again_and_the_log_says_so(
    prepared: Prepared, whole: Path, undisturbed: Content, tmp_path: Path, damage: str
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    for name in ("adv2-cam.png", "clean.png"):
        path = min(run.glob(f"artifacts/*/{name}"))
        if damage == "removed":
            path.unlink()
        else:
            data = path.read_bytes()
            path.write_bytes({"cut": data[:-7], "emptied": b"", "changed": data[:-1] + b"!"}[damage])
    listener = Listener()
    run_audit(prepared, run, DIRECT, listener)
    assert content(run) == undisturbed
    with RunReader(run) as view:
        restored = [event.detail["of"] for event in view.events() if event.kind == RESTORED]
    assert len(restored) == 2
    assert listener.said == ["2 stored results have damaged or missing files; these are computed again."]
    assert listener.advanced == {"clean": 1, "adv2-cam": 1}


def test_a_damaged_file_that_does_not_come_out_the_same_is_refused(
    prepared: Prepared, whole: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    torn = min(run.glob("artifacts/*/adv2-cam-map.npy"))
    torn.write_bytes(b"")
    network = prepared.bench.classifier.network
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    try:
        network.load_state_dict(
            {name: value + 0.05 for name, value in weights.items() if value.is_floating_point()}, strict=False
        )
        with pytest.raises(AlreadyStored, match=r"with other bytes.*; restore it from a copy, or start anew"):
            run_audit(prepared, run, DIRECT, Listener())
    finally:
        network.load_state_dict(weights)
    assert torn.read_bytes() == b""


def test_a_run_whose_rows_were_changed_is_refused_before_anything_is_computed(
    prepared: Prepared, whole: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    with closing(sqlite3.connect(run / "run.sqlite", isolation_level=None)) as connection:
        connection.execute("DELETE FROM records WHERE unit_id LIKE '%:pgd'")
    listener = Listener()
    with pytest.raises(RunCorrupt, match=r"the records are not those that the audit wrote: unit .* is missing"):
        run_audit(prepared, run, DIRECT, listener)
    assert listener.stages == {}


def test_what_a_kill_leaves_behind_is_swept(
    prepared: Prepared, whole: Path, undisturbed: Content, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    image = min((run / "artifacts").iterdir())
    for path in (run / ".report.pdf.part", image / ".pgd.png.part", image / "adv2-other.png"):
        path.write_bytes(b"half")
    run_audit(prepared, run, DIRECT, Listener())
    assert content(run) == undisturbed
    assert not list(run.rglob("*.part"))


# --- no space


@dataclass
class Disk:
    """A small disk, or, where none can be mounted, a limit on the size of a file. ``grow`` gives space."""

    folder: Path
    full_at: int
    grow: Callable[[], None]


@contextmanager
def disk_of(folder: Path, size: int) -> Iterator[Disk]:
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield Disk(folder, min(size // 4, 50_000), lambda: None)
        return
    try:
        larger = ("mount", "-o", "remount,size=8m", str(folder))
        yield Disk(folder, 0, lambda: subprocess.run(larger, check=True) and None)
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


@pytest.mark.parametrize("size", [24_576, 100_000, 150_000])
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_space(
    prepared: Prepared, doomed: Doomed, undisturbed: Content, tmp_path: Path, size: int
) -> None:
    with disk_of(tmp_path / "disk", size) as disk:
        run = disk.folder / "run"
        for _ in range(2):  # the second time it is still full
            end = doomed.audit(run, full_at=disk.full_at)
            assert end.code == 6, end.said
            assert end.said.endswith("free space and run the same command again\n"), end.said
            assert end.said.count("\n") == 1
        disk.grow()
        run_audit(prepared, run, DIRECT, Listener())
        assert content(run) == undisturbed


def test_the_command_says_that_the_disk_is_full_and_ends_with_6(public: Path, doomed: Doomed, tmp_path: Path) -> None:
    with disk_of(tmp_path / "disk", 100_000) as disk:
        end = doomed.command(
            "audit", public / "asked" / "bundle", public / "asked" / "images", "--out", disk.folder / "run",
            "--threads", "1", "--batch-size", "2", "--preset", "quick", "--interpreters", "cam",
            "--id-key", public / "asked" / "key", full_at=disk.full_at,
        )  # fmt: skip
    assert end.code == 6, end.said
    assert end.said.splitlines()[-1].startswith("skinaudit: ")
    assert end.said.endswith("free space and run the same command again\n")
    assert "Traceback" not in end.said


# --- two at once


def test_a_second_process_is_refused_and_the_first_is_not_disturbed(
    prepared: Prepared, doomed: Doomed, undisturbed: Content, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first = doomed.begin(run, stop=("controls", 2))
    before = snapshot(run)
    with pytest.raises(RunLocked, match=f"process {first} is working on this run; wait until it ends, or stop it"):
        run_audit(prepared, run, DIRECT, Listener())
    assert snapshot(run) == before
    os.kill(first, signal.SIGCONT)
    end = doomed.end()
    assert (end.code, end.said) == (0, "")
    assert content(run) == undisturbed


# --- the folder taken away


@dataclass
class Meddling(Listener):
    """Does something to the run after some units of a stage."""

    at: tuple[str, int] = ("controls", 2)
    deed: Callable[[], object] = lambda: None

    def advance(self, stage: str, count: int) -> None:
        super().advance(stage, count)
        if self.at == (stage, self.advanced[stage]):
            self.deed()


def test_a_run_directory_removed_meanwhile_is_one_line_and_is_not_made_again(
    prepared: Prepared, undisturbed: Content, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(
        RunGone, match=r"run was removed, moved or replaced while the audit worked in it.*; put it back"
    ):
        run_audit(prepared, run, DIRECT, Meddling(deed=lambda: shutil.rmtree(run)))
    assert not run.exists()
    run_audit(prepared, run, DIRECT, Listener())
    assert content(run) == undisturbed


def test_a_run_directory_moved_meanwhile_goes_on_where_it_is_now(
    prepared: Prepared, undisturbed: Content, tmp_path: Path
) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with pytest.raises(RunGone):
        run_audit(prepared, run, DIRECT, Meddling(deed=lambda: run.rename(elsewhere)))
    listener = Listener()
    run_audit(prepared, elsewhere, DIRECT, listener)
    assert listener.stages["controls"] == (3, 2)
    assert content(elsewhere) == undisturbed


def test_a_run_begun_anew_in_place_of_a_removed_one_is_not_written_by_the_old_process(
    prepared: Prepared, undisturbed: Content, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def replace_it() -> None:
        shutil.rmtree(run)
        with pytest.raises(KeyboardInterrupt):
            run_audit(prepared, run, DIRECT, Listener(interrupt_after=("controls", 1)))
        run.joinpath(".lock").write_text("1 elsewhere x\n")

    with pytest.raises(RunGone):
        run_audit(prepared, run, DIRECT, Meddling(deed=replace_it))
    assert run.joinpath(".lock").exists()  # it is not ours to remove
    run.joinpath(".lock").unlink()
    run_audit(prepared, run, DIRECT, Listener())
    assert content(run) == undisturbed


@contextmanager
def nobody() -> Iterator[None]:
    """As a user who may not do everything."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(NOBODY)
    except PermissionError:
        pytest.skip("this process can neither write everything nor give its rights away")
    try:
        yield
    finally:
        os.seteuid(0)


def set_modes(folder: Path, *, folders: int, files: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(folders if path.is_dir() else files)


def test_a_folder_that_may_not_be_written_is_one_line(prepared: Prepared, public: Path) -> None:
    shut = public / "shut"
    shut.mkdir()
    shut.chmod(0o555)
    advice = "Permission denied; make the folder writable and run the same command again$"
    with nobody(), pytest.raises(StoreError, match=f"shut/run cannot be made: {advice}"):
        run_audit(prepared, shut / "run", DIRECT, Listener())


def test_a_read_only_run_can_be_read_and_is_not_written(prepared: Prepared, whole: Path, public: Path) -> None:
    run = Path(shutil.copytree(whole, public / "read-only"))
    set_modes(run, folders=0o555, files=0o444)
    advice = "Permission denied; make the folder writable and run the same command again$"
    before = snapshot(run)
    with nobody():
        with RunReader(run) as view:
            assert view.is_closed
            assert view.verify_chain() == []
        with pytest.raises(StoreError, match=f".lock cannot be locked: {advice}"):
            run_audit(prepared, run, DIRECT, Listener())
    assert snapshot(run) == before


def test_a_run_that_may_no_longer_be_written_goes_on_when_it_may(
    prepared: Prepared, undisturbed: Content, public: Path
) -> None:
    run = public / "taken-rights"
    with nobody():
        shut = Meddling(at=("pgd", 1), deed=lambda: set_modes(run, folders=0o555, files=0o444))
        with pytest.raises(StoreError, match=r"make the folder writable and run the same command again$"):
            run_audit(prepared, run, DIRECT, shut)
        set_modes(run, folders=0o755, files=0o644)
        run_audit(prepared, run, DIRECT, Listener())
    assert content(run) == undisturbed


def test_a_run_that_may_not_even_be_looked_at_is_one_line(prepared: Prepared, whole: Path, public: Path) -> None:
    run = Path(shutil.copytree(whole, public / "closed"))
    set_modes(run, folders=0o000, files=0o000)
    with nobody(), pytest.raises(StoreError, match="closed cannot be read: Permission denied; make the folder"):
        run_audit(prepared, run, DIRECT, Listener())
    run.chmod(0o755)


# --- the clock


def test_a_clock_that_goes_backwards_changes_no_record_and_no_order(
    prepared: Prepared, undisturbed: Content, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    times = (datetime(2031, 5, 6, tzinfo=UTC) - timedelta(hours=hours) for hours in range(10_000))
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, run, DIRECT, Listener(interrupt_after=("pgd", 1)), clock=lambda: next(times))
    run_audit(prepared, run, DIRECT, Listener(), clock=lambda: datetime(1970, 1, 1, tzinfo=UTC))  # an empty battery
    assert content(run) == undisturbed
    with RunReader(run) as view:
        events = view.events()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.time for event in events] == sorted(event.time for event in events)
        assert all(float(event.detail[CLOCK_WENT_BACK]) > 0 for event in events[1:])


def test_a_run_is_never_closed_before_it_was_opened(prepared: Prepared, tmp_path: Path) -> None:
    run_audit(prepared, tmp_path / "run", DIRECT, Listener(), clock=lambda: datetime(1970, 1, 1, tzinfo=UTC))
    with RunReader(tmp_path / "run") as view:
        assert datetime.fromisoformat(view.closed_at) >= datetime.fromisoformat(view.header.created)
        assert view.verify_chain() == []
