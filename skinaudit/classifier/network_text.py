"""A network named on the command line, such as ``timm:resnet50``: its target and arguments for ``build_network``."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.refusal import ModelRefused

MAX_LENGTH = 1000
_FORM = re.compile(r"(timm|torchvision|monai):([\w.-]+)(\(.*\))?", re.ASCII | re.DOTALL)
_HOW = "write timm:resnet50, torchvision:resnet18 or monai:DenseNet121, with literal arguments in brackets if need be"


def read_network(text: str, classes: int, size: tuple[int, int] | None) -> tuple[str, dict[str, Value]]:
    """Read the name of a network and its arguments; those for classes, channels and dimensions need not be given.

    Args:
        text: ``library:name`` or ``library:name(argument=literal, …)``.
        classes: outputs of the network where the text does not say.
        size: (h, w) of the input, for the networks that must know it.

    Returns:
        Target and arguments as a bundle's ``network_def`` has them.

    Raises:
        ModelRefused: The text has another form, or an argument is not a literal.
    """
    match = _FORM.fullmatch(text.strip()) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise ModelRefused(f"--network {text[:100]!r} is not a network's name; {_HOW}.")
    library, name, brackets = match.groups()
    asked = _arguments(brackets or "()", text)
    if library == "timm":
        return "timm.create_model", {"model_name": name, "num_classes": classes, **asked}
    if library == "torchvision":
        return f"torchvision.models.{name}", {"num_classes": classes, **asked}
    return f"monai.networks.nets.{name}", {**_monai_defaults(name, classes, size), **asked}


def network_line(target: str, arguments: Mapping[str, Value]) -> str:
    """Target and arguments on one line, as reports show them."""
    return f"{target}({', '.join(f'{key}={value}' for key, value in arguments.items())})"


def network_name(line: str) -> str:
    """The short name of a network's line.

    >>> network_name("timm.create_model(model_name=resnet50, num_classes=7)"), network_name("monai.DenseNet121(a=1)")
    ('timm resnet50', 'monai.DenseNet121')
    """
    named = re.match(r"timm\.create_model\(.*?model_name=([\w.-]+)", line)
    return f"timm {named[1]}" if named else line.partition("(")[0]


def _monai_defaults(name: str, classes: int, size: tuple[int, int] | None) -> dict[str, Value]:
    """MONAI's families call the same things by different names."""
    family = name.lower()
    if family.startswith("densenet"):
        return {"spatial_dims": 2, "in_channels": 3, "out_channels": classes}
    if family.startswith("resnet"):
        return {"spatial_dims": 2, "n_input_channels": 3, "num_classes": classes}
    if family == "vit":
        sides: dict[str, Value] = {} if size is None else {"img_size": list(size)}
        return {"spatial_dims": 2, "in_channels": 3, **sides, "classification": True, "num_classes": classes}
    return {"spatial_dims": 2, "in_channels": 3, "num_classes": classes}


def _arguments(brackets: str, text: str) -> dict[str, Value]:
    """Read ``(key=literal, …)`` without evaluating anything."""
    try:
        tree = ast.parse(f"f{brackets}", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.args:
        raise ModelRefused(f"--network {text[:100]!r}: arguments must be written (name=value, name=value).")
    arguments: dict[str, Value] = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise ModelRefused(f"--network {text[:100]!r}: ** is not accepted; write each argument out.")
        try:
            literal: object = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise ModelRefused(f"--network: {keyword.arg} is not a literal; write a number, text or list.") from None
        arguments[keyword.arg] = _plain(keyword.arg, literal)
    return arguments


def _plain(name: str, literal: object) -> Value:
    """Narrow a Python literal to what a config file may hold; tuples become lists."""
    if literal is None or isinstance(literal, bool | int | float | str):
        return literal
    if isinstance(literal, list | tuple):
        return [_plain(name, item) for item in literal]
    if isinstance(literal, dict) and all(isinstance(key, str) for key in literal):
        return {str(key): _plain(name, item) for key, item in literal.items()}
    raise ModelRefused(f"--network: {name} holds a {type(literal).__name__}; write numbers, text or lists.")
