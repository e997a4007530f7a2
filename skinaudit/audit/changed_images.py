"""Which images of a run are gone, and which are new, in words for whoever wants to go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

#: Most images that are named; the others are counted.
MOST_NAMED = 3


class NamedImage(Protocol):
    """An image as a run stores it, or as it was found now."""

    @property
    def image_id(self) -> str:
        """Keyed id."""

    @property
    def file_name(self) -> str | None:
        """Name of its file."""

    @property
    def label(self) -> str | None:
        """Class that the label file gives it."""


def changed_images(
    stored: Sequence[NamedImage], begun_with: int, found: Sequence[NamedImage], *, show_file_names: bool
) -> str:
    """How the images of a run and those that were found now differ; empty when they do not.

    Args:
        stored: images that the run has looked at; fewer than it began with, if it was interrupted early.
        begun_with: how many it began with.
        found: the images that are there now.
        show_file_names: name images by their files where these are known, else by their ids.

    Returns:
        A phrase such as "2 images are missing (3f0c…, 91d2…) and 1 image is new (77aa…)".
    """
    before, now = {one.image_id: one for one in stored}, {one.image_id: one for one in found}
    gone = [one for name, one in before.items() if name not in now]
    added = [one for name, one in now.items() if name not in before]
    if len(before) < begun_with:
        return _partly(gone, begun_with, len(now), show_file_names=show_file_names)
    if before and len(gone) == len(before) and added:
        return f"none of its {_images(begun_with)} is there: is it another folder, or another --id-key?"
    parts = [
        f"{_images(len(group))} {'is' if len(group) == 1 else 'are'} {what} ({_named(group, show_file_names)})"
        for group, what in ((gone, "missing"), (added, "new"))
        if group
    ]
    relabelled = [one for name, one in now.items() if name in before and before[name].label != one.label]
    if relabelled and parts:
        other = "has another label" if len(relabelled) == 1 else "have other labels"
        parts.append(f"{_images(len(relabelled))} {other} ({_named(relabelled, show_file_names)})")
    return " and ".join(parts)


def _partly(gone: Sequence[NamedImage], begun_with: int, now: int, *, show_file_names: bool) -> str:
    """The run was interrupted before it had looked at every image, so nobody can say which ones are new."""
    counts = f"it began with {_images(begun_with)} and there {'is' if now == 1 else 'are'} {now} now"
    missing = f", among the missing {_named(gone, show_file_names)}" if gone else ""
    return counts + (missing or (", others among them" if begun_with == now else ""))


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _named(images: Sequence[NamedImage], show_file_names: bool) -> str:
    names = sorted(one.file_name if show_file_names and one.file_name else one.image_id for one in images)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
