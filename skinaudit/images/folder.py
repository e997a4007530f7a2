"""Image files in a folder, and the labels that lie beside them."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from skinaudit.images.decode import FORMATS, format_of, read_head
from skinaudit.images.refusal import ImageRefused

#: Endings that mark an image; whether its format can be decoded is decided by its content.
_IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".dcm", ".dicom", ".dic", ".tif", ".tiff", ".bmp", ".dib"),
    *(".webp", ".gif", ".jp2", ".j2k", ".jxl", ".heic", ".heif", ".avif"),
)

#: The file by which a run directory below the images is known.
RUN_MARK = "run.sqlite"

#: What lies beside images and is none: passed over without a word.
_COMPANION_SUFFIXES = frozenset({".csv", ".json", ".md", ".py", ".txt"})
_COMPANION_NAMES = frozenset({"readme", "license", "licence", "notice", "thumbs.db", "desktop.ini"})

_MAX_LABEL_BYTES = 64 * 2**20
_IMAGE_COLUMNS = ("image", "image_id")  # ours and ISIC 2018 / HAM10000


class FolderError(Exception):
    """No image can be taken from the place that was named; one line saying why."""


class LabelsError(Exception):
    """A label file cannot be used; one line with the row and what was expected."""


@dataclass(frozen=True)
class FoundFile:
    """One file that was found.

    Attributes:
        path: where it lies.
        relative: POSIX path below the folder that was searched, always printable.
        stem: file name without an image ending: what label files know it by.
        reason: why it cannot be decoded (no path or file name in it); None for an image.
    """

    path: Path
    relative: str
    stem: str
    reason: str | None


@dataclass(frozen=True)
class LabelFile:
    """What a label file says.

    Attributes:
        labels: stem of the image -> class name as the model spells it.
        columns: name of each further column, in lower case -> stem -> what its cell says; empty cells are left out.
        contradictions: columns that say two things of one image -> the first row that contradicts an earlier one.
    """

    labels: dict[str, str]
    columns: dict[str, dict[str, str]]
    contradictions: dict[str, int] = field(default_factory=dict)


def find_images(folder: Path) -> list[FoundFile]:
    """Find the image files of a folder and all folders below it; a single image file works as well.

    Hidden files, label files and read-me files are passed over. Symbolic links are never followed; they, unknown kinds
    of files and folders that cannot be read are listed with a reason, so that nothing is dropped silently. (The folder
    itself may be a link: the user named it.)

    Args:
        folder: a folder, or one image file.

    Returns:
        All that was found, sorted by relative path.

    Raises:
        FolderError: it is missing, or nothing in it is an image.
    """
    if folder.is_dir():
        found = sorted(_walk(folder), key=lambda file: file.relative)
    elif os.path.lexists(folder):
        found = [_found(folder, folder.name, _reason(folder))]
    else:
        raise FolderError(f"{folder}: no such folder or image file")
    if not any(file.reason is None for file in found):
        counts = Counter(file.reason for file in found)
        others = "; ".join(f"{count} x {reason}" for reason, count in sorted(counts.items(), key=str))
        raise FolderError(f"{folder}: no image files ({', '.join(FORMATS)})" + (f"; found {others}" if others else ""))
    return found


def find_labels(folder: Path) -> Path | None:
    """The ``labels.csv`` that lies directly inside a folder of images, or None."""
    candidate = folder / "labels.csv"
    return candidate if candidate.is_file() else None


def read_labels(path: Path, classes: Sequence[str]) -> dict[str, str]:
    """The class of each image alone; see ``read_label_file``."""
    return read_label_file(path, classes).labels


def read_label_file(path: Path, classes: Sequence[str]) -> LabelFile:
    """Read the class of each image from a CSV file, and what its other columns say.

    Two forms are known: columns ``image,dx``, and the one-hot form of ISIC, ``image`` and one column for each class
    with exactly one 1.0 in a row. Case does not count in column and class names; images may carry folders and an
    ending; a byte order mark is fine.

    Args:
        path: the file, UTF-8, at most 64 MiB.
        classes: class names of the model.

    Raises:
        LabelsError: the file cannot be read, its header is none of the two, a label is not among the classes, an image
            has two labels.
    """
    rows = _read_rows(path)
    if not rows:
        raise LabelsError(f"{path}: the label file is empty")
    header = [name.strip().lower() for name in rows[0]]
    image_column = next((header.index(name) for name in _IMAGE_COLUMNS if name in header), None)
    label_of = _label_reader(header, classes)
    named = [name for name in header if name]  # spreadsheets leave nameless columns behind
    if image_column is None or label_of is None or len(set(named)) < len(named):
        raise LabelsError(
            f"{path}: header not understood; expected the columns image,dx or image and one column for each class "
            f"({', '.join(classes)}), each once"
        )
    known = {*_IMAGE_COLUMNS, "dx", *(name.lower() for name in classes)}
    found = LabelFile({}, {name: {} for name in named if name not in known})
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            stem, label = _read_row(row, len(header), image_column, label_of)
        except LabelsError as error:
            raise LabelsError(f"{path}: row {number}: {error}") from None
        if found.labels.setdefault(stem, label) != label:
            other = found.labels[stem]
            raise LabelsError(f"{path}: row {number}: image {_shown(stem)} is {label} here, {other} in an earlier row")
        _add_cells(found, stem, zip(header, row, strict=True), number)
    if not found.labels:
        raise LabelsError(f"{path}: the label file has a header but no rows")
    return found


def _walk(folder: Path) -> Iterator[FoundFile]:
    """Every entry below a folder that is listed, in no order."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = list(os.scandir(current))
        except OSError as error:
            relative = _printable(current.relative_to(folder))
            yield _found(current, relative, f"folder cannot be read: {error.strerror}")
            continue
        if any(entry.name == RUN_MARK for entry in entries):
            continue  # a run directory: its pictures are results, not photographs
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif not _is_companion(entry.name):
                yield _found(path, _printable(path.relative_to(folder)), _reason(path))


