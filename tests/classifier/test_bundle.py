from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from skinaudit.classifier.bundle import read_bundle
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.preprocess import PreprocessError
from skinaudit.classifier.refusal import ModelRefused
from tests.bundles import change_config, make_bundle, tiny_densenet, usual_transforms


def metadata_with(classes: Value, **skinaudit: Value) -> dict[str, Value]:
    return {"network_data_format": {"outputs": {"pred": {"channel_def": classes}}}, "skinaudit": dict(skinaudit)}


def test_a_bundle_says_what_its_model_is(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "tiny", classes=("nv", "mel", "bcc")))
    assert (bundle.name, bundle.version, bundle.licence) == ("tiny", "0.0.1", "Apache-2.0")
    assert bundle.network_target == "monai.networks.nets.DenseNet"
    assert bundle.network_arguments["block_config"] == [2, 2]
    assert bundle.classes == ("nv", "mel", "bcc")
    assert bundle.titles == ("title of nv", "title of mel", "title of bcc")
    assert bundle.malignant == ("mel", "bcc")
    assert bundle.preprocess.spatial == (32, 32)
    assert bundle.declared == {"accuracy": 0.5}
    assert bundle.weights == tmp_path / "tiny" / "models" / "model.safetensors"
    assert bundle.calibration == tmp_path / "tiny" / "skinaudit" / "calibration.json"
    assert bundle.metadata["name"] == "tiny"


