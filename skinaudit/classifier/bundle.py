"""A MONAI bundle read as inert data: nothing in it is ever executed, and what was not read is listed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skinaudit.classifier.config_file import Value, canonical_json, read_config
from skinaudit.classifier.description import Description, assumed_malignant, checked_classes
from skinaudit.classifier.files import list_files
from skinaudit.classifier.network_text import network_line
from skinaudit.classifier.preprocess import read_preprocess
from skinaudit.classifier.references import Resolver
from skinaudit.classifier.refusal import ModelRefused, shown

METADATA = "configs/metadata.json"
MOST_CLASSES = 1000
#: Longest list of a bundle's own words in a report.
MOST_TOLD = 200
_INFERENCE = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")
_WEIGHTS = ("models/model.safetensors", "models/model.pt")
#: Files of a bundle that are read, or that hold nothing a program could act on.
_HARMLESS = ("docs", "interpreters", "skinaudit", "LICENSE", "LICENSE.txt", "README.md")


@dataclass(frozen=True, eq=False, kw_only=True)
class Bundle(Description):
    """What a bundle folder says about its model. The network is not built and the weights are not read yet."""

    path: Path
    network_target: str
    network_arguments: Mapping[str, Value]
    weights: Path
    metadata: Mapping[str, Value]


def read_bundle(path: Path) -> Bundle:
    """Read a bundle folder.

    Args:
        path: folder with configs/metadata.json, configs/inference.json (or .yaml), models/model.safetensors (or .pt).

    Raises:
        ModelRefused: Something is missing, leaves the folder, is not a literal where one is needed, or has no classes.
    """
    try:
        return _read(path)
    except ModelRefused as error:
        # The message begins with the bundle's name once, whichever part of it was refused.
        raise type(error)(f"{path.name}: {error}") from error


def _read(path: Path) -> Bundle:
    files = list_files(path)
    metadata_file = _first(files, (METADATA,), "metadata")
    inference_file = _first(files, _INFERENCE, "inference config")
    weights_file = _first(files, _WEIGHTS, "weights")
    metadata, config = read_config(path / metadata_file), read_config(path / inference_file)
    resolver = Resolver(inference_file, config)
    target, arguments = _network(resolver)
    preprocess = read_preprocess(_needed(resolver, "preprocessing"))
    classes = _classes(metadata)
    malignant, guessed = _malignant(metadata, classes)
    read = {metadata_file, inference_file, weights_file}
    return Bundle(
        path=path,
        name=_text(metadata.get("name"), path.name),
        version=_text(metadata.get("version"), "not stated"),
        licence=_licence(path, metadata, files),
        kind="MONAI bundle",
        network=shown(network_line(target, arguments)),
        network_target=target,
        network_arguments=arguments,
        preprocess=preprocess,
        classes=classes,
        classes_in=METADATA,
        titles=_titles(metadata, classes),
        malignant=malignant,
        weights=path / weights_file,
        metadata=metadata,
        ignored=_told(
            [
                *sorted(set(config) - resolver.used),
                *(file for file in files if file not in read and file.split("/")[0] not in _HARMLESS),
            ]
        ),
        config_digest=hashlib.sha256(canonical_json({"metadata": metadata, "inference": config}).encode()).hexdigest(),
        declared=_declared(metadata),
        calibration=path / "skinaudit" / "calibration.json",
        assumed=(*_assumed(metadata), *guessed),
        fitted=_fitted(metadata),
    )


def _first(files: list[str], candidates: tuple[str, ...], what: str) -> str:
    for candidate in candidates:
        if candidate in files:
            return candidate
    raise ModelRefused(f"no {what}; add {' or '.join(candidates)}.")


def _needed(resolver: Resolver, key: str) -> Value:
    if key not in resolver.config:
        raise ModelRefused(f'{resolver.file}: the entry "{key}" is missing; add it.')
    return resolver.entry(key)


def _network(resolver: Resolver) -> tuple[str, dict[str, Value]]:
    network = _needed(resolver, "network_def")
    target = network.get("_target_") if isinstance(network, dict) else None
    if not isinstance(network, dict) or not isinstance(target, str):
        raise ModelRefused(f'{resolver.file}: network_def must be an object with "_target_" and literal arguments.')
    return target, {key: value for key, value in network.items() if key != "_target_"}


def _text(value: Value, default: str) -> str:
    return shown(value, 200) if isinstance(value, str) and shown(value) else shown(default, 200)


def _told(names: list[str], longest: int = 200) -> tuple[str, ...]:
    """Names or sentences out of a bundle as a report may list them."""
    more = (f"and {len(names) - MOST_TOLD} more",) if len(names) > MOST_TOLD else ()
    return (*(shown(name, longest) for name in names[:MOST_TOLD]), *more)


def _object(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _classes(metadata: dict[str, Value]) -> tuple[str, ...]:
    """Read class names in the order of the network's outputs."""
    place = "network_data_format.outputs.pred.channel_def"
    value: Value = metadata
    for step in place.split("."):
        value = _object(value).get(step)
    names = _object(value)
    if not names:
        raise ModelRefused(
            f'{METADATA}: no class names. Add them as {place}, for instance {{"0": "mel", "1": "nv"}}, one for '
            "each output of the network."
        )
    if len(names) > MOST_CLASSES:
        raise ModelRefused(f"{METADATA}: {place} has {len(names)} names; at most {MOST_CLASSES} are accepted.")
    if set(names) != {str(index) for index in range(len(names))}:
        raise ModelRefused(f'{METADATA}: the keys of {place} must count "0", "1", … without a gap.')
    return checked_classes([names[str(index)] for index in range(len(names))], f"{METADATA}: {place}")


