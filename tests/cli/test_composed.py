"""A parameter that stands for several of the command line, on a command of two groups."""

from __future__ import annotations

import inspect

import pytest
import typer
from typer.testing import CliRunner

from skinaudit.cli.composed import composed


def read_point(x: int, y: int = 2) -> tuple[int, int]:
    if y < 0:
        raise typer.BadParameter("below the ground")
    return x, y


@composed("point", read_point)
def command(point: tuple[int, int], name: str, loud: bool = False) -> None:
    typer.echo(f"{name} {point} {loud}")


def asked(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_arguments_take_the_place_and_options_come_last() -> None:
    assert list(inspect.signature(command).parameters) == ["x", "name", "loud", "y"]


@pytest.mark.parametrize(
    ("words", "said"),
    [(("1", "here"), "here (1, 2) False"), (("1", "here", "--y", "5", "--loud"), "here (1, 5) True")],
)
def test_the_command_gets_what_the_reader_makes_of_them(words: tuple[str, ...], said: str) -> None:
    assert asked(*words) == (0, f"{said}\n")


def test_what_the_reader_refuses_is_wrong_usage() -> None:
    code, output = asked("1", "here", "--y", "-1")
    assert code == 2
    assert "below the ground" in output
