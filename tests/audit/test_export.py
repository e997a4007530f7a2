from __future__ import annotations

import csv
import io

from skinaudit.audit.export import COLUMNS, results_table
from skinaudit.audit.records import Prediction, Record
from tests.audit.rows import CLASSES, record


def table(*records: Record) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(results_table(records, CLASSES))))


def test_a_record_becomes_one_line_of_words_and_numbers() -> None:
    (row,) = table(record(image_ssim=1 / 3))
    assert row["unit_id"] == "img1-cam-adv2"
    assert (row["source_class"], row["target_class"], row["predicted_class"]) == ("nv", "mel", "mel")
    assert (row["confidence"], row["image_ssim"], row["linf_levels"]) == ("0.97", "0.333333", "8")
    assert (row["flipped"], row["kept"], row["joint"]) == ("true", "true", "true")
    assert (row["target_l1"], row["target_rms"], row["original_l1"], row["original_ssim"]) == (
        "0.01",
        "0.02",
        "0.5",
        "0.57",
    )
    assert row["reason"] == ""


def test_every_scalar_of_a_record_has_a_column() -> None:
    nested = {"prediction", "to_target", "to_benign", "original_class", "artifacts"}
    assert set(Record.model_fields) - nested <= set(COLUMNS)
    assert not nested & set(COLUMNS)
    assert len(COLUMNS) == len(set(COLUMNS))


def test_the_wanted_map_and_its_distances_stand_beside_the_benign_one() -> None:
    away = record().to_target
    (row,) = table(record(wanted_map="class", map_donor="img2", to_benign=away))
    assert (row["wanted_map"], row["map_donor"], row["map_reason"]) == ("class", "img2", "")
    assert row["benign_l1"] == row["target_l1"]
    assert table(record())[0]["benign_l1"] == ""
    assert table(record())[0]["wanted_map"] == "benign"


def test_what_is_not_known_is_empty() -> None:
    unknown = ("target_class", "prediction", "to_target", "original_class", "kept", "joint", "stop")
    (row,) = table(record(status="failed", reason="out of memory", **dict.fromkeys(unknown)))
    assert row["reason"] == "out of memory"
    empty = {column for column, cell in row.items() if cell == ""}
    maps = {column for column in COLUMNS if column.startswith(("target_", "original_", "benign_"))}
    others = {"predicted_class", "confidence", "kept", "joint", "stop", "batch_size"}
    others |= {"made_for", "map_donor", "map_reason", "displacement_max", "displacement_mean", "epsilon_levels"}
    assert empty == maps | others


def test_text_that_a_spreadsheet_would_run_is_defused_and_numbers_are_not() -> None:
    (row,) = table(record(source_class=2, reason="  @SUM(A1)", stop='-1+"x,y"\nz', image_ssim=-0.5))
    assert row["source_class"] == "'=cmd()"
    assert row["reason"] == "'  @SUM(A1)"
    assert row["stop"] == '\'-1+"x,y"\nz'
    assert row["image_ssim"] == "-0.5"


def test_a_class_index_without_a_name_is_shown_as_such() -> None:
    (row,) = table(record(prediction=Prediction(index=7, confidence=1.0, probabilities=(1.0,))))
    assert row["predicted_class"] == "class 7"


def test_negative_zero_is_zero() -> None:
    assert table(record(image_ssim=-0.0))[0]["image_ssim"] == "0"


def test_subgroups_are_columns_behind_the_others_and_defused_as_well() -> None:
    rows = [record(), record(unit_id="u2", image_id="img2"), record(unit_id="u3", image_id="img3")]
    said = {"img1": {"sex": "f", "site": "=cmd()"}, "img2": {"sex": "m"}}
    text = results_table(rows, CLASSES, ("site", "sex"), said)
    assert text.splitlines()[0] == ",".join([*COLUMNS, "subgroup_site", "subgroup_sex"])
    found = [(row["subgroup_site"], row["subgroup_sex"]) for row in csv.DictReader(io.StringIO(text))]
    assert found == [("'=cmd()", "f"), ("", "m"), ("", "")]


def test_no_records_give_the_header_line_alone() -> None:
    assert results_table([], CLASSES) == ",".join(COLUMNS) + "\n"
