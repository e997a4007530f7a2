"""What is in an image folder: every file becomes a specimen, readable or with a reason why not."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skinaudit.audit.chain import canonical_json
from skinaudit.images.decode import Picture
from skinaudit.images.decoder import Decoder, decode_found
from skinaudit.images.folder import FoundFile, find_images
from skinaudit.images.identity import digest_of_images, file_id, image_id, seed_for
from skinaudit.images.refusal import ImageRefused


@dataclass(frozen=True)
class Specimen:
    """One file of the folder. ``seed`` comes from its pixels and is never written: it would identify an image."""

    image_id: str
    path: Path
    file_name: str
    status: Literal["readable", "unreadable", "refused", "duplicate"]
    reason: str | None = None
    file_format: str | None = None
    width: int | None = None
    height: int | None = None
    drawn: bool = False
    label: str | None = None
    seed: int = 0
    subgroups: Mapping[str, str] = field(default_factory=dict, hash=False)


_NO_SUBGROUPS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


def survey(
    folder: Path,
    labels: Mapping[str, str],
    key: bytes,
    seed: int,
    decoder: Decoder,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    subgroups: Mapping[str, Mapping[str, str]] = _NO_SUBGROUPS,
) -> list[Specimen]:
    """Decode every file once for its identity; pixels are not kept.

    Args:
        folder: where images are.
        labels: file stem to class name; may be empty.
        key: this site's key behind the image ids.
        seed: the run's seed, mixed into each image's own.
        decoder: reads the files.
        advance: told how many of how many files are done.
        subgroups: file stem to value by label column; may be empty.

    Raises:
        FolderError: no folder, or no image in it.
    """
    files = find_images(folder)
    specimens: list[Specimen] = []
    for number, (file, picture) in enumerate(zip(files, decode_found(files, decoder), strict=True), 1):
        specimen = _specimen(file, picture, labels, key, seed)
        specimens.append(replace(specimen, subgroups=dict(subgroups.get(file.stem, {}))))
        advance(number, len(files))
    return _unique(specimens)


def derive(seed: int, *parts: str | int) -> int:
    """Another seed of 63 bits for a purpose.

    >>> derive(1, "noise", 0) == derive(1, "noise", 0), derive(1, "noise", 0) == derive(1, "noise", 1)
    (True, False)
    """
    text = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def read_again(
    specimens: Sequence[Specimen], decoder: Decoder, seed: int
) -> Iterator[tuple[Specimen, NDArray[np.uint8] | ImageRefused]]:
    """Pixels (H,W,3) uint8 of each specimen, in their order; or why its file does not give them any more.

    Args:
        specimens: readable ones.
        decoder: reads their files.
        seed: the run's seed, as in ``survey``.
    """
    pictures = decoder.stream(one.path for one in specimens)
    for one, picture in zip(specimens, pictures, strict=True):
        if isinstance(picture, ImageRefused):
            yield one, ImageRefused(f"could be read at first, but not later: {picture.reason}", picture.status)
        elif seed_for(picture.pixels, seed) != one.seed:
            yield one, ImageRefused("the file was changed while the command ran", "unreadable")
        else:
            yield one, picture.pixels


def labels_digest(specimens: Iterable[Specimen]) -> str:
    """Digest of (image id, label) pairs, with the subgroups of each image that has any; without any, as ever."""
    return digest_of_images(
        f"{one.image_id} {one.label}{f' {canonical_json(dict(one.subgroups))}' if one.subgroups else ''}"
        for one in specimens
    )


def balanced_choice(specimens: Sequence[Specimen], classes: Mapping[str, str | int], most: int | None) -> set[str]:
    """Ids of at most ``most`` specimens, the classes taken in turn, within a class in the order of their seeds.

    Args:
        specimens: those that may be chosen.
        classes: class of each by image id.
        most: how many; None takes all.
    """
    groups: dict[str | int, list[Specimen]] = defaultdict(list)
    for specimen in sorted(specimens, key=lambda one: derive(one.seed, "choice")):
        groups[classes[specimen.image_id]].append(specimen)
    turns = _in_turn([groups[name] for name in sorted(groups, key=str)])
    return {one.image_id for _, one in zip(range(len(specimens) if most is None else most), turns, strict=False)}


def _in_turn(groups: list[list[Specimen]]) -> Iterator[Specimen]:
    for place in range(max((len(group) for group in groups), default=0)):
        for group in groups:
            if place < len(group):
                yield group[place]


def _specimen(
    file: FoundFile, picture: Picture | ImageRefused, labels: Mapping[str, str], key: bytes, seed: int
) -> Specimen:
    label = labels.get(file.stem)
    name = file.relative
    if isinstance(picture, ImageRefused):
        return Specimen(file_id(file.path, key), file.path, name, picture.status, picture.reason, label=label)
    height, width = picture.pixels.shape[:2]
    return Specimen(
        image_id(picture.pixels, key), file.path, name, "readable", None, picture.file_format, width, height,
        picture.drawn, label, seed_for(picture.pixels, seed),
    )  # fmt: skip


def _unique(specimens: list[Specimen]) -> list[Specimen]:
    """Equal pixels are audited once: the second file of an id is a duplicate with an id of its own."""
    seen: dict[str, int] = {}
    result = []
    for specimen in specimens:
        count = seen[specimen.image_id] = seen.get(specimen.image_id, 0) + 1
        if count == 1:
            result.append(specimen)
            continue
        other = replace(specimen, image_id=f"{specimen.image_id}-{count}")
        if specimen.status == "readable":
            other = replace(other, status="duplicate", reason=f"the same pixels as image {specimen.image_id}")
        result.append(other)
    return result
