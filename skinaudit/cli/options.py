"""Arguments and options that several commands share, and how their text is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skinaudit.classifier.source import ModelSource
from skinaudit.cli.console import Console
from skinaudit.config import AuditConfig, Device

if TYPE_CHECKING:
    import torch

    from skinaudit.audit.records import ModelCard
    from skinaudit.classifier.classifier import Classifier, ModelFacts
    from skinaudit.images.workers import DecoderPool

ImagesArgument = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGES", help="A folder of images (JPEG, PNG, TIFF, BMP, WebP, DICOM), in any depth; or one image."
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="CSV with the columns image,dx, or one-hot as ISIC has it. Default: labels.csv in the folder.",
    ),
]
SubgroupOption = Annotated[
    list[str] | None,
    typer.Option(
        "--subgroup",
        metavar="COLUMN",
        help="Column of the label file to count results by, such as sex or age; may be given again. Default: every "
        "column of 2 to 12 values named sex, age, site, skin type, device or the like; none: no subgroups.",
    ),
]
InterpretersOption = Annotated[
    str,
    typer.Option(
        "--interpreters",
        metavar="LIST",
        help="Kinds of map, with commas: cam, grad, rts, mask; also mask-fast, grad-cam, grad-cam++, layer-cam, "
        "smooth-grad, integrated-gradients and those of installed packages.",
    ),
]
#: The four families of the paper.
DEFAULT_INTERPRETERS = ",".join(AuditConfig().interpreters)
DeviceOption = Annotated[
    Device, typer.Option("--device", metavar="auto|cpu|cuda", help="Where the model runs; auto takes CUDA if it can.")
]
BatchOption = Annotated[int, typer.Option("--batch-size", metavar="N", min=1, max=256, help="Images at a time.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, max=1024, help="Processor threads. Default: all usable processors."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Where every random draw starts.")
]
#: What is said of images without labels.
NO_LABELS = "No labels: the predicted class is the reference, and no accuracy is stated."

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; the rest goes to stderr.")]
IdKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--id-key",
        metavar="FILE",
        help="Secret key behind the image ids. Default: one for this user, made when first needed.",
    ),
]
FrameOption = Annotated[
    int | None,
    typer.Option("--frame", metavar="N", min=1, help="Frame of multi-frame DICOM files. Default: these are refused."),
]
BurnedInOption = Annotated[
    bool,
    typer.Option("--allow-burned-in", help="Take DICOM files that declare burned-in annotation: it may name patients."),
]


def read_interpreters(text: str) -> tuple[str, ...]:
    """Names of interpreters with commas between, each once, in the order given.

    Raises:
        typer.BadParameter: none, or one that does not exist.
    """
    from skinaudit.interpreters.registry import kinds

    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in kinds()]
    if unknown or not names:
        what = f"no interpreter is called {unknown[0]!r}" if unknown else "no interpreter is named"
        raise typer.BadParameter(f"{what}; there are {', '.join(kinds())}", param_hint="--interpreters")
    return names


def read_subgroups(columns: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of label columns, each once; empty for the word none, None where nothing was said.

    >>> read_subgroups(["Sex", "sex ", "age"]), read_subgroups(["none"]), read_subgroups(None), read_subgroups([])
    (('sex', 'age'), (), None, None)

    Raises:
        typer.BadParameter: none beside others, or an empty name.
    """
    from skinaudit.images.subgroups import NO_SUBGROUPS

    names = tuple(dict.fromkeys(name.strip().lower() for name in columns or ()))
    if names == (NO_SUBGROUPS,):
        return ()
    if NO_SUBGROUPS in names or "" in names:
        what = f"{NO_SUBGROUPS!r} stands alone" if NO_SUBGROUPS in names else "a column's name is empty"
        raise typer.BadParameter(what, param_hint="--subgroup")
    return names or None


def find_model(model: ModelSource) -> ModelSource:
    """The model itself when it is there; else the shipped one of that name.

    Raises:
        ModelRefused: neither exists.
    """
    from skinaudit.classifier.classifier import shipped_models
    from skinaudit.classifier.refusal import ModelRefused

    if model.place is None or model.place.exists():
        return model
    shipped, text = shipped_models(), str(model.place)
    if text in shipped:
        return replace(model, place=shipped[text])
    names = (
        f"the name of a shipped model ({', '.join(sorted(shipped))})" if shipped else "no model ships with this copy"
    )
    raise ModelRefused(
        f"{text}: no such bundle folder or file; give the folder that holds configs/ and models/, a file of weights, "
        f"or {names}"
    )


def load_model(
    model: ModelSource, device: Device, threads: int | None, console: Console
) -> tuple[Classifier, torch.device]:
    """The classifier and the device it is on; says what was assumed of it, and whether code of it ran.

    Raises:
        ModelRefused, DeviceUnavailable: each with one line for the user.
    """
    import torch

    from skinaudit.audit.machine import choose_device
    from skinaudit.classifier.classifier import load_classifier

    place = torch.device(choose_device(device))
    torch.set_num_threads(thread_count(threads))
    classifier = load_classifier(find_model(model), place)
    for line in model_notes(classifier.card()):
        console.note(line)
    return classifier, place


def model_notes(card: ModelFacts | ModelCard) -> list[str]:
    """What a user should know of a model before any figure of it: what nobody stated, and whether code of it ran."""
    code = [f"Trusted code was run: {card.trusted_code}"] if card.trusted_code else []
    return [*(f"Assumed: {line}" for line in card.assumed), *code]


def labels_for(images: Path, labels: Path | None, console: Console, without: str = NO_LABELS) -> Path | None:
    """The label file that was named, else the one that lies in the folder; says where labels come from.

    ``without`` is what there is to say when there are none.
    """
    from skinaudit.images.folder import find_labels

    if labels is not None:
        return labels
    found = find_labels(images)
    if found is None:
        console.note(without)
    else:
        console.note(f"Labels: {found}")
    return found


def read_truth(
    images: Path, labels: Path | None, classes: Sequence[str], console: Console, without: str = NO_LABELS
) -> dict[str, str]:
    """Label of each file stem, from the label file that was named or lies in the folder; empty where there is none.

    Raises:
        LabelsError: the file cannot be read, or names other classes.
    """
    from skinaudit.images.folder import read_labels

    named = labels_for(images, labels, console, without)
    return read_labels(named, classes) if named else {}


def open_decoder(frame: int | None, burned_in: bool) -> DecoderPool:
    """The processes that decode files, told which frame and whether burned-in text is allowed; for a ``with``."""
    from skinaudit.images.reading import Reading
    from skinaudit.images.workers import DecoderPool

    return DecoderPool(Reading(frame=frame, burned_in=burned_in))


def thread_count(threads: int | None) -> int:
    """The number that was asked for, else all processors that may be used."""
    from skinaudit.audit.machine import usable_processors

    return usable_processors() if threads is None else threads


def default_run_folder(model: ModelSource, images: Path) -> Path:
    """Where a run goes when nobody says: the same command finds it again."""
    parts: Sequence[str] = (model.name.replace(":", "."), images.resolve().name)
    return Path("skinaudit-runs") / "-".join(parts)


#: The one batch shape that fits most machines.
DEFAULT_BATCH = int(AuditConfig().batch_size)