def test_what_is_not_read_is_listed_and_not_run(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    hostile = f"$open({str(tmp_path / 'ran')!r}, 'w')"
    change_config(path, "inference.json", {"imports": [hostile], "handlers": {"_target_": "os.system"}})
    (path / "configs" / "train.json").write_text("{}", encoding="utf-8")
    (path / "configs" / "logging.conf").write_text("", encoding="utf-8")
    (path / "scripts").mkdir()
    (path / "scripts" / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    (path / "skinaudit").mkdir()
    (path / "skinaudit" / "calibration.json").write_text("{}", encoding="utf-8")

    ignored = read_bundle(path).ignored

    assert ignored == (
        "evaluator",
        "handlers",
        "imports",
        "postprocessing",
        "configs/logging.conf",
        "configs/train.json",
        "scripts/__init__.py",
    )
    assert not (tmp_path / "ran").exists()


def test_yaml_is_read_like_json_and_references_are_followed(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    inference = {
        "classes": 3,
        "sizes": {"input": [32, 32]},
        "network_def": {**tiny_densenet(3), "out_channels": "@classes"},
        "steps": [
            {**entry, "spatial_size": "@sizes::input"} if "spatial_size" in entry else entry
            for entry in usual_transforms(32)
            if isinstance(entry, dict)
        ],
        "preprocessing": {"_target_": "Compose", "transforms": "@steps"},
    }
    (path / "configs" / "inference.json").unlink()
    (path / "configs" / "inference.yaml").write_text(yaml.safe_dump(inference), encoding="utf-8")
    bundle = read_bundle(path)
    assert bundle.network_arguments["out_channels"] == 3
    assert bundle.preprocess.spatial == (32, 32)
    assert bundle.ignored == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_def": "$import os"}, 'tiny: configs/inference.json: network_def asks for "\\$import os"'),
        ({"network_def": {"_target_": "$eval"}}, "network_def::_target_ asks for"),
        ({"network_def": {"_target_": "DenseNet", "in_channels": "$3"}}, "network_def::in_channels asks for"),
        ({"network_def": [1]}, "network_def must be an object"),
        ({"network_def": {"spatial_dims": 2}}, "network_def must be an object"),
        ({"preprocessing": "$Compose([])"}, "preprocessing asks for"),
    ],
)
def test_a_value_that_is_not_a_literal_is_refused_where_it_is_needed(
    changes: dict[str, Value], message: str, tmp_path: Path
) -> None:
    path = change_config(make_bundle(tmp_path / "tiny"), "inference.json", changes)
    with pytest.raises(ModelRefused, match=message):
        read_bundle(path)


def test_an_error_of_the_preprocessing_names_bundle_and_transform(tmp_path: Path) -> None:
    changes: dict[str, Value] = {"preprocessing": [{"_target_": "RandFlipd", "keys": "image"}]}
    path = change_config(make_bundle(tmp_path / "tiny"), "inference.json", changes)
    with pytest.raises(PreprocessError, match=r"^tiny: preprocessing: transform 1 \(RandFlipd\): unknown transform"):
        read_bundle(path)


@pytest.mark.parametrize("key", ["network_def", "preprocessing"])
def test_a_missing_entry_is_named(key: str, tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    file = path / "configs" / "inference.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    del content[key]
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelRefused, match=f'the entry "{key}" is missing'):
        read_bundle(path)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("configs/metadata.json", "no metadata; add configs/metadata.json"),
        ("configs/inference.json", "no inference config; add configs/inference.json or"),
        ("models/model.safetensors", "no weights; add models/model.safetensors or models/model.pt"),
    ],
)
def test_a_missing_file_is_named(file: str, message: str, tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    (path / file).unlink()
    with pytest.raises(ModelRefused, match=message):
        read_bundle(path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no such bundle folder"):
        read_bundle(tmp_path / "nothing")


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    os.mkfifo(path / "docs" / "pipe")
    with pytest.raises(ModelRefused, match="docs/pipe is not a regular file"):
        read_bundle(path)


@pytest.mark.parametrize("inside", ["configs/metadata.json", "models", "docs/README.md"])
def test_a_symbolic_link_anywhere_is_refused(inside: str, tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    shutil.move(path / inside, tmp_path / "elsewhere")
    (path / inside).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelRefused, match=f"{inside} is a symbolic link"):
        read_bundle(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"name": "x"}, "no class names. Add them as network_data_format.outputs.pred.channel_def"),
        (metadata_with([]), "no class names"),
        (metadata_with({"0": "mel", "2": "nv"}), "without a gap"),
        (metadata_with({"0": "mel", "1": "mel"}), "at least two different"),
        (metadata_with({"0": "mel"}), "at least two different"),
        (metadata_with({"0": "mel", "1": 3}), "at least two different"),
        (metadata_with({"0": "mel", "1": "n\nv"}), "at least two different"),
        (metadata_with({"0": "mel", "1": "nv"}, malignant=["bcc"]), "skinaudit.malignant must list class names"),
        (metadata_with({"0": "mel", "1": "nv"}, malignant="mel"), "skinaudit.malignant must list class names"),
        (metadata_with({"0": "mel", "1": "nv"}, assumed="size"), "skinaudit.assumed must be a list of sentences"),
        (metadata_with({"0": "mel", "1": "nv"}, assumed=["size", 3]), "skinaudit.assumed must be a list of sentences"),
    ],
)
def test_metadata_without_usable_classes_is_refused(metadata: dict[str, Value], message: str, tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    (path / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(ModelRefused, match=message):
        read_bundle(path)


def test_what_was_assumed_when_a_bundle_was_made_or_is_now_is_told(tmp_path: Path) -> None:
    path, classes = make_bundle(tmp_path / "tiny"), {"0": "mel", "1": "nv"}
    guessed = "malignant: mel: not stated, taken from the names of the classes"
    for metadata, assumed in (
        (metadata_with(dict(classes), malignant=["mel"]), ()),
        (metadata_with(dict(classes)), (guessed,)),
        (metadata_with(dict(classes), malignant=["mel"], assumed=["size\x1b[2J"]), (r"size\x1b[2J",)),
        (metadata_with(dict(classes), assumed=["size"] * 300), (*["size"] * 200, "and 100 more", guessed)),
    ):
        (path / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        assert read_bundle(path).assumed == assumed


def test_malignancy_comes_from_the_metadata_or_from_known_names(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    for metadata, malignant in (
        (metadata_with({"0": "NV", "1": "Melanoma", "2": "SCC"}), ("Melanoma", "SCC")),
        (metadata_with({"0": "nv", "1": "mel", "2": "bkl"}, malignant=["bkl", "nv"]), ("nv", "bkl")),
        (metadata_with({"0": "nv", "1": "mel", "2": "bkl"}, malignant=[]), ()),
    ):
        (path / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        bundle = read_bundle(path)
        assert bundle.malignant == malignant
        assert bundle.titles == bundle.classes
        assert bundle.name == "tiny"
        assert bundle.version == "not stated"
        assert bundle.licence == "Apache License 2.0"


def test_a_bundle_without_a_licence_says_so(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    (path / "LICENSE").unlink()
    change_config(path, "metadata.json", {"license": ""})
    assert read_bundle(path).licence == "not stated"
    change_config(path, "metadata.json", {"copyright": "Copyright (c) A Hospital"})
    assert read_bundle(path).licence == "Copyright (c) A Hospital"


def test_config_digest_is_that_of_the_content_not_of_the_text(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    before = read_bundle(path).config_digest
    file = path / "configs" / "inference.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(dict(reversed(content.items())), indent=7), encoding="utf-8")
    assert read_bundle(path).config_digest == before
    change_config(path, "metadata.json", {"version": "0.0.2"})
    assert read_bundle(path).config_digest != before
