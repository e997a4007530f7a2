"""Plain weights, which say nothing but numbers: the user names the network, the classes and the pre-processing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from skinaudit.classifier.config_file import Value, canonical_json
from skinaudit.classifier.description import Description, TrustedCode, assumed_malignant, checked_classes
from skinaudit.classifier.network_text import network_line, read_network
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.sketch import check_pass
from skinaudit.classifier.source import ModelSource
from skinaudit.classifier.state_dict import (
    PlainState,
    chosen_state,
    misfit_hints,
    refuse_prefixed,
    without_prefixes,
)
from skinaudit.classifier.stated_preprocess import Stated, stated_preprocess
from skinaudit.classifier.weights import check_weights, fit_weights


@dataclass(frozen=True, eq=False)
class PlainModel:
    """A network with its weights, how a bundle would write it down, and what is known besides."""

    description: Description
    network: nn.Module
    target: str
    arguments: Mapping[str, Value]
    stated: Stated


def open_plain(source: ModelSource) -> PlainModel:
    """Build the network that was named and fit the weights of a file to it.

    Raises:
        ModelRefused: Something was not said, the file cannot be read as data, or the weights do not fit.
    """
    path = source.place
    if path is None or source.network is None:
        raise ModelRefused(
            f"{source.name}: plain weights do not say which network they belong to. Give --network, for instance "
            "timm:resnet50, torchvision:resnet18 or monai:DenseNet121, and --classes in the order of the outputs."
        )
    if source.weights is not None:
        raise ModelRefused(f"{source.name}: are the weights; leave out --weights, which belongs to a Python function.")
    classes = stated_classes(source)
    target, arguments = read_network(source.network, len(classes), source.size)
    stated = stated_preprocess(source, str(arguments["model_name"]) if target == "timm.create_model" else None)
    state = chosen_state(path, source.weights_key, source.weights_prefix)

    def approve(sketch: nn.Module) -> None:
        _fitting(state, sketch, len(classes))
        check_pass(sketch, stated.size)

    # Before the network takes any memory it is held against the weights, whose size is that of their file.
    network = build_network(target, arguments, approve)
    fit_weights(network, _fitting(state, network, len(classes)), state.file)
    description = describe(source, "plain weights", network_line(target, arguments), stated, ignored=state.ignored())
    return PlainModel(description, network, target, arguments, stated)


def fit_plain(network: nn.Module, path: Path, source: ModelSource, classes: int) -> tuple[str, ...]:
    """Copy the weights of a file into a network, after strict checks.

    Args:
        network: what receives the weights.
        path: the file.
        source: says which weights in the file are meant.
        classes: how many classes are stated.

    Returns:
        Lines on what was left out of the file.

    Raises:
        ModelRefused: The file cannot be read as data, or the weights do not fit; likely reasons are added.
    """
    state = chosen_state(path, source.weights_key, source.weights_prefix)
    fit_weights(network, _fitting(state, network, classes), state.file)
    return state.ignored()


def _fitting(state: PlainState, network: nn.Module, classes: int) -> dict[str, Tensor]:
    """Weights under the network's own names, held against it by names, shapes and types."""
    own: dict[str, Tensor] = network.state_dict()
    found = without_prefixes(state.tensors, own)
    try:
        check_weights(own, found, state.file)
    except ModelRefused as error:
        refuse_prefixed(state, own)
        hints = misfit_hints(found, own, classes)
        raise ModelRefused(" ".join([str(error), *(f"Likely: {hint}." for hint in hints)])) from error
    return found


def stated_classes(source: ModelSource) -> tuple[str, ...]:
    """Class names in the order of the outputs, as the user gave them.

    Raises:
        ModelRefused: None are given, or they cannot be names of classes.
    """
    if not source.classes:
        raise ModelRefused(
            f"{source.name}: does not name its classes. Give --classes, with commas, in the order of the outputs."
        )
    return checked_classes(source.classes, f"{source.name}: --classes")


def describe(
    source: ModelSource,
    kind: str,
    network: str,
    stated: Stated,
    code: TrustedCode | None = None,
    ignored: tuple[str, ...] = (),
) -> Description:
    """Put together what is known about a model that is no bundle.

    Raises:
        ModelRefused: The classes cannot be used, or a malignant one is not among them.
    """
    classes = stated_classes(source)
    malignant, assumed = _malignant(source, classes)
    facts: dict[str, Value] = {
        "network": network,
        "classes": list(classes),
        "malignant": list(malignant),
        "preprocessing": stated.transforms,
        "code": None if code is None else str(code),
    }
    digest = hashlib.sha256(canonical_json(facts).encode()).hexdigest()
    return Description(
        name=source.name,
        version="not stated",
        licence="not stated",
        kind=kind,
        network=network,
        preprocess=stated.preprocess,
        classes=classes,
        classes_in="--classes",
        titles=classes,
        malignant=malignant,
        ignored=ignored,
        config_digest=digest,
        declared={},
        calibration=_calibration(source, digest),
        assumed=(*stated.assumed, *assumed),
        code=code,
    )


def _malignant(source: ModelSource, classes: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Malignant classes, and a line when nobody stated them."""
    if source.malignant is None:
        return assumed_malignant(classes)
    unknown = [name for name in source.malignant if name not in classes]
    if unknown:
        raise ModelRefused(f"--malignant {unknown[0][:100]!r} is not among the classes {', '.join(classes)}.")
    return tuple(name for name in classes if name in source.malignant), ()


def _calibration(source: ModelSource, digest: str) -> Path:
    """Drift thresholds lie beside the weights; other pre-processing of the same weights has a file of its own."""
    beside = source.place or source.weights or Path(str(source.factory).replace(":", "."))
    return beside.with_name(f"{beside.name}.calibration-{digest[:12]}.json")
