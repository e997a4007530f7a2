"""Models that are programs: they run only for a user who trusts whoever wrote them, and that is written down."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from skinaudit.classifier.code_archive import CodeArchive
from skinaudit.classifier.compiled import ExportedNetwork, ScriptedNetwork
from skinaudit.classifier.description import Description, TrustedCode
from skinaudit.classifier.model_code import code_of_a_model
from skinaudit.classifier.plain import describe, fit_plain, stated_classes
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource
from skinaudit.classifier.stated_preprocess import stated_preprocess

_WHAT_THEN = "If you trust its author with this machine, add --trust-code"


def open_archive(source: ModelSource, path: Path, kind: CodeArchive) -> tuple[Description, nn.Module]:
    """Load a TorchScript or torch.export archive, which runs the program in it.

    Raises:
        ModelRefused: The user did not say that the code is trusted, something else was not said, or loading failed.
    """
    if not source.trust_code:
        raise ModelRefused(
            f"{source.name}: is a {kind}, and loading it runs the program in it. {_WHAT_THEN}; else save the "
            "state_dict alone and name the network with --network."
        )
    told = (source.network, source.weights_key, source.weights_prefix, source.weights)
    if any(one is not None for one in told):
        raise ModelRefused(
            f"{source.name}: is a {kind}, which brings its network and weights; leave out --network, --weights-key, "
            "--weights-prefix and --weights."
        )
    stated_classes(source)
    stated = stated_preprocess(source)
    code = TrustedCode(f"{kind} {path.name}", _sha256(path))
    with code_of_a_model(source.name):
        network: nn.Module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that TorchScript is old; the user knows what they have
            if kind == "TorchScript archive":
                network = ScriptedNetwork(torch.jit.load(str(path), map_location="cpu"))
            else:
                network = ExportedNetwork(torch.export.load(str(path)))
        _check_tensors(network, source)
    return describe(source, kind, kind, stated, code), network


def open_factory(source: ModelSource) -> tuple[Description, nn.Module]:
    """Import a Python function from the current directory or the module path, and let it build the network.

    A function with a parameter that must be given, or is called ``weights``, is given the path of the weights (None
    without --weights). Weights for any other function are read as data and fitted strictly to the network it gives.

    Raises:
        ModelRefused: The user did not say that the code is trusted, something else was not said, or the code fails.
    """
    if not source.trust_code:
        raise ModelRefused(
            f"{source.name}: names a Python function, and importing it runs its code. {_WHAT_THEN}; else export the "
            "weights and name the network with --network."
        )
    if source.network is not None:
        raise ModelRefused(f"{source.name}: builds its network itself; leave out --network.")
    classes = stated_classes(source)
    stated = stated_preprocess(source)
    with code_of_a_model(source.name), _current_directory_importable():
        function, file = _find(source.name)
        code = TrustedCode(f"Python function {source.name}", _sha256(file))
        takes_path = _takes_path(function)
        network = function(source.weights) if takes_path else function()
        if not isinstance(network, nn.Module):
            raise ModelRefused(f"gave a {type(network).__name__}, not a torch.nn.Module.")
        _check_tensors(network, source)
    ignored: tuple[str, ...] = ()
    if source.weights is not None and not takes_path:
        ignored = fit_plain(network, source.weights, source, len(classes))
    elif source.weights_key is not None or source.weights_prefix is not None:
        raise ModelRefused(f"{source.name}: reads its weights itself; leave out --weights-key and --weights-prefix.")
    return describe(source, "Python function", type(network).__name__, stated, code, ignored), network


def _takes_path(function: Callable[..., object]) -> bool:
    """Does a function ask for the weights? Other defaults of its own, such as ``pretrained=False``, stay."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind in (first.VAR_POSITIONAL, first.VAR_KEYWORD, first.KEYWORD_ONLY):
        return False
    return first.default is first.empty or first.name == "weights"


def _find(name: str) -> tuple[Callable[..., object], Path]:
    module_name, _, function_name = name.partition(":")
    module = importlib.import_module(module_name)
    function: object = getattr(module, function_name, None)
    if not callable(function):
        raise ModelRefused(f"the module {module_name} has no function {function_name}.")
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        raise ModelRefused(f"the module {module_name} has no source file, so it cannot be identified.")
    return function, Path(file)


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """Installed commands do not look for modules where they are started; ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _check_tensors(network: nn.Module, source: ModelSource) -> None:
    """The model is named by its tensors, so all of them must be plain."""
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise ModelRefused(
                f"{source.name}: {name[:100]} is not a dense tensor with values (a quantised model?). An audit needs "
                "the model with floating-point weights."
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
