"""The argument MODEL and the options that describe a model which is no bundle, for every command that takes a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skinaudit.classifier.source import ModelSource, Triple, is_factory
from skinaudit.cli.composed import composed

#: Mean and deviation by name, of RGB pixels in [0,1].
_STATISTICS: dict[str, tuple[Triple, Triple]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A MONAI bundle folder, the name of a shipped model, a file of weights (then also --network, "
        "--classes, --mean, --std, --size), a TorchScript or torch.export archive, or a Python function "
        "package.module:function (then also --trust-code).",
    ),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="LIBRARY:NAME",
        help="Network of plain weights: timm:resnet50, torchvision:resnet18, monai:DenseNet121; literal arguments "
        "may follow in brackets.",
    ),
]
ClassesOption = Annotated[
    str | None, typer.Option("--classes", metavar="LIST", help="Classes in the order of the outputs, with commas.")
]
MalignantOption = Annotated[
    str | None,
    typer.Option("--malignant", metavar="LIST", help="Malignant classes, or none. Default: by their names."),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="R,G,B",
        help="What is taken from pixels in [0,1]: three numbers; or imagenet or none, which set --std as well.",
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option("--std", metavar="R,G,B", help="What they are then divided by: three numbers, imagenet or none."),
]
SizeOption = Annotated[
    str | None,
    typer.Option("--size", metavar="N|HxW", help="Input in pixels: the whole image is resized to that."),
]
WeightsKeyOption = Annotated[
    str | None,
    typer.Option("--weights-key", metavar="NAME", help="Which weights, in a file with several: ema, for instance."),
]
WeightsPrefixOption = Annotated[
    str | None,
    typer.Option(
        "--weights-prefix",
        metavar="PREFIX",
        help="Take only the tensors under PREFIX, as model. of a Lightning checkpoint that holds a loss as well.",
    ),
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Weights for a Python function's network.")
]
TrustCodeOption = Annotated[
    bool,
    typer.Option("--trust-code", help="Run code that comes with the model. It can do all that you can do."),
]


def read_source(
    model: ModelArgument,
    network: NetworkOption = None,
    classes: ClassesOption = None,
    malignant: MalignantOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    size: SizeOption = None,
    weights_key: WeightsKeyOption = None,
    weights_prefix: WeightsPrefixOption = None,
    weights: WeightsOption = None,
    trust_code: TrustCodeOption = False,
) -> ModelSource:
    """Read what the command line says of a model.

    Raises:
        typer.BadParameter: an option cannot be read.
    """
    is_function = is_factory(model) and not Path(model).exists()
    return ModelSource(
        place=None if is_function else Path(model),
        factory=model if is_function else None,
        network=network,
        weights_key=weights_key,
        weights_prefix=weights_prefix,
        classes=_names(classes) if classes is not None else (),
        malignant=None if malignant is None else () if malignant.strip().lower() == "none" else _names(malignant),
        mean=_statistic(mean or _word(std), 0, "--mean"),
        std=_statistic(std or _word(mean), 1, "--std"),
        size=None if size is None else read_size(size),
        weights=weights,
        trust_code=trust_code,
    )


#: Gives a command with a parameter ``model: ModelSource`` the argument MODEL and the options that describe it.
takes_a_model = composed("model", read_source)


def read_size(text: str) -> tuple[int, int]:
    """One side of a square, or height x width.

    >>> read_size("224"), read_size("240x320")
    ((224, 224), (240, 320))

    Raises:
        typer.BadParameter: neither.
    """
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.strip().isascii() and side.strip().isdigit() for side in sides):
        raise typer.BadParameter(f"{text!r} is no size; write 224, or 240x320 (height x width)", param_hint="--size")
    return int(sides[0]), int(sides[-1])


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _word(text: str | None) -> str | None:
    """A name stands for mean and deviation at once."""
    return text if text is not None and text.strip().lower() in _STATISTICS else None


def _statistic(text: str | None, which: int, option: str) -> Triple | None:
    if text is None:
        return None
    named = _STATISTICS.get(text.strip().lower())
    if named is not None:
        return named[which]
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither three numbers with commas nor {' or '.join(_STATISTICS)}", param_hint=option
        ) from None
    return first, second, third
