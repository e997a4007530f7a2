"""May a run go on? Only when everything that decides its results is what it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skinaudit.audit.failures import RunDiffers

#: Keys of the environment that decide results (one frozen batch shape: threads, device class and precision with it).
DECIDING_ENVIRONMENT = ("threads", "device class", "precision")

_NAMES = {
    "tool_version": "version of skinaudit",
    "model.tensor_digest": "the model's weights (digest)",
    "model.config_digest": "the model's configuration (digest)",
    "images_digest": "the images (digest)",
    "labels_given": "labels given",
    "labels_digest": "the labels (digest)",
    "subgroups": "label columns of subgroups",
    "config.threat.epsilon": "epsilon",
    "config.threat.norm": "norm of the attack",
    "config.threat.flow_limit": "limit of the flow",
    "config.threat.full_resolution": "attack at full resolution",
    "config.threat.target": "target class rule",
    "config.threat.target_map": "target map",
    "config.budget.images": "most images attacked",
    "config.frame": "frame of multi-frame DICOM files",
    "config.burned_in": "burned-in annotation allowed",
}
_DIGEST_DIGITS = 12


def differences(old: Mapping[str, object], new: Mapping[str, object], images: str = "") -> list[str]:
    """Names each thing by which two runs would give different results.

    Args:
        old: the stored header, as parsed JSON.
        new: the header of the run that wants to go on, as parsed JSON.
        images: how their images differ, in words; empty: their digests are shown.

    Returns:
        One phrase for each difference, such as "epsilon was 8/255, now 4/255"; empty when the run may go on.
    """
    before, after = _deciding(old), _deciding(new)
    changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    if "images_digest" in changed:
        changed = [key for key in changed if not _follows_from_images(key, old, new)]
    return [
        images
        if images and key == "images_digest"
        else f"{_name(key)} was {_words(key, before.get(key))}, now {_words(key, after.get(key))}"
        for key in changed
    ]


def refuse_differing(folder: Path, old: Mapping[str, object], new: Mapping[str, object], images: str = "") -> None:
    """Let a run go on only when nothing that decides its results has changed.

    Args:
        folder: the run directory.
        old: the stored header, as parsed JSON.
        new: the header of the run that wants to go on, as parsed JSON.
        images: how their images differ, in words; empty: their digests are shown.

    Raises:
        RunDiffers: something has; the message names each thing.
    """
    found = differences(old, new, images)
    if found:
        raise RunDiffers(
            f"{folder} holds a run that was started differently: {'; '.join(found)}."
            " Give what it was started with, or another folder"
        )


def _follows_from_images(key: str, old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Is this different because the images are: their labels, and drift limits that were measured on them?"""
    kind, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    return key == "labels_digest" or (kind == "threshold" and all(_measured(name, header) for header in (old, new)))


def _measured(interpreter: str, header: Mapping[str, object]) -> bool:
    origins = header.get("threshold_origins")
    return isinstance(origins, Mapping) and origins.get(interpreter) not in {None, "bundle"}


def _deciding(header: Mapping[str, object]) -> dict[str, object]:
    model, environment = header.get("model"), header.get("environment")
    chosen: dict[str, object] = {
        "tool_version": header.get("tool_version"),
        "config": header.get("config"),
        "images_digest": header.get("images_digest"),
        "labels_given": header.get("labels_given"),
        "labels_digest": header.get("labels_digest"),
        "subgroups": header.get("subgroups") or None,  # a run of a version without them has none
        "threshold": _by_interpreter(header.get("thresholds")),
    }
    if isinstance(model, Mapping):
        chosen["model"] = {key: model.get(key) for key in ("tensor_digest", "config_digest")}
    if isinstance(environment, Mapping):
        chosen["environment"] = {key: environment[key] for key in DECIDING_ENVIRONMENT if key in environment}
    return _flat("", chosen)


def _by_interpreter(thresholds: object) -> dict[str, object]:
    """Drift limits without their parts by harmless change, which say how they came about and decide nothing."""
    listed = [entry for entry in thresholds if isinstance(entry, Mapping)] if isinstance(thresholds, list) else []
    return {
        str(entry.get("interpreter")): {key: value for key, value in entry.items() if key != "by_change"}
        for entry in listed
    }


def _flat(prefix: str, value: object) -> dict[str, object]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat.update(_flat(f"{prefix}.{key}" if prefix else str(key), inner))
    return flat


def _name(key: str) -> str:
    if key in _NAMES:
        return _NAMES[key]
    return key.removeprefix("config.").removeprefix("environment.").replace("_", " ").replace(".", " ")


def _words(key: str, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "(" + ", ".join(_words(key, entry) for entry in value) + ")"
    if key.endswith("epsilon") and isinstance(value, float):
        levels = round(value * 255)
        return f"{levels}/255" if value == levels / 255 else repr(value)
    if key.endswith("digest"):
        return f"{str(value)[:_DIGEST_DIGITS]}…"
    return str(value)
