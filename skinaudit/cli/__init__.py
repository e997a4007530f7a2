"""The command line: parse, call one function, show progress, give an exit code. No logic, and no heavy import here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from skinaudit import __version__
from skinaudit.cli import audit, calibrate, explain, fit_rts, models, models_check, models_networks, predict, report
from skinaudit.cli.errors import drop_closed_output, say_failure
from skinaudit.cli.exit_codes import ExitCode, table

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    name="skinaudit",
    help="""Audit a classifier of skin lesions: can its diagnosis be changed while its saliency map stays as it was?

Begin with `skinaudit audit MODEL IMAGES`; every command explains itself with --help.""",
    epilog="\b\nExit codes\n" + "\n".join(f"  {line}" for line in table().splitlines()),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    invoke_without_command=True,
    context_settings=_SETTINGS,
)
app.command("audit", help=audit.HELP, short_help="Attack a model's diagnoses and maps; write the report.")(audit.audit)
app.command("predict", help=predict.HELP, short_help="Print what a model says of images.")(predict.predict)
app.command("explain", help=explain.HELP, short_help="Draw the maps beside diagnoses.")(explain.explain)
app.command("calibrate", help=calibrate.HELP, short_help="Measure how far maps move when nothing is wrong.")(
    calibrate.calibrate
)
app.command("fit-rts", help=fit_rts.HELP, short_help="Fit the network that draws RTS maps.")(fit_rts.fit_rts)
app.command("report", help=report.HELP, short_help="Write the report of a finished run again.")(report.report)
models_app = typer.Typer(
    help=models.HELP, rich_markup_mode=None, invoke_without_command=True, context_settings=_SETTINGS
)
models_app.command("list", help=models.LIST_HELP, short_help="List models.")(models.list_models)
models_app.command("show", help=models.SHOW_HELP, short_help="Show what a model is.")(models.show_model)
models_app.command("import", help=models.IMPORT_HELP, short_help="Make a bundle from plain weights.")(
    models.import_model
)
models_app.command("check", help=models_check.HELP, short_help="Look whether a model can be audited at all.")(
    models_check.check_model
)
models_app.command("networks", help=models_networks.HELP, short_help="List the networks that --network can name.")(
    models_networks.list_networks
)
app.add_typer(models_app, name="models")


@models_app.callback()
def begin_models(context: typer.Context) -> None:
    """Without a command, say what there is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"skinaudit {__version__}")
        raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Without a command, say what there is."""
    del version  # its callback has printed it
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code.

    Args:
        arguments: what stands after the command's name; None takes the process's own.
    """
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    streams = (sys.stdout, sys.stderr)  # the parser may put others in their place
    code = _run(given)
    closed = drop_closed_output(streams)
    return code or int(ExitCode.OUTPUT_CLOSED) if closed else code


def _run(given: tuple[str, ...]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no ε prints a question mark and goes on
    try:
        result = app(given, prog_name="skinaudit", standalone_mode=False, obj=given)
    except (KeyboardInterrupt, typer.Abort):
        return int(ExitCode.INTERRUPTED)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # so does the parser end, where help meets a closed pipe
            return int(ExitCode.OUTPUT_CLOSED)
        raise
    except Exception as error:
        # Usage errors have another class in each generation of typer; all of them can word themselves.
        words = getattr(error, "format_message", None)
        if words is None:
            raise
        # Newer typer lets pydantic check choices, and pydantic begins its messages like this.
        message = str(words()).replace("Value error, ", "").rstrip(".")
        say_failure(f"{message}. See `{_command_of(error)} --help`.", ExitCode.USAGE, as_json="--json" in given)
        return int(ExitCode.USAGE)
    return result if isinstance(result, int) else int(ExitCode.DONE)


def _command_of(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "skinaudit"
