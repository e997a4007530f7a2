from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skinaudit.audit.failures import RunGone, RunLocked, StoreError
from skinaudit.audit.lock import LOCK_NAME, Owner, RunLock

ROOT = Path(__file__).parents[2]

HOLD = """
import sys
from pathlib import Path
from skinaudit.audit.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def process_that_holds(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_another_process_is_named_in_the_refusal(tmp_path: Path) -> None:
    process = process_that_holds(tmp_path)
    try:
        with pytest.raises(RunLocked, match=f"process {process.pid} is working on this run; wait"):
            RunLock(tmp_path)
    finally:
        finish(process)


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    finish(process_that_holds(tmp_path))
    assert (tmp_path / LOCK_NAME).exists()
    lock = RunLock(tmp_path)
    assert (tmp_path / LOCK_NAME).read_text() == Owner.here().line()
    assert Owner.here().process == str(os.getpid())
    lock.release()


def test_a_second_lock_in_the_same_process_is_refused(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with pytest.raises(RunLocked):
        RunLock(tmp_path)
    lock.release()
    RunLock(tmp_path).release()


def test_release_removes_the_file_and_may_be_repeated(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_worker_that_outlives_its_parent_does_not_hold_the_lock(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from skinaudit.audit.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
if os.fork() == 0:
    print("worker", flush=True)
    sys.stdin.read()
    os._exit(0)
os.wait()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "worker\n"
    process.kill()
    process.wait()
    RunLock(tmp_path).release()  # the worker still waits for its input here
    process.stdin.close()
    process.stdout.close()


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    (run / LOCK_NAME).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="cannot be locked"):
        RunLock(run)
    assert elsewhere.read_text() == "precious"


def test_a_lock_file_removed_while_we_waited_for_it_is_made_again(tmp_path: Path) -> None:
    class Raced(RunLock):
        """Another process removes the file between our opening and our locking it, once."""

        races = 1

        def _seize(self, descriptor: int, folder: Path) -> None:  # type: ignore[override]
            if self.races:
                type(self).races = 0
                (folder / LOCK_NAME).unlink()
            RunLock._seize(descriptor, folder)

    lock = Raced(tmp_path)
    with pytest.raises(RunLocked):
        RunLock(tmp_path)
    lock.release()


def left_by(owner: Owner, folder: Path) -> Path:
    path = folder / LOCK_NAME
    path.write_text(owner.line())
    return path


def test_the_lock_of_another_machine_is_not_taken_over_but_says_what_to_do(tmp_path: Path) -> None:
    path = left_by(Owner("812", "ward-pc", "another-kernel"), tmp_path)
    said = rf"process 812 on ward-pc works on this run, or was killed there; .* remove {path} and run the same command"
    with pytest.raises(RunLocked, match=said):
        RunLock(tmp_path)
    assert path.read_text() == "812 ward-pc another-kernel\n"
    path.unlink()
    RunLock(tmp_path).release()


@pytest.mark.parametrize(
    "owner",
    [
        Owner("812", Owner.here().host, "the-kernel-before-the-power-cut"),
        Owner("812", "another-container-of-this-machine", Owner.here().boot),
        Owner("812", "-", "-"),
    ],
)
def test_the_lock_that_this_machine_left_is_taken_over(tmp_path: Path, owner: Owner) -> None:
    left_by(owner, tmp_path)
    RunLock(tmp_path).release()
    assert not (tmp_path / LOCK_NAME).exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 600, b"\xff\xfe\x1b[31m", b"812\n"])
def test_a_lock_file_that_is_torn_blocks_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK_NAME).write_bytes(content)
    RunLock(tmp_path).release()


def test_a_lock_that_was_removed_or_replaced_is_no_longer_ours(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.confirm()
    (tmp_path / LOCK_NAME).unlink()
    with pytest.raises(RunGone, match="was removed, moved or replaced"):
        lock.confirm()
    other = RunLock(tmp_path)
    with pytest.raises(RunGone):
        lock.confirm()
    lock.release()
    other.confirm()  # letting go of a lock that is lost leaves the other's alone
    other.release()
    with pytest.raises(RunGone):
        other.confirm()
