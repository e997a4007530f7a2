"""``skinaudit explain``: the map beside a diagnosis, without any attack."""

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
    from skinaudit.report.explanations import Explanation

HELP = """Draw the maps that a clinician would see beside a diagnosis; nothing is attacked.

For each image and kind of map, a PNG shows the photograph as the model gets it and the map over it, and an NPY file
holds the map itself, (height, width) float32 in [0,1]. The class that is explained is the predicted one unless --class
names another.

\b
Examples:
  skinaudit explain isic2018-efficientnet-lite0 photos/lesion.jpg
  skinaudit explain my-bundle/ photos/ --interpreters cam --class mel --out maps/

\b
Exit codes: 0 done, 2 usage, 3 input unusable (also when no file can be read), 4 model refused, 7 bug.
"""


@takes_a_model
def explain(
    model: ModelSource,
    images: options.ImagesArgument,
    interpreters: options.InterpretersOption = "cam,grad",
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Class to explain. Default: the predicted one.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the files go.")] = Path("skinaudit-maps"),
    device: options.DeviceOption = Device.AUTO,
    threads: options.ThreadsOption = None,
    frame: options.FrameOption = None,
    allow_burned_in: options.BurnedInOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        names = options.read_interpreters(interpreters)
        from skinaudit.audit.session import interpreters_for
        from skinaudit.images.reading import Reading
        from skinaudit.images.workers import DecoderPool
        from skinaudit.report.explanations import explain_files

        classifier, place = options.load_model(model, device, threads, console)
        wanted = None if class_name is None else _class_index(class_name, classifier.classes)
        built = interpreters_for(classifier, names, place)
        with DecoderPool(Reading(frame=frame, burned_in=allow_burned_in)) as decoder:
            found = list(explain_files(classifier, built, images, out, place, decoder, wanted))
        if all(one.reason is not None for one in found):
            reasons = "; ".join(sorted({str(one.reason) for one in found})[:3])
            raise CommandFailed(f"{images}: no file can be read ({reasons})", ExitCode.INPUT_UNUSABLE)
        _show(console, found, classifier.classes, out)
        console.document(_document(found, classifier.classes))


def _class_index(name: str, classes: tuple[str, ...]) -> int:
    known = {one.lower(): index for index, one in enumerate(classes)}
    if name.lower() not in known:
        raise typer.BadParameter(f"{name!r} is not among the classes ({', '.join(classes)})", param_hint="--class")
    return known[name.lower()]


def _show(console: Console, found: list[Explanation], classes: tuple[str, ...], out: Path) -> None:
    rows = []
    for one in found:
        if one.reason is not None:
            rows.append((one.file_name, one.reason, "", "", ""))
        else:
            rows.append(
                (
                    one.file_name,
                    classes[one.diagnosis],
                    f"{one.confidence:.3f}",
                    classes[one.explained],
                    f"{one.explained_confidence:.3f}",
                )
            )
    console.table(("File", "Diagnosis", "Confidence", "Map of class", "Its probability"), rows)
    written = sum(len(one.pictures or ()) for one in found)
    console.say()
    console.say("1 map, as PNG and NPY, in" if written == 1 else f"{written} maps, each as PNG and NPY, in")
    console.say(str(out.resolve()))


def _document(found: list[Explanation], classes: tuple[str, ...]) -> dict[str, object]:
    files: list[dict[str, object]] = []
    for one in found:
        if one.reason is not None:
            files.append({"file": one.file_name, "reason": one.reason})
            continue
        files.append(
            {
                "file": one.file_name,
                "diagnosis": classes[one.diagnosis],
                "confidence": one.confidence,
                "explained": classes[one.explained],
                "explained_confidence": one.explained_confidence,
                "pictures": {name: str(path.resolve()) for name, path in (one.pictures or {}).items()},
                "maps": {name: str(path.resolve()) for name, path in (one.maps or {}).items()},
            }
        )
    return {"exit_code": int(ExitCode.DONE), "files": files}
