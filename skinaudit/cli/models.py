"""``skinaudit models``: which models there are, and what one of them is."""

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
    from skinaudit.calibration.thresholds import DriftThreshold
    from skinaudit.classifier.classifier import ModelFacts

HELP = "List the models at hand, or show what one of them is."

LIST_HELP = """List the models that ship with skinaudit, or the bundles in a folder.

A bundle that cannot be used is listed with the reason.

\b
Examples:
  skinaudit models list
  skinaudit models list my-bundles/

\b
Exit codes: 0 done, 3 no such folder, 7 bug.
"""

SHOW_HELP = """Show what a model is: network, classes, which are malignant, pre-processing, digests, declared figures.

Nothing in a bundle is executed. What stands in it and was not read is listed as ignored.

\b
Examples:
  skinaudit models show isic2018-efficientnet-lite0
  skinaudit models show my-bundle/ --json
  skinaudit models show lesion.pt --network timm:resnet50 --classes mel,nv,bkl --mean imagenet --size 224

\b
Exit codes: 0 done, 2 usage, 4 model refused, 7 bug.
"""


IMPORT_HELP = """Make a MONAI bundle from plain weights; network, classes and pre-processing need not be said again.

Nothing is executed, and nothing is overwritten. The model sees the whole photograph, upright, resized to --size, as
plain weights do in every other command; the bundle is checked to give the same logits. Fill in docs/README.md and
LICENSE before you pass it on.

\b
Examples:
  skinaudit models import lesion.pt --network timm:resnet50 --classes mel,nv --mean imagenet --size 224 --out lesion/
  skinaudit models import w.safetensors --network "monai:DenseNet(init_features=32)" --classes mel,nv --malignant mel
      --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --size 256x320 --out my-bundle/ --license CC-BY-4.0

\b
Exit codes: 0 done, 2 usage, 3 the bundle cannot be written, 4 model refused, 7 bug.
"""


def list_models(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Where to look. Default: the shipped models.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``LIST_HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        from skinaudit.classifier.classifier import find_models, shipped_models

        if folder is not None and not folder.is_dir():
            raise CommandFailed(f"{folder}: no such folder", ExitCode.INPUT_UNUSABLE)
        found = find_models(folder) if folder is not None else list(shipped_models().values())
        entries = [_entry(path) for path in found]
        if entries:
            console.table(("Model", "Network", "Classes", "Folder or reason"), [row[:4] for row in entries])
        else:
            console.say("No model found." if folder else "No model ships with this copy; name a folder of bundles.")
        console.document(
            {
                "exit_code": int(ExitCode.DONE),
                "models": [
                    {"name": name, "network": network, "classes": classes.split(", "), "path": path, "refused": refused}
                    for name, network, classes, _, path, refused in entries
                ],
            }
        )


def _entry(path: Path) -> tuple[str, str, str, str, str, str | None]:
    """Name, network, classes, what the table says last, path, and why it is refused."""
    from skinaudit.classifier.bundle import read_bundle
    from skinaudit.classifier.refusal import ModelRefused

    try:
        bundle = read_bundle(path)
    except ModelRefused as error:
        return path.name, "refused", "", str(error), str(path.resolve()), str(error)
    classes = ", ".join(bundle.classes)
    network = str(bundle.network_arguments.get("model_name", bundle.network_target.rpartition(".")[2]))
    return path.name, network, classes, str(path), str(path.resolve()), None


@takes_a_model
def show_model(model: ModelSource, as_json: options.JsonOption = False) -> None:
    """Replaced by ``SHOW_HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        from dataclasses import asdict

        from skinaudit.calibration.thresholds import read_thresholds

        classifier, _ = options.load_model(model, Device.CPU, None, console)
        card = classifier.card()
        thresholds = read_thresholds(classifier.description.calibration, classifier.digest)
        console.pairs(_card_rows(card, thresholds))
        document = {key: dict(value) if key == "declared" else value for key, value in asdict(card).items()}
        limits = [row.model_dump(mode="json") for row in thresholds.values()]
        console.document({"exit_code": int(ExitCode.DONE), **document, "thresholds": limits})


@takes_a_model
def import_model(
    model: ModelSource,
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="Folder of the bundle; must not exist.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Name of the model. Default: that of the file.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="TEXT", help="Licence of the weights. Default: not stated.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``IMPORT_HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        from skinaudit.classifier.write_bundle import BundleText, import_weights

        classifier = import_weights(options.find_model(model), out, BundleText(name, licence))
        card = classifier.card()
        for line in (*card.preprocessing, *options.model_notes(card)):
            console.note(line)
        console.say(f"{card.network}, {len(card.classes)} classes, weights SHA-256 {card.tensor_digest}")
        console.say(str(out.resolve()))
        console.document(
            {"exit_code": int(ExitCode.DONE), "bundle": str(out.resolve()), "tensor_digest": card.tensor_digest}
        )


def _card_rows(card: ModelFacts, thresholds: dict[str, DriftThreshold]) -> list[tuple[str, str]]:
    height, width = card.input_size
    named = [
        f"{name if title == name else f'{name}: {title}'}{' (malignant)' if name in card.malignant else ''}"
        for name, title in zip(card.classes, card.class_titles, strict=True)
    ]
    limits = [
        f"{name}: L1 at most {row.l1:.4f}, top-20 % overlap at least {row.iou20:.3f}, from {row.images} images"
        for name, row in thresholds.items()
    ]
    return [
        ("Model", f"{card.name}, version {card.version}"),
        ("Kind", card.kind),
        ("Licence", card.licence),
        ("Network", card.network),
        ("Parameters", f"{card.parameters:,}"),
        *_listed("Classes", named),
        ("Input", f"{height} x {width} pixels in the model's own axis order"),
        *_listed("Pre-processing", card.preprocessing),
        ("Weights", f"SHA-256 {card.tensor_digest}"),
        ("Configuration", f"SHA-256 {card.config_digest}"),
        ("Trusted code", card.trusted_code or "no"),
        *_listed("Assumed", card.assumed),
        *_listed("Declared", [f"{name} {value:g}" for name, value in card.declared.items()]),
        *_listed("Drift limits", limits or ["none; run skinaudit calibrate, or an audit measures its own"]),
        *_listed("Ignored", card.ignored),
    ]


def _listed(name: str, lines: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    """Several lines behind one name."""
    return [(name if place == 0 else "", line) for place, line in enumerate(lines or ["none"])]
