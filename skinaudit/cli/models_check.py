"""``skinaudit models check``: is a model auditable at all?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skinaudit.classifier.source import ModelSource
from skinaudit.cli import options
from skinaudit.cli.console import Console
from skinaudit.cli.errors import one_line_errors
from skinaudit.cli.exit_codes import ExitCode
from skinaudit.cli.model_options import takes_a_model
from skinaudit.config import Device

if TYPE_CHECKING:
    from skinaudit.classifier.finding import Finding

HELP = """Look for what would make the figures of an audit mislead, on images of your own.

Does an output depend on other images in its batch, or on chance? Is the network still in training mode, are its outputs
already probabilities, can gradients be followed? Do outputs and classes agree, is the accuracy far below the declared
one, do the images come the right way round and in the right range? Each answer stands with its evidence, with what it
means for an audit, and with what follows. An audit asks the same at its start, on at most 16 images; here labels help
more, because up to 48 images are looked at, and the accuracy is measured on all that have a label.

\b
Examples:
  skinaudit models check isic2018-efficientnet-lite0 --images photos/ --labels truth.csv
  skinaudit models check my-bundle/ --images photos/ --json > checks.json

\b
Exit codes: 0 no alarm, 1 an alarm, 2 usage, 3 input unusable, 4 model refused (as when classes and outputs do not
            agree), 7 bug.
"""

_RESULTS = {"alarm": "ALARM", "note": "note", "ok": "passed"}


@takes_a_model
def check_model(
    model: ModelSource,
    images: Annotated[
        Path, typer.Option("--images", metavar="DIR", help="A folder of images that the model is made for; or one.")
    ],
    labels: options.LabelsOption = None,
    device: options.DeviceOption = Device.AUTO,
    threads: options.ThreadsOption = None,
    frame: options.FrameOption = None,
    allow_burned_in: options.BurnedInOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        from skinaudit.audit.checking import check_folder

        classifier, place = options.load_model(model, device, threads, console)
        truth = options.read_truth(images, labels, classifier.classes, console)
        with options.open_decoder(frame, allow_burned_in) as decoder, console.progress() as listener:
            found = check_folder(
                classifier, images, truth, decoder, device=place, advance=listener.counter("Measuring the accuracy")
            )
        alarms = sum(not one.passed for one in found)
        code = ExitCode.CONDITION_FAILED if alarms else ExitCode.DONE
        _show(console, found, alarms)
        document = {"exit_code": int(code), "alarms": alarms, "checks": [asdict(one) for one in found]}
        console.document(document)
        if alarms:
            raise typer.Exit(int(code))


def _show(console: Console, found: tuple[Finding, ...], alarms: int) -> None:
    from skinaudit.classifier.finding import TITLES

    for one in found:
        more = [] if one.level == "ok" else [f"For an audit: {one.meaning}", f"What follows: {one.consequence}"]
        console.block(_RESULTS[one.level], TITLES[one.check], [one.evidence, *more])
        console.say()
    if alarms:
        console.say(f"{alarms} of {len(found)} checks raised an alarm: figures of an audit may mislead.")
    else:
        console.say(f"None of {len(found)} checks raised an alarm.")
