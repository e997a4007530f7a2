"""Which further columns of a label file make subgroups, and what each image belongs to.

A column may name a patient, so only those of well-known names are taken unasked; what is left out is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skinaudit.images.folder import LabelFile, LabelsError

#: In place of a column's name: no subgroups, whatever the label file holds.
NO_SUBGROUPS = "none"
#: Most values of a column that is taken unasked, and of one that the user names.
MOST_VALUES, MOST_VALUES_NAMED = 12, 30
#: Longer values are free text, which may hold anything.
LONGEST_VALUE = 40
#: A column that is taken unasked says each value of this many images on average.
_IMAGES_A_VALUE = 2

#: What stands for nothing known.
_UNSTATED = frozenset({"na", "n/a", "nan", "null", "unknown", "not stated", "?", "-"})
#: Words of which the name of a column must consist to be taken unasked: what people audit by, and what tells nobody
#: from anybody. A list of what may *not* be taken would miss the next hospital's word for a patient.
_FAMILIAR = frozenset(
    {"sex", "gender", "age", "ages", "approx", "approximate", "band", "bin", "group", "decade", "range", "years"}
    | {"agegroup", "ageband", "agerange", "agebin", "agedecade"}
    | {"site", "anatom", "anatomic", "anatomical", "anatomy", "body", "part", "region", "general", "challenge"}
    | {"localization", "localisation", "location"}
    | {"skin", "type", "tone", "colour", "color", "phototype", "skintype", "fitzpatrick", "ethnicity", "race"}
    | {"device", "camera", "dermoscope", "dermatoscope", "manufacturer", "model", "modality", "magnification"}
    | {"dermoscopic", "dermoscopy", "polarized", "polarised", "polarization", "polarisation"}
    | {"hospital", "clinic", "centre", "center", "country", "dataset", "source", "cohort", "split"}
    | {"dx", "diagnosis", "confirm", "confirmed", "confirmation", "histology", "melanocytic", "benign", "malignant"}
)
#: Words that may stand beside one of those, as in "patient age".
_WHOSE = frozenset({"patient", "subject", "participant", "lesion", "image"})
#: Long numbers, dates, addresses of mail, and names of people as DICOM writes them.
_IDENTIFIER_VALUE = re.compile(r"\d{5}|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|[@^]")
_YEARS = re.compile(r"0*(\d{1,3})(?:\.\d+)?\s*(?:y|yo|yrs?|years?)?", re.IGNORECASE)
#: Ages from here on are one group: so few people are older that the decade would tell who they are.
_OLDEST = 90
_LARGEST_AGE = 120


@dataclass(frozen=True)
class Subgroups:
    """Columns that make subgroups.

    Attributes:
        columns: their names in lower case, in the order in which tables are printed.
        values: stem of an image -> column -> value; a column that says nothing of an image is not there.
        left_out: columns that make none -> why, without quoting what they hold.
    """

    columns: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def choose_subgroups(file: LabelFile, asked: Sequence[str] | None) -> Subgroups:
    """Subgroups from the further columns of a label file.

    Numbers in a column of ages become decades, "50-59", from 90 on "90+"; numbers that are no age count as not stated,
    as do empty cells and words such as "unknown". Case does not tell values apart.

    Args:
        file: the label file.
        asked: names of columns, in any case, each of which must be usable; none at all: no subgroups. None: every
            column of a familiar name (sex, age, site, skin type, device, hospital and their like) that has 2 to 12
            values, each of two images on average, none of which looks like an identifier.

    Raises:
        LabelsError: a column that was asked for is not there, or cannot be shown.
    """
    named = None if asked is None else tuple(dict.fromkeys(name.strip().lower() for name in asked))
    grouped: dict[str, dict[str, str]] = {}
    left_out: dict[str, str] = {}
    for name in file.columns if named is None else named:
        if name not in file.columns:
            there = f"; there are {', '.join(file.columns)}" if file.columns else "; it has none but image and class"
            raise LabelsError(f"the label file has no column {name!r} for subgroups{there}")
        cells = _one_spelling(_stated(name, file.columns[name]))
        reason = _unfit(name, cells, file)
        if named is None:
            reason = reason or _unasked(name, cells)
        elif reason is not None:
            raise LabelsError(f"column {name!r} of the label file makes no subgroups: {reason}")
        if reason is None:
            grouped[name] = cells
        else:
            left_out[name] = reason
    return Subgroups(tuple(grouped), _by_image(grouped), left_out)


def _stated(name: str, cells: Mapping[str, str]) -> dict[str, str]:
    """Stem -> value, without what stands for nothing; ages as decades."""
    known = {stem: cell for stem, cell in cells.items() if cell.lower() not in _UNSTATED}
    if "age" not in _words(name):
        return known
    banded = {stem: _decade(cell) for stem, cell in known.items()}
    return {stem: band for stem, band in banded.items() if band is not None}


def _decade(cell: str) -> str | None:
    """The decade of an age in years; any other text as it is, but None for a number that is no age.

    >>> [_decade(cell) for cell in ("55", "50.0", "007Y", "93", "-1", "999", "50-59")]
    ['50-59', '50-59', '0-9', '90+', None, None, '50-59']
    """
    years = _YEARS.fullmatch(cell)
    if years is None:
        return None if re.fullmatch(r"[-+]?[\d.,]+", cell) else cell
    age = int(years.group(1))
    if age > _LARGEST_AGE:
        return None
    return f"{_OLDEST}+" if age >= _OLDEST else f"{age // 10 * 10}-{age // 10 * 10 + 9}"


def _one_spelling(cells: Mapping[str, str]) -> dict[str, str]:
    """Values that differ in case alone become one, whatever the order of rows."""
    spelling: dict[str, str] = {}
    for value in sorted(set(cells.values())):
        spelling.setdefault(value.casefold(), value)
    return {stem: spelling[value.casefold()] for stem, value in cells.items()}


def _unfit(name: str, cells: Mapping[str, str], file: LabelFile) -> str | None:
    """Why a column makes no subgroups whoever asks for them."""
    values = set(cells.values())
    if len(name) > LONGEST_VALUE or not name.isprintable():
        return f"its name is longer than {LONGEST_VALUE} characters, or not printable"
    if name == NO_SUBGROUPS:
        return "its name is the word for no subgroups"
    if name in file.contradictions:
        return f"row {file.contradictions[name]} says of an image what an earlier row does not"
    if any(len(value) > LONGEST_VALUE or not value.isprintable() for value in values):
        return f"a value is longer than {LONGEST_VALUE} characters, or not printable: free text"
    if len(values) < 2:
        return "it does not have two values"
    if len(values) == len(cells):
        return "every value is there once, as in identifiers"
    return f"it has more than {MOST_VALUES_NAMED} values" if len(values) > MOST_VALUES_NAMED else None


def _unasked(name: str, cells: Mapping[str, str]) -> str | None:
    """Why a column that nobody asked for makes no subgroups."""
    words, values = _words(name), set(cells.values())
    if not _FAMILIAR & set(words) or not set(words) <= _FAMILIAR | _WHOSE:
        return "its name is not one of those that are taken unasked; --subgroup takes it, if it names nobody"
    if any(_IDENTIFIER_VALUE.search(value) for value in values):
        return "a value looks like an identifier or a date"
    if len(values) > MOST_VALUES:
        return f"it has more than {MOST_VALUES} values"
    if len(cells) < _IMAGES_A_VALUE * len(values):
        return "its values are hardly ever there twice"
    return None


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name)


def _by_image(grouped: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for column, cells in grouped.items():
        for stem, value in cells.items():
            found.setdefault(stem, {})[column] = value
    return found
