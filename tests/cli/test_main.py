"""The command as a whole: quick to explain itself, one line for every failure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skinaudit import __version__
from skinaudit.cli import main
from skinaudit.config import PRESETS
from skinaudit.interpreters.registry import kinds

HEAVY = ("torch", "monai", "reportlab", "timm", "numpy", "rich", "scipy", "PIL")


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, skinaudit.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert _python(code).strip() == "[]"


def test_the_package_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "skinaudit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"skinaudit {__version__}\n"
    done = subprocess.run([sys.executable, "-m", "skinaudit", "audit", "--no-such"], capture_output=True, check=False)
    assert done.returncode == 2


def test_help_takes_less_than_a_second_and_a_half() -> None:
    code = "import sys; from skinaudit.cli import main; sys.exit(main(['--help']))"
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        _python(code)
        times.append(time.perf_counter() - begun)
    assert min(times) < 1.5


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for command in ("audit", "predict", "explain", "calibrate", "report", "models"):
        assert f"\n  {command} " in printed
    assert main(["models"]) == 0
    assert "show" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"skinaudit {__version__}\n"


@pytest.mark.parametrize(
    "command", ["audit", "predict", "explain", "calibrate", "report", "models list", "models show", "models import"]
)
def test_every_help_has_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"skinaudit {command} " in printed.partition("Examples:")[2]
    assert "Exit codes: 0 done" in printed
    assert "\x1b" not in printed


def test_audit_help_prints_presets_from_their_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for preset, budget in PRESETS.items():
        place = next(place for place, line in enumerate(lines) if line.strip().startswith(f"{preset} "))
        for number in (budget.images, budget.mask_images):
            assert number is None or str(number) in lines[place]
        for family in (None, "activation", "gradient", "learned", "perturbation"):
            assert str(budget.steps(family)) in lines[place + 1]
    assert all(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w+-])", " ".join(lines)) for name in kinds())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["audit", "model"], "IMAGES"),
        (["audit", "model", "images", "--preset", "fast"], "quick"),
        (["audit", "model", "images", "--seed", "-1"], "--seed"),
        (["report"], "RUN"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("skinaudit: ")
    assert said in printed.err
    assert "--help`" in printed.err


def test_a_failure_with_json_is_a_document_as_well(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", str(tmp_path), "--json"]) == 6
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["exit_code"] == 6
    assert f"skinaudit: {document['error']}\n" == printed.err


def test_a_terminal_without_a_sign_is_no_reason_to_stop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from skinaudit.cli import main; sys.exit(main())", "audit", "--help"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "iso8859-5"},
        check=False,
    )
    assert done.returncode == 0
    assert b"(ADV?)" in done.stdout