def _found(path: Path, relative: str, reason: str | None) -> FoundFile:
    return FoundFile(path, relative, _stem(relative), reason)


def _printable(relative: Path) -> str:
    """POSIX path as text that can be stored: names that are not UTF-8 get replacement characters."""
    return os.fsencode(relative.as_posix()).decode("utf-8", "replace")


def _is_companion(name: str) -> bool:
    lowered = name.lower()
    return PurePosixPath(lowered).suffix in _COMPANION_SUFFIXES or lowered in _COMPANION_NAMES


def _reason(path: Path) -> str | None:
    """Why a file is no image to decode; archives export DICOM without an ending, so the content has a say."""
    if path.is_symlink():
        return "symbolic link"
    if not path.is_file():
        return "not a regular file"
    if path.suffix.lower() in _IMAGE_SUFFIXES:
        return None
    try:
        known = format_of(read_head(path))
    except ImageRefused as error:
        return error.reason
    return None if known else "not an image file"  # the ending is not quoted: a file name may hold a patient's name


def _stem(name: str) -> str:
    """File name without folders and image ending; a dot in a UID is no ending."""
    file = PurePosixPath(name.replace("\\", "/"))
    return file.stem if file.suffix.lower() in _IMAGE_SUFFIXES else file.name


def _shown(text: str) -> str:
    """Text of a file inside a one-line message."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _read_rows(path: Path) -> list[list[str]]:
    """All rows of a CSV file of sane size, separated by comma, semicolon or tab, whichever its header uses."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_LABEL_BYTES + 1)
    except OSError as error:
        raise LabelsError(f"{path}: the label file cannot be read: {error.strerror}") from error
    if len(data) > _MAX_LABEL_BYTES:
        raise LabelsError(f"{path}: the label file is larger than 64 MiB")
    try:
        text = data.decode("utf-8-sig")
        header = text.partition("\n")[0]
        separator = max(",;\t", key=header.count)
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path}: the label file is not UTF-8 text; save it as CSV UTF-8") from error
    except csv.Error as error:
        raise LabelsError(f"{path}: the label file is not CSV: {error}") from error


def _label_reader(header: Sequence[str], classes: Sequence[str]) -> Callable[[Sequence[str]], str] | None:
    """Choose how a row's label is read, by the header; None when it is of neither form."""
    known = {name.lower(): name for name in classes}
    if "dx" in header:
        column = header.index("dx")
        return lambda row: _named_label(row[column], known)
    columns = {index: known[name] for index, name in enumerate(header) if name in known}
    others = [name for name in header if name not in known and name not in _IMAGE_COLUMNS]
    return (lambda row: _one_hot_label(row, columns, others)) if columns else None


def _read_row(
    row: Sequence[str], width: int, image_column: int, label_of: Callable[[Sequence[str]], str]
) -> tuple[str, str]:
    """(stem, class name) of one row."""
    if len(row) != width:
        raise LabelsError(f"{len(row)} columns where the header has {width}")
    stem = _stem(row[image_column].strip())
    if not stem:
        raise LabelsError("no image is named")
    return stem, label_of(row)


def _add_cells(found: LabelFile, stem: str, row: Iterable[tuple[str, str]], number: int) -> None:
    """Keep what the further columns of one row say of an image."""
    for name, cell in row:
        said = " ".join(cell.split())
        if name in found.columns and said and found.columns[name].setdefault(stem, said) != said:
            found.contradictions.setdefault(name, number)


def _named_label(cell: str, known: Mapping[str, str]) -> str:
    """Class name of a ``dx`` cell."""
    label = cell.strip()
    if label.lower() not in known:
        raise LabelsError(
            f"label {_shown(label)} is not among the classes of the model ({', '.join(known.values())}); name the "
            "classes as the model does, or go without labels (a labels.csv in the folder is read unless moved away)"
        )
    return known[label.lower()]


def _one_hot_label(row: Sequence[str], columns: Mapping[int, str], others: Sequence[str]) -> str:
    """Class name of the one column that is 1."""
    hot = []
    for index, name in columns.items():
        try:
            value = float(row[index])
        except ValueError:
            raise LabelsError(f"column {name} holds {_shown(row[index])}, expected 0.0 or 1.0") from None
        if value not in {0.0, 1.0}:
            raise LabelsError(f"column {name} holds {_shown(row[index])}, expected 0.0 or 1.0")
        if value:
            hot.append(name)
    if len(hot) == 1:
        return hot[0]
    if hot:
        raise LabelsError(f"two or more classes are marked: {', '.join(hot)}")
    beside = f"; not among the classes: {', '.join(_shown(name) for name in others)}" if others else ""
    raise LabelsError(f"no class is marked; known are {', '.join(columns.values())}{beside}")
