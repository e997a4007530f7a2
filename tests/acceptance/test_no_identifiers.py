"""What tells who a patient is reaches no output: every byte of every file and all of the terminal is searched."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from reportlab.pdfgen.canvas import Canvas

from skinaudit.classifier.classifier import load_classifier
from skinaudit.cli import main
from skinaudit.images.decode import decode
from skinaudit.images.refusal import ImageRefused
from tests.acceptance.identifiers import NAMES, identifiers, leaks, metadata, plant, within
from tests.bundles import make_bundle

SETTINGS = ("--threads", "1")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    folder = tmp_path_factory.mktemp("images") / "photos"
    plant(folder)
    classifier = load_classifier(bundle)
    lines = ["image,dx"]
    for path in sorted(folder.rglob("*.*")):
        try:
            shown = classifier.preprocess.shown(decode(path).pixels)
        except ImageRefused:
            continue
        lines.append(f"{path.stem},{classifier.classes[int(classifier(shown[None].float() / 255).argmax())]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def said(capfd: pytest.CaptureFixture[str]) -> list[bytes]:
    printed = capfd.readouterr()
    return [printed.out.encode(), printed.err.encode()]


def test_forty_identifiers_are_planted_and_the_search_finds_each(photos: Path) -> None:
    everything = [*metadata(), *identifiers(NAMES)]
    assert len(everything) >= 40
    assert {where for _, where in leaks(photos, everything)} == {one.where for one in everything}


def test_the_search_sees_through_every_wrapping(tmp_path: Path) -> None:
    name = "Quastenflosser Ottilie"
    canvas = Canvas(str(tmp_path / "a.pdf"), pageCompression=1)
    canvas.drawString(50, 50, name)
    canvas.save()
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", name, zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png", pnginfo=notes)
    with closing(sqlite3.connect(tmp_path / "c.sqlite")) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (?)", (name,))
        connection.commit()
    for number, form in enumerate((name.encode("utf-16-le"), name.upper().encode(), name.encode().hex().encode())):
        (tmp_path / f"d{number}").write_bytes(b"xx" + form + b"yy")
    assert name.encode() not in (tmp_path / "a.pdf").read_bytes() + (tmp_path / "b.png").read_bytes()
    found = leaks(tmp_path, identifiers({"name": name}))
    assert [file for file, _ in found] == ["a.pdf", "b.png", "c.sqlite", "d0", "d1", "d2"]
    assert leaks(tmp_path, identifiers({"name": "Quastenflosser Xaver"})) == []


def test_an_audit_and_its_report_hold_none(
    bundle: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = [*metadata(), *identifiers(NAMES)]
    run = tmp_path / "run"
    audit = ["audit", str(bundle), str(photos), "--out", str(run), "--preset", "quick", "--interpreters", "cam"]
    assert main([*audit, *SETTINGS]) == 0
    assert main(["report", str(run)]) == 0
    assert main([*audit, *SETTINGS, "--json"]) == 0
    printed = said(capfd)
    assert b"5 to be attacked" in printed[0]
    assert within(printed, wanted) == []
    kinds = {path.suffix for path in run.rglob("*") if path.is_file()}
    assert kinds >= {".pdf", ".json", ".csv", ".png", ".npy", ".sqlite", ".jsonl"}
    assert leaks(run, wanted) == []


def test_predictions_hold_file_names_and_nothing_else(
    bundle: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = ["predict", str(bundle), str(photos), *SETTINGS]
    assert main([*command, "--out", str(out / "table.csv")]) == 0
    assert main([*command, "--json"]) == 0
    printed = said(capfd)
    assert within(printed, metadata()) == []
    assert leaks(out, metadata()) == []
    assert {one.where for one in within(printed, identifiers(NAMES))} == set(NAMES)


def test_maps_hold_file_names_and_nothing_else(
    bundle: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    command = ["explain", str(bundle), str(photos), "--interpreters", "cam", "--out", str(out), *SETTINGS]
    assert main(command) == 0
    assert main([*command, "--json"]) == 0
    assert within(said(capfd), metadata()) == []
    assert len([path for path in out.rglob("*") if path.is_file()]) == 10
    assert leaks(out, metadata()) == []


def test_saved_pictures_carry_pixels_and_the_mark_alone(photos: Path) -> None:
    """What would leak if a picture were saved with what its file held beside the pixels."""
    path = photos / NAMES["folder"] / f"{NAMES['PNG file']}.png"
    with Image.open(path) as image:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", exif=image.getexif())
    assert within([buffer.getvalue()], metadata())
    assert within([decode(path).pixels.tobytes()], metadata()) == []
