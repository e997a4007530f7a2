"""``skinaudit fit-rts``: fit the network that draws RTS maps to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skinaudit.classifier.source import ModelSource
from skinaudit.cli import options
from skinaudit.cli.console import Console
from skinaudit.cli.errors import CommandFailed, one_line_errors
from skinaudit.cli.exit_codes import ExitCode
from skinaudit.cli.model_options import takes_a_model
from skinaudit.config import Device

if TYPE_CHECKING:
    from collections.abc import Callable

    from skinaudit.audit.fit_rts import FitRequest
    from skinaudit.classifier.classifier import Classifier
    from skinaudit.cli.progress import Listener
    from skinaudit.images.decoder import Decoder
    from skinaudit.interpreters.rts_fit import Epoch, Fitted

_NO_LABELS = "No labels: the classes cannot take turns."

HELP = """Fit real-time saliency (RTS) to a model, so that its maps can be drawn and attacked like any other.

RTS maps come from a small network on the model's own features. It learns, from images without any mark-up, to draw the
smallest region that carries the model's diagnosis; the model itself is not changed. Use images of the model's own kind,
best those it was trained on, never those it will be audited on: a thousand or more. With labels the classes take turns.

The result goes into the bundle (interpreters/rts.safetensors, named by configs/metadata.json), for a model that is no
bundle into a file beside its weights, and holds for these weights only. The same command goes on where it was stopped,
however it was stopped. Half an hour on one processor fits a small model; CUDA takes minutes.

\b
Examples:
  skinaudit fit-rts my-bundle/ training/ --labels training.csv --images 2000
  skinaudit fit-rts my-bundle/ training/ --epochs 10 --half --device cuda
  skinaudit explain my-bundle/ lesion.jpg --interpreters rts

\b
Exit codes: 0 done, 2 usage, 3 input unusable, 4 model refused, 6 checkpoint of another fit, 7 bug.
"""


@takes_a_model
def fit_rts(
    model: ModelSource,
    images: options.ImagesArgument,
    labels: options.LabelsOption = None,
    most: Annotated[
        int | None, typer.Option("--images", metavar="N", min=8, help="Images to take at most. Default: all.")
    ] = None,
    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", min=1, max=1000, help="Rounds at most; a short refinement follows.")
    ] = 5,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=2, max=256, help="Images of a step.")] = 8,
    half: Annotated[
        bool,
        typer.Option("--half", help="Judge masked images in bfloat16: faster on CUDA and on processors that have it."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write there, and leave the bundle as it is.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="Where the state is kept. Default: beside the result."),
    ] = None,
    device: options.DeviceOption = Device.AUTO,
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
        from skinaudit.audit.fit_rts import FitRequest, place_of, store
        from skinaudit.images.identity import load_key
        from skinaudit.interpreters.rts_schedule import FitSettings

        classifier, _ = options.load_model(model, device, threads, console)
        truth = options.read_truth(images, labels, classifier.classes, console, _NO_LABELS)
        target = out or place_of(classifier)
        state = checkpoint or target.with_suffix(".unfinished")
        settings = FitSettings(epochs=epochs, batch_size=batch, seed=seed, half=half)
        request = FitRequest(images, truth, most, settings, state, load_key(id_key))
        try:
            with options.open_decoder(frame, allow_burned_in) as decoder:
                fitted = _run(classifier, request, decoder, console)
        except KeyboardInterrupt:
            kept = f"what is done so far is kept in {state}" if state.exists() else "the fit had not begun"
            said = f"interrupted; {kept}, the model is as it was. The same command goes on."
            raise CommandFailed(said, ExitCode.INTERRUPTED) from None
        file = store(classifier, fitted, out)
        state.unlink(missing_ok=True)
        _show(console, fitted, file)


def _run(classifier: Classifier, request: FitRequest, decoder: Decoder, console: Console) -> Fitted:
    """The fit, from its checkpoint on if there is one, with its progress."""
    from skinaudit.audit.fit_rts import fit_rts as run

    if request.checkpoint.exists():
        console.note(f"Going on from {request.checkpoint}")
    with console.progress() as listener:
        return run(
            classifier,
            request,
            decoder,
            surveyed=listener.counter("Reading images"),
            loaded=listener.counter("Preparing pixels"),
            trained=_from_where_it_was(listener),
            told=lambda number, epoch: listener.say(_line(number, epoch)),
            left_out=lambda reason: listener.say(f"An image is left out: {reason}"),
        )


def _from_where_it_was(listener: Listener) -> Callable[[int, int], None]:
    """Progress of the fit: the first count is what an earlier run left, which says nothing about the time of this."""
    before: int | None = None

    def advance(done: int, total: int) -> None:
        nonlocal before
        if before is None:
            listener.begin("fit", "Fitting RTS", total, done)
        else:
            listener.advance("fit", done - before)
        before = done

    return advance


def _line(number: int, epoch: Epoch) -> str:
    return f"Epoch {number}: held-out loss {epoch.loss:.3f} ({_parts(epoch)})"


def _parts(epoch: Epoch) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in epoch.parts.items())


def _show(console: Console, fitted: Fitted, file: Path) -> None:
    """What was fitted, how well, and where it lies."""
    best = fitted.epochs[fitted.best]
    weights = sum(parameter.numel() for parameter in fitted.generator.parameters())
    console.pairs(
        (
            ("Images", f"{fitted.images}, of which {fitted.held_out} held out"),
            ("Best epoch", f"{fitted.best + 1} of {len(fitted.epochs)}, held-out loss {best.loss:.3f}"),
            ("Refined", _parts(fitted.refined)),
            ("Network", f"{weights} weights, {file.stat().st_size / 1e6:.1f} MB"),
            ("File", str(file.resolve())),
        )
    )
    console.note("Drift limits of another RTS no longer hold: run `skinaudit calibrate` with --interpreters rts.")
    console.document(
        {
            "exit_code": int(ExitCode.DONE),
            "stored": str(file.resolve()),
            "images": fitted.images,
            "held_out": fitted.held_out,
            "best_epoch": fitted.best + 1,
            "refined": {"loss": fitted.refined.loss, **fitted.refined.parts},
            "epochs": [{"loss": epoch.loss, **epoch.parts} for epoch in fitted.epochs],
        }
    )
