"""``skinaudit calibrate``: how far maps move when nothing is wrong."""

from __future__ import annotations

from collections.abc import Sequence
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
    from skinaudit.calibration.thresholds import DriftThreshold

HELP = """Measure how far a model's maps move under harmless changes, and store that as the limit of "the map was kept".

Clean images that the model gets right are re-encoded as JPEG, overlaid with faint noise and shifted by half a pixel.
95 of 100 maps move no further than the limits found; an attacked map counts as kept when it stays within them. Use
images of the model's own kind that will not be attacked, 100 or more. The limits go into the bundle
(skinaudit/calibration.json), for a model that is no bundle into a file beside its weights, and hold for these weights
only; --dry-run prints them and stores nothing.

\b
Examples:
  skinaudit calibrate my-bundle/ validation/ --labels validation.csv
  skinaudit calibrate my-bundle/ validation/ --interpreters grad --dry-run

\b
Exit codes: 0 done, 2 usage, 3 input unusable, 4 model refused, 7 bug.
"""


@takes_a_model
def calibrate(
    model: ModelSource,
    images: options.ImagesArgument,
    labels: options.LabelsOption = None,
    interpreters: options.InterpretersOption = "cam,grad",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the limits, store nothing.")] = False,
    device: options.DeviceOption = Device.AUTO,
    batch_size: options.BatchOption = options.DEFAULT_BATCH,
    threads: options.ThreadsOption = None,
    seed: options.SeedOption = 0,
    id_key: options.IdKeyOption = None,
    frame: options.FrameOption = None,
    allow_burned_in: options.BurnedInOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        names = options.read_interpreters(interpreters)
        from skinaudit.audit.calibrate import CalibrationRequest, store
        from skinaudit.audit.calibrate import calibrate as measure
        from skinaudit.images.identity import load_key

        classifier, place = options.load_model(model, device, threads, console)
        truth = options.read_truth(images, labels, classifier.classes, console)
        request = CalibrationRequest(images, truth, names, batch_size, seed, load_key(id_key))
        with options.open_decoder(frame, allow_burned_in) as decoder, console.progress() as listener:
            thresholds = measure(
                classifier,
                request,
                place,
                decoder,
                surveyed=listener.counter("Reading images"),
                measured=listener.counter("Measuring map drift"),
                left_out=lambda reason: listener.say(f"An image is left out: {reason}"),
            )
        _show_limits(console, thresholds)
        file = None if dry_run else store(classifier, thresholds)
        console.say("Nothing is stored (--dry-run)." if file is None else str(file.resolve()))
        console.document(
            {
                "exit_code": int(ExitCode.DONE),
                "stored": None if file is None else str(file.resolve()),
                "thresholds": [row.model_dump(mode="json") for row in thresholds],
            }
        )


def _show_limits(console: Console, thresholds: Sequence[DriftThreshold]) -> None:
    """The limits of each map, each before the changes it comes from; a word when too few images stand behind them."""
    from skinaudit.calibration.drift import enough_images

    rows = [
        (row.interpreter, change, f"{limit:.4f}", "", "", str(pairs))
        for row in thresholds
        for change, (limit, pairs) in row.by_change.items()
    ]
    for row in thresholds:
        place_of = next(place for place, cells in enumerate(rows) if cells[0] == row.interpreter)
        pooled = (row.interpreter, "limit", f"{row.l1:.4f}", f"{row.iou20:.3f}", str(row.images), str(row.pairs))
        rows.insert(place_of, pooled)
    console.table(("Map", "Change", "L1 at most", "Overlap at least", "Images", "Pairs"), rows)
    for row in thresholds:
        if row.images < enough_images(row.interpreter):
            console.note(
                f"{row.interpreter}: only {row.images} images; a limit from fewer than "
                f"{enough_images(row.interpreter)} is a rough one."
            )
