"""A MONAI bundle read as inert data: nothing in it is ever executed, and what was not read is listed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skinaudit.classifier.config_file import Value, canonical_json, read_config
from skinaudit.classifier.preprocess import Preprocess, read_preprocess
from skinaudit.classifier.references import Resolver
from skinaudit.classifier.refusal import ModelRefused

MAX_ENTRIES = 10_000
METADATA = "configs/metadata.json"
_INFERENCE = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")
_WEIGHTS = ("models/model.safetensors", "models/model.pt")
#: Files of a bundle that are read, or that hold nothing a program could act on.
_HARMLESS = ("docs", "skinaudit", "LICENSE", "LICENSE.txt", "README.md")
#: Class names that count as malignant when the metadata does not say.
_MALIGNANT = frozenset(
    {"mel", "melanoma", "bcc", "basal cell carcinoma", "akiec", "ak", "actinic keratosis", "scc"}
    | {"squamous cell carcinoma", "merkel cell carcinoma", "malignant"}
)


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a bundle folder says about its model. The network is not built and the weights are not read yet."""

    path: Path
    name: str
    version: str
    licence: str
    network_target: str
    network_arguments: Mapping[str, Value]
    preprocess: Preprocess
    classes: tuple[str, ...]
    titles: tuple[str, ...]
    malignant: tuple[str, ...]
    weights: Path
    metadata: Mapping[str, Value]
    ignored: tuple[str, ...]
    config_digest: str
    declared: Mapping[str, float]

    @property
    def calibration(self) -> Path:
        """Where the drift thresholds of this model are stored."""
        return self.path / "skinaudit" / "calibration.json"


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
    files = _list_files(path)
    metadata_file = _first(files, (METADATA,), "metadata")
    inference_file = _first(files, _INFERENCE, "inference config")
    weights_file = _first(files, _WEIGHTS, "weights")
    metadata, config = read_config(path / metadata_file), read_config(path / inference_file)
    resolver = Resolver(inference_file, config)
    target, arguments = _network(resolver)
    preprocess = read_preprocess(_needed(resolver, "preprocessing"))
    classes = _classes(metadata)
    read = {metadata_file, inference_file, weights_file}
    return Bundle(
        path=path,
        name=_text(metadata.get("name"), path.name),
        version=_text(metadata.get("version"), "not stated"),
        licence=_licence(path, metadata, files),
        network_target=target,
        network_arguments=arguments,
        preprocess=preprocess,
        classes=classes,
        titles=_titles(metadata, classes),
        malignant=_malignant(metadata, classes),
        weights=path / weights_file,
        metadata=metadata,
        ignored=(
            *sorted(set(config) - resolver.used),
            *(file for file in files if file not in read and file.split("/")[0] not in _HARMLESS),
        ),
        config_digest=hashlib.sha256(canonical_json({"metadata": metadata, "inference": config}).encode()).hexdigest(),
        declared=_declared(metadata),
    )


def _list_files(path: Path) -> list[str]:
    """List files relative to the bundle; a link could lead out of it, so every link is refused."""
    if not path.is_dir():
        raise ModelRefused("no such bundle folder. Give the folder that holds configs/ and models/.")
    found: list[str] = []
    for folder, folders, names in os.walk(path, followlinks=False):
        folders.sort()
        for name in sorted(folders + names):
            entry = Path(folder) / name
            relative = entry.relative_to(path).as_posix()
            if entry.is_symlink():
                raise ModelRefused(
                    f"{relative} is a symbolic link; a bundle must hold its files itself. Copy the file in."
                )
            if name in names:
                if not entry.is_file():
                    raise ModelRefused(f"{relative} is not a regular file. Remove it.")
                found.append(relative)
        if len(found) > MAX_ENTRIES:
            raise ModelRefused(f"more than {MAX_ENTRIES} files; this is not a bundle. Give the bundle's own folder.")
    return sorted(found)


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
    return value.strip()[:200] if isinstance(value, str) and value.strip() else default


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
    if set(names) != {str(index) for index in range(len(names))}:
        raise ModelRefused(f'{METADATA}: the keys of {place} must count "0", "1", … without a gap.')
    classes = tuple(str(names[str(index)]) for index in range(len(names)))
    if not all(_is_class_name(name) for name in names.values()) or len(set(classes)) < len(classes) or len(classes) < 2:
        raise ModelRefused(f"{METADATA}: {place} must hold at least two different, printable names, got {classes}.")
    return classes


def _is_class_name(value: Value) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value.strip()) <= 100


def _titles(metadata: dict[str, Value], classes: tuple[str, ...]) -> tuple[str, ...]:
    titles = _object(_object(metadata.get("skinaudit")).get("class_titles"))
    return tuple(_text(titles.get(name), name) for name in classes)


def _malignant(metadata: dict[str, Value], classes: tuple[str, ...]) -> tuple[str, ...]:
    listed = _object(metadata.get("skinaudit")).get("malignant")
    if listed is None:
        return tuple(name for name in classes if name.strip().lower() in _MALIGNANT)
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    if not isinstance(listed, list) or set(names) - set(classes):
        raise ModelRefused(f"{METADATA}: skinaudit.malignant must list class names out of {', '.join(classes)}.")
    return tuple(name for name in classes if name in names)


def _licence(path: Path, metadata: dict[str, Value], files: list[str]) -> str:
    for key in ("license", "licence"):
        if _text(metadata.get(key), ""):
            return _text(metadata.get(key), "")
    for name in ("LICENSE", "LICENSE.txt"):
        if name in files:
            with (path / name).open(encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file.read(4096).splitlines() if line.strip()]
            if lines:
                return lines[0][:200]
    return _text(metadata.get("copyright"), "not stated")


def _declared(metadata: dict[str, Value]) -> dict[str, float]:
    """Read figures that the bundle states about itself; only flat numbers are kept."""
    measured = _object(_object(metadata.get("skinaudit")).get("measured"))
    return {
        key: float(value)
        for key, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
