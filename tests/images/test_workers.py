"""Decoding processes hold what a decoder does: hang, crash, eat memory, chatter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from skinaudit.images.decode import Picture, decode
from skinaudit.images.decoder import DirectDecoder
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from skinaudit.images.workers import DecoderPool, DecoderUnavailable, Limits
from tests.images.png_files import chunk, png

MISBEHAVING = ("-P", str(Path(__file__).with_name("misbehaving_worker.py")))
HASTE = Limits(seconds=1.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool() as pool:
        yield pool


@pytest.fixture
def hostile() -> Iterator[DecoderPool]:
    with DecoderPool(limits=HASTE, program=MISBEHAVING, processes=1) as pool:
        yield pool


def write(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def reason(pool: DecoderPool, path: Path) -> tuple[str, str]:
    with pytest.raises(ImageRefused) as caught:
        pool.decode(path)
    return caught.value.reason, caught.value.status


def test_a_process_gives_the_pixels_that_the_decoder_gives_here(pool: DecoderPool, tmp_path: Path) -> None:
    for name in ("drawn_a.png", "zweite möle.png", os.fsdecode(b"not utf-8 \xff.png")):
        here, there = decode(write(tmp_path / name)), pool.decode(tmp_path / name)
        np.testing.assert_array_equal(there.pixels, here.pixels)
        assert (there.file_format, there.drawn) == (here.file_format, here.drawn)


def test_a_refusal_keeps_its_reason_and_status(pool: DecoderPool, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(write(tmp_path / "a.png").read_bytes()[:60])
    for name in ("none.png", "torn.png"):
        with pytest.raises(ImageRefused) as caught:
            decode(tmp_path / name)
        assert reason(pool, tmp_path / name) == (caught.value.reason, caught.value.status)


def test_a_stream_gives_one_answer_for_each_path_in_their_order(pool: DecoderPool, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.png", n) for n in range(9)]
    paths.insert(4, tmp_path / "none.png")
    here, there = list(DirectDecoder().stream(paths)), list(pool.stream(paths))
    assert len(there) == len(here) == 10
    for mine, other in zip(here, there, strict=True):
        if isinstance(mine, ImageRefused):
            assert isinstance(other, ImageRefused)
            assert other.reason == mine.reason
        else:
            assert isinstance(other, Picture)
            np.testing.assert_array_equal(mine.pixels, other.pixels)
    assert list(pool.stream([])) == []


def test_a_stream_reads_only_a_little_ahead(pool: DecoderPool, tmp_path: Path) -> None:
    asked = 0

    def paths() -> Iterator[Path]:
        nonlocal asked
        for number in range(50):
            asked += 1
            yield write(tmp_path / f"{number}.png")

    stream = pool.stream(paths())
    next(stream)
    assert asked <= 4
    stream.close()  # type: ignore[attr-defined]
    assert pool.decode(tmp_path / "0.png").pixels.shape == (5, 7, 3)


def test_choices_reach_the_processes(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    with DecoderPool(Reading(max_pixels=34)) as pool:
        assert reason(pool, tmp_path / "a.png") == ("7 x 5 pixels are more than the 34 that are allowed", "refused")


def test_no_process_starts_before_it_is_needed_and_none_is_left(tmp_path: Path) -> None:
    with DecoderPool(processes=2) as pool:
        assert pool.process_ids == ()
        pool.decode(write(tmp_path / "a.png"))
        (pid,) = pool.process_ids
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    pool.close()
    assert pool.process_ids == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hang", "the decoder took longer than 1 s"),
        ("segfault", "the decoder crashed"),
        ("abort", "the decoder crashed"),
        ("bug", "the decoder crashed"),
        ("memory", "the decoder ran out of memory"),
        ("killed", "the decoder ran out of memory"),
        ("large", "the decoder crashed"),
    ],
)
def test_what_a_file_does_costs_that_file_alone(name: str, said: str, hostile: DecoderPool, tmp_path: Path) -> None:
    for stem in ("before", name, "after"):
        write(tmp_path / f"{stem}.png")
    assert hostile.decode(tmp_path / "before.png").pixels.shape == (5, 7, 3)
    (first,) = hostile.process_ids
    assert reason(hostile, tmp_path / f"{name}.png") == (said, "unreadable")
    assert hostile.decode(tmp_path / "after.png").pixels.shape == (5, 7, 3)
    (second,) = hostile.process_ids
    assert first != second
    assert not psutil.pid_exists(first)


def test_the_others_of_a_stream_lose_nothing(tmp_path: Path) -> None:
    names = ["a", "segfault", "b", "hang", "c", "memory", "d", "e"]
    paths = [write(tmp_path / f"{name}.png") for name in names]
    with DecoderPool(limits=HASTE, program=MISBEHAVING, processes=2) as pool:
        answers = [getattr(answer, "reason", "fine") for answer in pool.stream(paths)]
    assert [answer == "fine" for answer in answers] == [len(name) == 1 for name in names]


def test_a_process_that_died_between_two_files_is_replaced(pool: DecoderPool, tmp_path: Path) -> None:
    pool.decode(write(tmp_path / "a.png"))
    for pid in pool.process_ids:
        os.kill(pid, signal.SIGKILL)
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    assert pool.decode(tmp_path / "a.png").pixels.shape == (5, 7, 3)


def test_what_a_library_prints_is_neither_answer_nor_output(
    hostile: DecoderPool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert hostile.decode(write(tmp_path / "chatter.png")).pixels.shape == (5, 7, 3)
    assert capfd.readouterr() == ("", "")


def test_a_process_is_limited_and_knows_nothing_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_RUN", "1")
    with DecoderPool(program=MISBEHAVING) as pool:
        torch, core, written, files, memory, session, interrupt, secret = pool.decode(tmp_path / "report").pixels[
            0, :, 0
        ]
    assert (core, written, files, memory, session, interrupt) == (1,) * 6
    assert (torch, secret) == (0, 0)


def test_the_real_process_takes_its_limits_and_no_more_modules(pool: DecoderPool, tmp_path: Path) -> None:
    pool.decode(write(tmp_path / "a.png"))
    process = psutil.Process(pool.process_ids[0])
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert process.rlimit(psutil.RLIMIT_AS)[1] < 3 * 2**30
    mapped = Path(f"/proc/{process.pid}/maps")
    if os.access(mapped, os.R_OK):
        assert "torch" not in mapped.read_text()


def test_40_bytes_a_pixel_are_enough_for_the_hungriest_format(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x112] = 6
    rows = np.zeros((2000, 1 + 3000 * 8), dtype=np.uint8).tobytes()
    (tmp_path / "a.png").write_bytes(png(3000, 2000, 16, 6, rows, chunk(b"eXIf", turned.tobytes()[6:])))
    with DecoderPool(limits=Limits(memory=40 * 6_000_000)) as pool:
        assert pool.decode(tmp_path / "a.png").pixels.shape == (3000, 2000, 3)


def test_a_module_in_the_folder_of_the_user_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("numpy.py", "json.py", "PIL.py"):
        (tmp_path / module).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.png")
    with DecoderPool() as fresh:
        assert fresh.decode(Path("a.png")).pixels.shape == (5, 7, 3)
    assert not (tmp_path / "ran").exists()


def test_a_program_that_is_no_decoder_is_said_plainly(tmp_path: Path) -> None:
    with (
        DecoderPool(program=("-c", "print('hello')")) as pool,
        pytest.raises(DecoderUnavailable, match="does not start; run `python"),
    ):
        pool.decode(tmp_path / "a.png")


def test_closing_ends_a_decoder_in_the_middle_of_a_file(tmp_path: Path) -> None:
    write(tmp_path / "hang.png")
    pool = DecoderPool(program=MISBEHAVING, processes=1)
    pool.decode(write(tmp_path / "first.png"))
    found: list[BaseException] = []

    def ask() -> None:
        try:
            pool.decode(tmp_path / "hang.png")
        except ImageRefused as error:
            found.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    begun = time.monotonic()
    pool.close()
    asking.join(5)
    assert time.monotonic() - begun < 5
    assert found
    with pytest.raises(RuntimeError):
        pool.decode(tmp_path / "hang.png")


RUN = """
import sys
from pathlib import Path
from skinaudit.images.workers import DecoderPool
with DecoderPool(program=tuple(sys.argv[2:]), processes=1) as pool:
    pool.decode(Path(sys.argv[1]).with_name("first.png"))
    print(*pool.process_ids, flush=True)
    pool.decode(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("end", "stem"), [(signal.SIGKILL, "hang"), (signal.SIGTERM, "hang"), (signal.SIGINT, "hang"), (signal.SIGKILL, "")]
)
def test_no_process_outlives_the_run(end: signal.Signals, stem: str, tmp_path: Path) -> None:
    write(tmp_path / "first.png")
    write(tmp_path / "hang.png")
    code = textwrap.dedent(RUN) if stem else RUN.replace("pool.decode(Path(sys.argv[1]))", "sys.stdin.read()")
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "hang.png"), *MISBEHAVING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout is not None
    pid = int(run.stdout.readline())
    assert psutil.pid_exists(pid)
    run.send_signal(end)
    run.wait(10)
    run.communicate()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
