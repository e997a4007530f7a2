"""``skinaudit models networks``: which networks can plain weights belong to?"""

from __future__ import annotations

from typing import Annotated

import typer

from skinaudit.cli import options
from skinaudit.cli.console import Console
from skinaudit.cli.errors import one_line_errors
from skinaudit.cli.exit_codes import ExitCode

HELP = """List the networks that --network can name, or those whose name contains a text.

They come with the installed releases of MONAI, timm and torchvision; no other can be asked for. A model whose network
is none of them can be audited as a TorchScript archive or through a Python function, with --trust-code.

\b
Examples:
  skinaudit models networks efficientnet
  skinaudit models networks torchvision:

\b
Exit codes: 0 done, 2 usage, 7 bug.
"""


def list_networks(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What a name has to contain. Default: nothing, all are listed.")
    ] = "",
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        from skinaudit.classifier.networks import known_networks

        names = [name for name in known_networks() if text.lower() in name.lower()]
        for name in names:
            console.say(name)
        if not names:
            console.note(f"No network's name contains {text!r}.")
        console.document({"exit_code": int(ExitCode.DONE), "networks": names})