def _titles(metadata: dict[str, Value], classes: tuple[str, ...]) -> tuple[str, ...]:
    titles = _object(_object(metadata.get("skinaudit")).get("class_titles"))
    return tuple(_text(titles.get(name), name) for name in classes)


def _assumed(metadata: dict[str, Value]) -> tuple[str, ...]:
    """What was assumed when the bundle was made, which makes it no more certain than it was."""
    listed = _object(metadata.get("skinaudit")).get("assumed", [])
    if not isinstance(listed, list) or not all(isinstance(line, str) for line in listed):
        raise ModelRefused(f"{METADATA}: skinaudit.assumed must be a list of sentences.")
    return _told([str(line) for line in listed], 1000)


def _fitted(metadata: dict[str, Value]) -> dict[str, str]:
    """SHA-256 of the interpreters that were fitted to the model and lie in the bundle, by name."""
    listed = _object(_object(metadata.get("skinaudit")).get("interpreters"))
    return {shown(name, 100): digest for name, digest in listed.items() if isinstance(digest, str)}


def _malignant(metadata: dict[str, Value], classes: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Malignant classes, and a line when the bundle does not state them."""
    listed = _object(metadata.get("skinaudit")).get("malignant")
    if listed is None:
        return assumed_malignant(classes)
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    if not isinstance(listed, list) or set(names) - set(classes):
        raise ModelRefused(f"{METADATA}: skinaudit.malignant must list class names out of {', '.join(classes)}.")
    return tuple(name for name in classes if name in names), ()


def _licence(path: Path, metadata: dict[str, Value], files: list[str]) -> str:
    for key in ("license", "licence"):
        if _text(metadata.get(key), ""):
            return _text(metadata.get(key), "")
    for name in ("LICENSE", "LICENSE.txt"):
        if name in files:
            with (path / name).open(encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file.read(4096).splitlines() if line.strip()]
            if lines:
                return shown(lines[0], 200)
    return _text(metadata.get("copyright"), "not stated")


def _declared(metadata: dict[str, Value]) -> dict[str, float]:
    """Read figures that the bundle states about itself; only flat numbers are kept."""
    measured = _object(_object(metadata.get("skinaudit")).get("measured"))
    return {
        shown(key, 100): float(value)
        for key, value in list(measured.items())[:MOST_TOLD]
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
