"""Columns of a label file become subgroups; what looks like an identifier does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinaudit.images.folder import LabelFile, LabelsError, read_label_file
from skinaudit.images.subgroups import Subgroups, choose_subgroups

ROWS = 12


def label_file(**columns: list[str]) -> LabelFile:
    """A file of as many images as there are cells; empty cells are left out, as the reader does."""
    count = max(len(cells) for cells in columns.values())
    stems = [f"i{number:02d}" for number in range(count)]
    said = {
        name: {stem: cell for stem, cell in zip(stems, cells, strict=False) if cell} for name, cells in columns.items()
    }
    return LabelFile(dict.fromkeys(stems, "mel"), said)


def chosen(name: str, cells: list[str]) -> Subgroups:
    return choose_subgroups(label_file(**{name: cells}), None)


def groups(found: Subgroups, column: str) -> list[str]:
    return [row[column] for _, row in sorted(found.values.items()) if column in row]


# --- what is taken unasked --------------------------------------------------------------------------------------------


def test_columns_of_few_values_are_taken_in_the_order_of_the_file() -> None:
    found = choose_subgroups(label_file(site=["back", "leg"] * 6, sex=["f", "m"] * 6), None)
    assert found.columns == ("site", "sex")
    assert found.left_out == {}
    assert found.values["i01"] == {"site": "leg", "sex": "m"}


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("one", ["same"] * ROWS, "two values"),
        ("empty", [""] * ROWS, "two values"),
        ("code", [f"x{number}" for number in range(ROWS)], "every value is there once"),
        ("site", [f"g{number}" for number in range(13)] * 3, "more than 12 values"),
        ("site", [f"g{number}" for number in range(7)] + ["g0"] * 5, "hardly ever there twice"),
        ("story", ["short"] * 6 + ["l" * 41] * 6, "longer than 40 characters"),
        ("story", ["a"] * 6 + ["b\x1b[31m"] * 6, "not printable"),
        ("patient_id", ["p1", "p2"] * 6, "not one of those that are taken unasked"),
        ("lesion", ["p1", "p2"] * 6, "not one of those that are taken unasked"),
        ("patient", ["p1", "p2"] * 6, "not one of those that are taken unasked"),
        ("image_name", ["p1", "p2"] * 6, "not one of those that are taken unasked"),
        ("date_of_birth", ["x", "y"] * 6, "not one of those that are taken unasked"),
        ("study date", ["x", "y"] * 6, "not one of those that are taken unasked"),
        ("region", ["2019-03-04", "2020-03-04"] * 6, "looks like an identifier or a date"),
        ("region", ["4.3.2019", "5.3.2019"] * 6, "looks like an identifier or a date"),
        ("source", ["81723645", "81723646"] * 6, "looks like an identifier or a date"),
        ("clinic", ["a@b.org", "c@d.org"] * 6, "looks like an identifier or a date"),
        ("none", ["x", "y"] * 6, "word for no subgroups"),
        ("n" * 41, ["x", "y"] * 6, "its name is longer"),
    ],
)
def test_what_may_identify_or_says_nothing_is_left_out_with_the_reason(name: str, cells: list[str], why: str) -> None:
    found = chosen(name, cells)
    assert found.columns == ()
    assert not found.values
    assert why in found.left_out[name]


@pytest.mark.parametrize(
    "name",
    [
        "patientid",
        "patientname",
        "patient nr.",
        "clinician",
        "dermatologist",
        "pat",
        "nachname",
        "nom",
        "studydate",
        "patientname2",
        "first_visit",
        "initials",
        "nhs_number",
        "lesion_nr",
        "site_id",
        "age of patient jones",
    ],
)
def test_a_column_of_any_other_name_waits_to_be_asked_for(name: str) -> None:
    assert chosen(name, ["a", "b"] * 6).columns == ()
    assert choose_subgroups(label_file(**{name: ["a", "b"] * 6}), [name]).columns == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "sex",
        "age_approx",
        "anatom_site_general_challenge",
        "localization",
        "fitzpatrick_skin_type",
        "dx_type",
        "device",
        "hospital",
        "age group",
        "skintype",
        "benign_malignant",
    ],
)
def test_columns_that_people_audit_by_are_taken(name: str) -> None:
    assert chosen(name, ["a", "b"] * 6).columns == (name,)
    assert chosen(name, ["Okafor^Benedict", "Zwiebelhuber^Anna"] * 6).columns == ()


def test_reasons_quote_no_value() -> None:
    found = choose_subgroups(label_file(story=["Anna Meyer " * 8] * 6 + ["x"] * 6, visit=["2019-03-04", "y"] * 6), None)
    assert "Anna" not in str(found.left_out)
    assert "2019" not in str(found.left_out)


def test_names_about_patients_that_are_no_identifiers_are_taken() -> None:
    for name in ("sex", "patient_sex", "anatom_site_general", "dx_type", "fitzpatrick"):
        assert chosen(name, ["a", "b", "c"] * 4).columns == (name,)


# --- what a value becomes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["age", "age_approx", "patient age", "age (years)"])
def test_ages_become_decades(name: str) -> None:
    found = chosen(name, ["55", "50.0", "059Y", "9", "0", "61 years"] * 2)
    assert groups(found, name) == ["50-59", "50-59", "50-59", "0-9", "0-9", "60-69"] * 2


def test_ages_from_ninety_on_are_one_group() -> None:
    assert groups(chosen("age", ["89", "90", "97", "104"] * 3), "age") == ["80-89", "90+", "90+", "90+"] * 3


def test_numbers_that_are_no_age_are_not_stated_and_bands_stay_as_they_are() -> None:
    found = chosen("age", ["-1", "999", "45", "50-59", "", "3.5e2"] * 3)
    assert groups(found, "age") == ["40-49", "50-59", "3.5e2"] * 3


def test_no_raw_age_is_kept_whatever_the_number() -> None:
    found = chosen("age", [str(age) for age in range(121)])
    assert found.left_out == {}
    assert set(groups(found, "age")) == {f"{low}-{low + 9}" for low in range(0, 90, 10)} | {"90+"}


def test_numbers_in_a_column_of_another_name_stay_as_they_are() -> None:
    assert groups(chosen("phototype", ["1", "2"] * 6), "phototype") == ["1", "2"] * 6


@pytest.mark.parametrize("nothing", ["", "NA", "n/a", "NaN", "null", "Unknown", "not stated", "?", "-"])
def test_what_stands_for_nothing_is_no_value(nothing: str) -> None:
    found = chosen("sex", ["f", "m", nothing] * 4)
    assert set(groups(found, "sex")) == {"f", "m"}
    assert "i02" not in found.values


def test_case_does_not_tell_values_apart_and_the_order_of_rows_does_not_matter() -> None:
    cells = ["female", "Female", "male", "MALE"] * 3
    assert set(groups(chosen("sex", cells), "sex")) == {"Female", "MALE"}
    assert sorted(groups(chosen("sex", cells), "sex")) == sorted(groups(chosen("sex", cells[::-1]), "sex"))


@given(cells=st.lists(st.text(max_size=45), min_size=1, max_size=40), name=st.text(min_size=1, max_size=45))
def test_any_column_gives_short_printable_repeated_values_or_none(cells: list[str], name: str) -> None:
    found = chosen(name, cells)
    values = groups(found, name)
    assert bool(found.columns) is bool(values)
    assert set(found.left_out) == ({name} - set(found.columns))
    assert all(len(value) <= 40 and value.isprintable() for value in values)
    if values:
        assert 2 <= len(set(values)) <= 12
        assert len(values) >= 2 * len(set(values))


# --- what the user asks for -------------------------------------------------------------------------------------------


def test_asked_columns_are_taken_in_the_order_asked_and_no_others() -> None:
    file = label_file(site=["back", "leg"] * 6, sex=["f", "m"] * 6, age=["20", "30"] * 6)
    found = choose_subgroups(file, ["Age", "sex", "age "])
    assert (found.columns, found.left_out) == (("age", "sex"), {})
    assert choose_subgroups(file, []) == Subgroups()


def test_asking_lifts_the_rule_of_names_and_of_twelve_values_and_no_other() -> None:
    file = label_file(site_id=[f"g{number}" for number in range(13)] * 2, notes=["l" * 41, "x"] * 6, code=["u", "v"])
    assert choose_subgroups(file, ["site_id"]).columns == ("site_id",)
    with pytest.raises(LabelsError, match="'notes' of the label file makes no subgroups: a value is longer than 40"):
        choose_subgroups(file, ["notes"])
    with pytest.raises(LabelsError, match=r"'code' .* every value is there once"):
        choose_subgroups(file, ["code"])
    with pytest.raises(LabelsError, match="more than 30 values"):
        choose_subgroups(label_file(site=[f"g{number}" for number in range(31)] * 2), ["site"])


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(LabelsError, match="no column 'race' for subgroups; there are sex, site"):
        choose_subgroups(label_file(sex=["f"], site=["leg"]), ["race"])
    with pytest.raises(LabelsError, match="it has none but image and class"):
        choose_subgroups(LabelFile({"a": "mel"}, {}), ["sex"])


def test_a_column_that_says_two_things_of_an_image_is_left_out_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,dx,sex,site\na,mel,f,leg\nb,mel,m,leg\nc,mel,f,arm\nd,mel,m,arm\na,mel,m,leg\n")
    file = read_label_file(path, ("mel", "nv"))
    assert file.contradictions == {"sex": 6}
    assert choose_subgroups(file, None).columns == ("site",)
    with pytest.raises(LabelsError, match="row 6 says of an image what an earlier row does not"):
        choose_subgroups(file, ["sex"])
