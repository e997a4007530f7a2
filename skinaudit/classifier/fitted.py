"""What a bundle's metadata says of the interpreters that were fitted to its model."""

from __future__ import annotations

import json

from skinaudit.classifier.bundle import METADATA, Bundle
from skinaudit.classifier.config_file import Value, read_config


def name_fitted(bundle: Bundle, interpreter: str, digest: str) -> None:
    """Write the SHA-256 of an interpreter's file into ``skinaudit.interpreters`` of the metadata, whole or not at all.

    The digest of the configuration changes with it: a run that began with another map cannot go on with this one.

    Raises:
        ModelRefused: the metadata cannot be read any more.
        OSError: it cannot be written.
    """
    file = bundle.path / METADATA
    content = read_config(file)
    own = _object(content.get("skinaudit"))
    named: dict[str, Value] = {**_object(own.get("interpreters")), interpreter: digest}
    content["skinaudit"] = {**own, "interpreters": named}
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(file)


def _object(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}
