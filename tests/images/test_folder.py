"""Folders give every image file once, in one order; label files give one class an image."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinaudit.images.folder import (
    FolderError,
    LabelsError,
    find_images,
    find_labels,
    read_label_file,
    read_labels,
)
from tests.images.dicom_files import write_dicom

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_images_are_found_below_all_folders_in_the_order_of_their_paths(tmp_path: Path) -> None:
    _touch(tmp_path, "b.jpg", "a/z.PNG", "a/b/c.dcm", "A.jpeg", "c.tif")
    found = find_images(tmp_path)
    assert [file.relative for file in found] == ["A.jpeg", "a/b/c.dcm", "a/z.PNG", "b.jpg", "c.tif"]
    assert [file.stem for file in found] == ["A", "c", "z", "b", "c"]
    assert all(file.reason is None and file.path.is_file() for file in found)


def test_companions_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "labels.csv", "README", "README.md", "LICENSE", "x.txt", "x.json", "Thumbs.db")
    _touch(tmp_path, ".hidden.jpg", ".cache/b.jpg")
    assert [file.relative for file in find_images(tmp_path)] == ["a.jpg"]


def test_unknown_kinds_are_listed_and_their_names_are_not_in_the_reason(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "letter.pdf", "photo.Anna Meyer")
    (tmp_path / "void").touch()
    reasons = {file.relative: file.reason for file in find_images(tmp_path)}
    assert reasons == {
        "a.jpg": None,
        "letter.pdf": "not an image file",
        "photo.Anna Meyer": "not an image file",
        "void": "the file is empty",
    }


def test_a_dicom_file_without_an_ending_is_an_image(tmp_path: Path) -> None:
    write_dicom(tmp_path / "1.2.826.0.99", np.zeros((4, 4, 3), np.uint8))
    (found,) = find_images(tmp_path)
    assert (found.stem, found.reason) == ("1.2.826.0.99", None)


def test_links_are_listed_and_never_followed(tmp_path: Path) -> None:
    _touch(tmp_path, "in/a.jpg", "out/secret.jpg")
    (tmp_path / "in/file.jpg").symlink_to(tmp_path / "out/secret.jpg")
    (tmp_path / "in/folder").symlink_to(tmp_path / "out")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/dead.png").symlink_to(tmp_path / "nowhere")
    reasons = {file.relative: file.reason for file in find_images(tmp_path / "in")}
    assert reasons == {"a.jpg": None} | dict.fromkeys(["file.jpg", "folder", "loop", "dead.png"], "symbolic link")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a POSIX thing")
def test_a_pipe_is_listed_and_not_waited_for(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "b.jpg")
    assert [file.reason for file in find_images(tmp_path)] == [None, "not a regular file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    try:
        locked = find_images(tmp_path)[1]
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert locked.relative == "locked"
    assert str(locked.reason).startswith("folder cannot be read")


@pytest.mark.skipif(os.name != "posix", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_can_still_be_stored(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/mole\xff.jpg")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (found,) = find_images(tmp_path)
    assert found.relative.encode("utf-8").startswith(b"mole")
    assert found.path.is_file()


def test_a_single_image_and_a_linked_folder_can_be_named(tmp_path: Path) -> None:
    _touch(tmp_path, "in/mole.jpg")
    (found,) = find_images(tmp_path / "in/mole.jpg")
    assert (found.relative, found.stem, found.reason) == ("mole.jpg", "mole", None)
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    assert [file.relative for file in find_images(tmp_path / "alias")] == ["mole.jpg"]


def test_places_without_images_get_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such folder or image file"):
        find_images(tmp_path / "none")
    with pytest.raises(FolderError, match=r"no image files \(JPEG, PNG, TIFF, BMP, WebP, DICOM\)$"):
        find_images(tmp_path)
    _touch(tmp_path, "letter.pdf", "other.pdf")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "letter.pdf")
    with pytest.raises(FolderError, match="found 2 x not an image file; 1 x symbolic link") as caught:
        find_images(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FolderError, match="symbolic link"):
        find_images(tmp_path / "a.jpg")


def test_labels_csv_inside_the_folder_is_found(tmp_path: Path) -> None:
    assert find_labels(tmp_path) is None
    (tmp_path / "labels.csv").write_text("image,dx\n")
    assert find_labels(tmp_path) == tmp_path / "labels.csv"
    assert find_labels(tmp_path / "labels.csv") is None


def _labels(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode())
    return read_labels(path, CLASSES)


@pytest.mark.parametrize(
    "text",
    [
        "image,dx\nISIC_1,mel\nISIC_2,nv\n",
        "\ufeffimage,dx\r\nISIC_1,mel\r\nISIC_2,nv\r\n",
        "Image,DX\nISIC_1.jpg,MEL\nsub/ISIC_2.DCM,nv",
        "age,dx,image\n40,mel,ISIC_1\n\n50,nv,ISIC_2\n",
        "lesion_id,image_id,dx\nHAM_1,ISIC_1,mel\nHAM_1,ISIC_2,nv\n",
        "image;dx\nISIC_1;mel\nISIC_2;nv\n",
        "image,dx,\nISIC_1,mel,\nISIC_2,nv,\nISIC_2,nv,\n",
        "image,MEL,NV,BCC\nISIC_1,1.0,0.0,0.0\nISIC_2,0.0,1.0,0.0\n",
        "image,nv,mel,UNK\nISIC_1,0,1,0\nISIC_2,1,0,0\n",
    ],
)
def test_both_forms_are_understood_with_all_their_spellings(tmp_path: Path, text: str) -> None:
    assert _labels(tmp_path, text) == {"ISIC_1": "mel", "ISIC_2": "nv"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("image,dx\n", "no rows"),
        ("name,diagnosis\na,mel\n", "header not understood; expected the columns image,dx"),
        ("dx,dx,image\nmel,nv,a\n", "header not understood"),
        ("image,age\na,40\n", "header not understood"),
        ("image,dx\na,mel\nb,wart\n", r"row 3: label 'wart' is not among the classes of the model \(akiec, bcc"),
        ("image,dx\na,mel\n\na.png,nv\n", "row 4: image 'a' is nv here, mel in an earlier row"),
        ("image,dx\na\n", "row 2: 1 columns where the header has 2"),
        ("image,dx\n ,mel\n", "row 2: no image is named"),
        ("image,dx\na,\n", "row 2: label '' is not among"),
        ("image,MEL,NV\na,1.0,1.0\n", "row 2: two or more classes are marked: mel, nv"),
        ("image,MEL,NV,UNK\na,0.0,0.0,1.0\n", "row 2: no class is marked; known are mel, nv; not among.*'unk'"),
        ("image,MEL,NV\na,0.7,0.3\n", "row 2: column mel holds '0.7', expected 0.0 or 1.0"),
        ("image,MEL,NV\na,x,0\n", "row 2: column mel holds 'x'"),
        ("image,MEL,NV\na,nan,1\n", "row 2: column mel holds 'nan'"),
        ('image,dx\n"a"b,mel\n', "not CSV"),
        ('image,dx\na,"mel\nwart"\n', r"row 2: label 'mel\\nwart' is not among"),
    ],
)
def test_a_wrong_label_file_gets_one_line_with_the_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelsError, match=message) as caught:
        _labels(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_label_files_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="cannot be read: No such file"):
        read_labels(tmp_path / "none.csv", CLASSES)
    with pytest.raises(LabelsError, match="cannot be read"):
        read_labels(tmp_path, CLASSES)
    (tmp_path / "a.csv").write_bytes("image,dx\nä,mel\n".encode("utf-16"))
    with pytest.raises(LabelsError, match="save it as CSV UTF-8"):
        read_labels(tmp_path / "a.csv", CLASSES)
    with (tmp_path / "b.csv").open("wb") as stream:
        stream.truncate(64 * 2**20 + 1)  # sparse: takes no space
    with pytest.raises(LabelsError, match="larger than 64 MiB"):
        read_labels(tmp_path / "b.csv", CLASSES)


@pytest.mark.parametrize(
    "text",
    [
        "image,dx,Sex, site \nISIC_1,mel,f, upper   back\nISIC_2.jpg,nv,m,\n",
        "image,MEL,NV,UNK,Sex,site\nISIC_1,1,0,,f,upper back\nISIC_2,0,1,,m,\n",
        "image_id,image,sex,dx,site,mel,\nISIC_1,x.png,f,mel,upper back,1.0,\nISIC_2,y.png,m,nv,,0.0,\n",
    ],
)
def test_further_columns_are_read_beside_the_classes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    found = read_label_file(path, CLASSES)
    stems = list(found.labels)
    said = {name: cells for name, cells in found.columns.items() if cells}
    assert said == {"sex": {stems[0]: "f", stems[1]: "m"}, "site": {stems[0]: "upper back"}}
    assert found.contradictions == {}
    assert found.labels == read_labels(path, CLASSES)


names = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="_-"), min_size=1, max_size=12)
tables = st.dictionaries(names, st.sampled_from(CLASSES), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def csv_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels") / "labels.csv"


@given(labels=tables, upper=st.booleans(), ending=st.sampled_from(["", ".jpg", ".PNG"]))
def test_any_table_written_as_dx_or_one_hot_is_read_back(
    csv_path: Path, labels: dict[str, str], upper: bool, ending: str
) -> None:
    plain = [f"{image}{ending},{label.upper() if upper else label}" for image, label in labels.items()]
    csv_path.write_text("\n".join(["image,dx", *plain]))
    assert read_labels(csv_path, CLASSES) == labels
    header = ",".join(["image", *(name.upper() if upper else name for name in CLASSES)])
    rows = [[image + ending, *(str(float(name == label)) for name in CLASSES)] for image, label in labels.items()]
    csv_path.write_text("\n".join([header, *(",".join(row) for row in rows)]))
    assert read_labels(csv_path, CLASSES) == labels


@given(text=st.text(max_size=200), header=st.sampled_from(["", "image,dx\n", "image,MEL,NV\n"]))
def test_any_text_gives_known_classes_or_one_line(csv_path: Path, text: str, header: str) -> None:
    csv_path.write_bytes((header + text).encode("utf-8", "surrogatepass"))
    try:
        labels = read_labels(csv_path, CLASSES)
    except LabelsError as error:
        outcome = str(error).splitlines()
    else:
        outcome = ["read"] if labels and set(labels.values()) <= set(CLASSES) else []
    assert len(outcome) == 1
