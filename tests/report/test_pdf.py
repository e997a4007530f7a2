from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from skinaudit.report.findings import summarise
from skinaudit.report.pdf import write_pdf
from tests.report.synthetic import TITLES, SyntheticRun, header, synthetic_run

HOSTILE = (
    '<img src="http://x"/><a href="file:///etc/passwd">& </b>',
    "Naevus " + "verylongword" * 30,
    "黑色素瘤 \u202emalignant",
    *TITLES[3:],
)


def pdf(view: SyntheticRun, name: str = "report.pdf") -> bytes:
    path = view.folder / name
    write_pdf(view, path)
    return path.read_bytes()


def page_texts(content: bytes) -> list[str]:
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(BytesIO(content)).pages]


@pytest.fixture(scope="module")
def fourteen(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyntheticRun, bytes]:
    view = synthetic_run(tmp_path_factory.mktemp("fourteen"), 14)
    return view, pdf(view)


def test_same_records_give_the_same_bytes(fourteen: tuple[SyntheticRun, bytes]) -> None:
    view, content = fourteen
    assert pdf(view, "again.pdf") == content


@pytest.mark.parametrize(("count", "most_pages"), [(1, 11), (500, 16)])
def test_no_page_is_empty_and_no_run_makes_it_endless(tmp_path: Path, count: int, most_pages: int) -> None:
    texts = page_texts(pdf(synthetic_run(tmp_path, count, pictures_of=8)))
    assert 8 <= len(texts) <= most_pages
    assert all(len(text) > 150 for text in texts)
    assert all(f"page {place} of {len(texts)}" in text for place, text in enumerate(texts[1:], 2))


def test_fourteen_images_fill_their_pages(fourteen: tuple[SyntheticRun, bytes]) -> None:
    texts = page_texts(fourteen[1])
    assert 10 <= len(texts) <= 16
    assert all(len(text) > 150 for text in texts)


def test_file_stays_small(tmp_path: Path) -> None:
    assert len(pdf(synthetic_run(tmp_path, 16))) < 5_000_000


def test_outline_leads_to_every_section(fourteen: tuple[SyntheticRun, bytes]) -> None:
    reader = PdfReader(BytesIO(fourteen[1]))
    entries = [entry for entry in reader.outline if not isinstance(entry, list)]
    assert [str(entry.title).partition("  ")[2] for entry in entries] == [
        "Summary",
        "Threat model",
        "Object under test",
        "Is this model auditable",
        "Data",
        "Protocol and drift limits",
        "Results: CAM",
        "Results: GRAD",
        "Limitations and what was not tested",
        "Environment and how to recompute",
    ]
    places = [reader.get_destination_page_number(entry) for entry in entries]
    assert places == sorted(places)
    texts = page_texts(fourteen[1])
    for entry, place in zip(entries, places, strict=True):
        assert place is not None
        name = str(entry.title).partition("  ")[2]
        assert name in texts[place]
        assert re.search(rf"{re.escape(name)} {place + 1}\b", texts[0])


def test_metadata_names_the_report_and_dates_it_by_the_run(fourteen: tuple[SyntheticRun, bytes]) -> None:
    reader = PdfReader(BytesIO(fourteen[1]))
    found = reader.metadata
    assert found is not None
    assert "Adversarial audit" in str(found.title)
    assert found.author == "skinaudit 0.1.0"
    assert "2026-03-14-quick-7f3a" in str(found.subject)
    assert found.creation_date is not None
    assert found.creation_date.isoformat() == "2026-03-14T09:26:53+00:00"
    assert reader.trailer["/Root"]["/Lang"] == "en-GB"


def test_findings_stand_in_the_pages_word_for_word(fourteen: tuple[SyntheticRun, bytes]) -> None:
    view, content = fourteen
    report, text = summarise(view), " ".join(page_texts(content))
    sentences = [report.verdict, report.verdict_detail, report.enough, *report.limitations, *report.data.findings]
    for result in report.interpreters:
        sentences += [*result.findings, result.rates_caption, result.distances_caption, result.cases_text]
        sentences += [case.caption for case in result.cases]
    for sentence in sentences:
        assert re.sub(r"\s+", " ", sentence) in text
    assert report.chain_head in text
    assert report.header.model.tensor_digest in text


def test_fonts_are_embedded(fourteen: tuple[SyntheticRun, bytes]) -> None:
    fonts = {}
    for page in PdfReader(BytesIO(fourteen[1])).pages:
        for font in page["/Resources"]["/Font"].values():
            fonts[font.get_object()["/BaseFont"]] = font.get_object()
    drawn = {name for name, font in fonts.items() if "/FontFile2" in font.get("/FontDescriptor", {})}
    assert {re.sub(r"^/[A-Z]{6}\+", "", name).split("-")[0] for name in drawn} == {"BitstreamVeraSans"}


