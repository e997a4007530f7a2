"""``skinaudit predict``: what the model says of a folder, as the deployed system would."""

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
    from skinaudit.audit.predictions import FilePrediction, Score

HELP = """Print what a model says of each image, as the deployed system would.

The whole pre-processing of the bundle runs, without the rounding to 8 bits that an audit needs. Every file is accounted
for: one that cannot be used stands in the table with its reason. With labels, accuracy and balanced accuracy follow.
File names are printed; this output is for you, not for a report.

\b
Examples:
  skinaudit predict isic2018-efficientnet-lite0 photos/
  skinaudit predict my-bundle/ photos/ --labels truth.csv --out predictions.csv

\b
Exit codes: 0 done, 2 usage, 3 input unusable (also when no file can be read), 4 model refused, 7 bug.
"""


@takes_a_model
def predict(
    model: ModelSource,
    images: options.ImagesArgument,
    labels: options.LabelsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write a CSV with all probabilities.")
    ] = None,
    device: options.DeviceOption = Device.AUTO,
    batch_size: options.BatchOption = options.DEFAULT_BATCH,
    threads: options.ThreadsOption = None,
    frame: options.FrameOption = None,
    allow_burned_in: options.BurnedInOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        from skinaudit.audit.predictions import predict_files, predictions_table, score

        classifier, place = options.load_model(model, device, threads, console)
        truth = options.read_truth(images, labels, classifier.classes, console)
        with options.open_decoder(frame, allow_burned_in) as decoder, console.progress() as listener:
            advance = listener.counter("Predicting")
            found = predict_files(
                classifier, images, truth, decoder, batch_size=batch_size, device=place, advance=advance
            )
        if not any(one.status == "predicted" for one in found):
            raise CommandFailed(f"{images}: none of {len(found)} files can be read", ExitCode.INPUT_UNUSABLE)
        if out is not None:
            out.write_text(predictions_table(found, classifier.classes), encoding="utf-8")
        result = score(found, classifier.classes) if truth else None
        _show(console, found, classifier.classes, result, out)
        console.document(_document(found, classifier.classes, result))


def _show(
    console: Console, found: list[FilePrediction], classes: tuple[str, ...], result: Score | None, out: Path | None
) -> None:
    rows = []
    for one in found:
        if one.predicted is None:
            rows.append((one.file_name, f"{one.status}: {one.reason}", "", one.label or ""))
        else:
            rows.append((one.file_name, classes[one.predicted], f"{max(one.probabilities):.3f}", one.label or ""))
    console.table(("File", "Diagnosis", "Confidence", "Label"), rows)
    unread = sum(one.status != "predicted" for one in found)
    console.say()
    console.say(f"{len(found)} files, {len(found) - unread} predicted, {unread} not readable")
    if result is not None:
        console.say(
            f"Accuracy {result.accuracy:.3f} ({result.correct} of {result.n}), balanced accuracy "
            f"{result.balanced_accuracy:.3f}"
        )
    if out is not None:
        console.say(str(out.resolve()))


def _document(found: list[FilePrediction], classes: tuple[str, ...], result: Score | None) -> dict[str, object]:
    files = [
        {
            "file": one.file_name,
            "status": one.status,
            "reason": one.reason,
            "label": one.label,
            "predicted": None if one.predicted is None else classes[one.predicted],
            "probabilities": dict(zip(classes, one.probabilities, strict=False)),
        }
        for one in found
    ]
    scores = None
    if result is not None:
        scores = {"n": result.n, "accuracy": result.accuracy, "balanced_accuracy": result.balanced_accuracy}
    return {"exit_code": int(ExitCode.DONE), "files": files, "score": scores}
