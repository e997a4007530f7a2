"""Nobody reads the output any more: the command ends quietly, with the exit code of any command in a broken pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinaudit.cli import main
from skinaudit.cli.exit_codes import ExitCode
from tests.bundles import make_bundle


@contextmanager
def nobody_reads(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[None]:
    """Standard streams that are pipes whose other end is closed."""
    streams = []
    for name in names:
        reader, writer = os.pipe()
        os.close(reader)
        streams.append(os.fdopen(writer, "w", encoding="utf-8"))
        monkeypatch.setattr(sys, name, streams[-1])
    try:
        yield
    finally:
        monkeypatch.undo()
        for stream in streams:
            stream.close()  # would raise if something were left to be written into the closed pipe


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["audit", "--help"], ["models", "show", "BUNDLE"]])
def test_a_closed_stdout_is_quiet_and_has_its_code(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    with nobody_reads(monkeypatch, "stdout"):
        assert main([str(bundle) if one == "BUNDLE" else one for one in arguments]) == ExitCode.OUTPUT_CLOSED
    assert capsys.readouterr().err == ""


def test_a_failure_keeps_its_code_when_nobody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with nobody_reads(monkeypatch, "stdout"):
        assert main(["report", str(tmp_path), "--json"]) == ExitCode.RUN_REFUSED
    assert "is not a run directory" in capsys.readouterr().err
    with nobody_reads(monkeypatch, "stderr"):
        assert main(["report", str(tmp_path), "--json"]) == ExitCode.RUN_REFUSED
    assert json.loads(capsys.readouterr().out)["exit_code"] == ExitCode.RUN_REFUSED
    with nobody_reads(monkeypatch, "stdout", "stderr"):
        assert main(["frobnicate", "--json"]) == ExitCode.USAGE


def test_the_interpreter_says_nothing_at_its_end() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from skinaudit.cli import main; sys.exit(main(['--help']))"
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_no_stdout_at_all_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    code = main(["models", "show", str(make_bundle(tmp_path / "bundle"))])
    monkeypatch.undo()
    assert code == 0
    assert capsys.readouterr().err == ""