def test_hostile_names_are_printed_as_text_and_nothing_is_loaded(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 12, interpreters=("cam",), pictures_of=2)
    name = '<font color="red">&amp;' + "m" * 300
    view.header = header(("cam",), titles=HOSTILE, name=name)
    reasons = [f"<para>{'r' * 5000}</para>", "]]> --> ' \" \x00 \ud7ff"]
    view.image_rows = [
        image.model_copy(update={"file_name": f"<i>{'n' * 200}\r\n.jpg", "reason": reasons[place % 2]})
        for place, image in enumerate(view.image_rows)
    ]
    content = pdf(view)
    text = " ".join(page_texts(content))
    assert '<img src="http://x"/>' in text
    assert b"/URI" not in content
    assert "<para>rrr" in text
    targets = [
        annotation.get_object() for page in PdfReader(BytesIO(content)).pages for annotation in page.get("/Annots", [])
    ]
    assert targets
    assert all("/A" not in target for target in targets)


def test_nothing_outside_a_page_is_drawn_by_long_names(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 12, interpreters=("cam",), pictures_of=2)
    view.header = header(("cam",), titles=HOSTILE)
    reader = PdfReader(BytesIO(pdf(view)))
    for page in reader.pages:
        places: list[float] = []
        page.extract_text(visitor_text=lambda text, _cm, tm, *_: places.append(tm[4]) if text.strip() else None)  # noqa: B023
        assert all(0 <= place < 595 for place in places)


def test_a_run_in_which_nothing_succeeded_makes_a_whole_report(tmp_path: Path) -> None:
    texts = page_texts(pdf(synthetic_run(tmp_path, 14, succeed=False, interpreters=("cam",), pictures_of=2)))
    assert "No diagnosis was changed to the one that ADV² aimed at" in texts[0]
    assert "There is no case to show" in texts[1]
    assert all(len(text) > 150 for text in texts)


def test_where_nothing_succeeded_the_second_page_says_what_was_tried_and_is_full(tmp_path: Path) -> None:
    two = page_texts(pdf(synthetic_run(tmp_path / "two", 14, succeed=False, pictures_of=2)))[1]
    for words in ("ADV² on CAM", "ADV² on GRAD", "PGD", "Random noise", "Half-pixel shift"):
        assert words in two
    one = page_texts(pdf(synthetic_run(tmp_path / "one", 14, succeed=False, interpreters=("cam",), pictures_of=2)))[1]
    assert "Half-pixel shift" in one
    assert min(len(one), len(two)) > 1300


def test_where_nothing_was_tested_the_next_section_goes_on_on_the_second_page(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 1)
    view.image_rows, view.record_rows = view.image_rows[1:], []
    assert "Nothing was judged" in page_texts(pdf(view))[1]
    assert "2 Threat model" in page_texts(pdf(view))[1]


def test_an_interpreter_without_records_says_so(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 12, pictures_of=2)
    view.record_rows = [record for record in view.record_rows if record.interpreter == "cam"]
    text = " ".join(page_texts(pdf(view)))
    assert "No attack on GRAD was judged in this run" in text


def test_a_run_without_any_image_that_could_be_attacked_makes_a_report(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 1)
    view.image_rows, view.record_rows = view.image_rows[1:], []
    texts = page_texts(pdf(view))
    assert "Nothing was tested." in texts[0]


def test_a_run_without_labels_or_limits_makes_a_report(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 12, labels=False, interpreters=("cam",), pictures_of=2)
    view.header = header(("cam",), labels_given=False, limits=False)
    view.record_rows = [record.model_copy(update={"kept": None, "joint": None}) for record in view.record_rows]
    text = " ".join(page_texts(pdf(view)))
    assert "No labels were given" in text
    assert "No drift limit was available" in text


def test_a_lost_artifact_is_an_error_that_names_it(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 12, interpreters=("cam",), pictures_of=2)
    (tmp_path / "p000-clean.png").unlink()
    with pytest.raises(OSError, match="p000-clean"):
        pdf(view)


def test_more_reasons_than_fit_are_counted_in_one_row(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 1)
    refused = view.image_rows[-1]
    view.image_rows += [
        refused.model_copy(update={"image_id": f"r{place:04d}", "status": "refused", "reason": f"reason {place}"})
        for place in range(400)
    ]
    texts = page_texts(pdf(view))
    assert "373 further reasons; all of them are in report.json" in " ".join(texts)
    assert len(texts) < 14


def test_pictures_that_were_not_stored_leave_a_marked_place(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 12, interpreters=("cam",), pictures_of=1)
    view.image_rows = [image.model_copy(update={"artifacts": {}, "prediction": None}) for image in view.image_rows]
    view.record_rows = [
        record.model_copy(update={"artifacts": {}}) for record in view.record_rows if record.attack != "pgd"
    ]
    assert " ".join(page_texts(pdf(view))).count("not stored") > 12


def test_a_run_of_controls_only_has_rates_and_no_pictures(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 12, pictures_of=2)
    view.record_rows = [record for record in view.record_rows if record.attack in {"noise", "jpeg", "shift"}]
    text = " ".join(page_texts(pdf(view)))
    assert "No attacked image to show." in text
    assert "Pictures: CAM" not in text
