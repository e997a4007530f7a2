"""``skinaudit report``: the report of a finished run again, from its records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skinaudit.cli import options
from skinaudit.cli.console import Console
from skinaudit.cli.errors import CommandFailed, one_line_errors
from skinaudit.cli.exit_codes import ExitCode

HELP = """Write the report of a finished run again, from its records. No model and no image is needed.

PDF and JSON go where --out says, results.csv and events.jsonl into the run. Equal records give equal files.

\b
Examples:
  skinaudit report runs/first
  skinaudit report runs/first --out for-the-file.pdf

\b
Exit codes: 0 done, 2 usage, 3 output not writable, 5 the run is not finished, 6 no run or a damaged one, 7 bug.
"""


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of an audit.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where the PDF goes. Default: report.pdf in the run."),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        from skinaudit.audit.reader import RunReader
        from skinaudit.cli.result import result_document, show_result
        from skinaudit.report.render import render

        if out is not None and out.suffix.lower() != ".pdf":
            raise typer.BadParameter(f"{out} must end in .pdf; report.json goes beside it", param_hint="--out")
        with RunReader(run) as view:
            closed, command = view.is_closed, view.header.command
        if not closed:
            raise CommandFailed(
                f"{run}: the run is not finished. To go on, give the command it was started with, with --out {run} "
                f"({command})",
                ExitCode.INTERRUPTED,
            )
        rendered = render(run, out)
        show_result(console, rendered)
        console.document(result_document(rendered))
