"""``skinaudit models import`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skinaudit.cli import main
from tests.plain_models import DESCRIBED, STATED, scripted, tiny_network, tiny_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


def test_a_bundle_is_written_and_predicts_as_the_weights_do(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lesion"
    assert main(["models", "import", str(weights), *DESCRIBED, "--out", str(out), "--name", "Lesions"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == str(out)
    assert "Assumed: malignant: mel" in printed.err
    assert "reverse_indexing=False" in printed.err
    assert main(["predict", str(out), str(photos), "--threads", "1", "--json"]) == 0
    imported = json.loads(capsys.readouterr().out)
    assert main(["predict", str(weights), str(photos), *DESCRIBED, "--threads", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == imported["files"]


def test_what_was_assumed_at_import_is_shown_of_the_bundle_as_of_the_weights(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lesion"
    assert main(["models", "import", str(weights), *DESCRIBED, "--out", str(out)]) == 0
    shown = []
    for arguments in ([str(weights), *DESCRIBED], [str(out)]):
        capsys.readouterr()
        assert main(["models", "show", *arguments]) == 0
        shown.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("Assumed")])
    assert shown[0] == shown[1]
    assert shown[1][0].split(maxsplit=1)[1] == "malignant: mel: not stated, taken from the names of the classes"


def test_json_names_bundle_and_digest(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lesion"
    assert main(["models", "import", str(weights), *DESCRIBED, "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["exit_code"], document["bundle"]) == (0, str(out))
    assert main(["models", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tensor_digest"] == document["tensor_digest"]


def test_nothing_is_overwritten(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("mine")
    assert main(["models", "import", str(weights), *DESCRIBED, "--out", str(tmp_path / "mine")]) == 3
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_program_is_refused_with_and_without_trust(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = scripted(tiny_network(weights), tmp_path / "script.pt")
    for more in ((), ("--trust-code",)):
        assert main(["models", "import", str(script), *STATED, *more, "--out", str(tmp_path / "out")]) == 4
        assert "a bundle is data and cannot hold a program" in capsys.readouterr().err


def test_without_a_place_to_write_to_it_is_a_usage_error(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "import", str(weights), *DESCRIBED]) == 2
    assert "--out" in capsys.readouterr().err
