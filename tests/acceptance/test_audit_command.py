"""``skinaudit audit`` from the command to the PDF, as a user runs it on a small model."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from skinaudit.cli import main
from skinaudit.report.twin import read_json
from tests.bundles import change_config, make_bundle
from tests.small_folder import labelled_folder

SETTINGS = ("--preset", "quick", "--threads", "1", "--batch-size", "4", "--interpreters", "cam,grad")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "tiny-bundle")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """Four images that the model gets right, one that it gets wrong, one that is damaged."""
    folder = labelled_folder(tmp_path_factory.mktemp("images") / "photos", bundle, right=4, wrong=1)
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bundle: Path, photos: Path) -> Path:
    """A finished run; tests that change something in it take a copy."""
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main(command(bundle, photos, run)) == 0
    return run


def command(bundle: Path, photos: Path, run: Path, *more: str) -> list[str]:
    return ["audit", str(bundle), str(photos), "--out", str(run), *SETTINGS, *more]


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    code = "import sys; from skinaudit.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows_without_times(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(encoding="utf-8") as stream:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]


def test_a_run_leaves_report_twin_table_and_events(finished: Path) -> None:
    assert (finished / "report.pdf").read_bytes().startswith(b"%PDF-")
    report = read_json(finished / "report.json")
    assert (report.data.found, report.data.attacked) == (6, 4)
    assert {row.status for row in report.data.exclusions} == {"misclassified", "unreadable"}
    assert {row["attack"] for row in rows_without_times(finished)} == {
        "adv2",
        "transfer",
        "pgd",
        "noise",
        "jpeg",
        "shift",
    }
    events = [json.loads(line) for line in (finished / "events.jsonl").read_text().splitlines()]
    assert events[-1]["hash"] == report.chain_head


def test_it_says_what_it_does_and_ends_with_the_pdf(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(command(bundle, photos, run, "--interpreters", "cam")) == 0
    printed = capsys.readouterr()
    assert "6 found, 4 to be attacked" in printed.out
    assert re.search(r"1 not attacked, misclassified", printed.out)
    assert re.search(r"at most about \d+ (s|min)", printed.out)
    assert re.search(r"^CAM +ADV² +4 ", printed.out, re.MULTILINE)
    assert read_json(run / "report.json").verdict in printed.out
    assert printed.out.splitlines()[-1] == str(run / "report.pdf")
    assert "ADV² on CAM: done" in printed.err
    assert "\x1b" not in printed.out + printed.err


def test_the_same_command_again_attacks_nothing_and_changes_no_byte(
    bundle: Path, photos: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("results.csv", "report.pdf", "report.json", "events.jsonl")
    before = {name: (finished / name).read_bytes() for name in names}
    assert main(command(bundle, photos, finished)) == 0
    assert "This run is complete" in capsys.readouterr().out
    assert {name: (finished / name).read_bytes() for name in names} == before


def test_json_holds_the_summary_of_the_report_and_the_paths(
    bundle: Path, photos: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(bundle, photos, finished, "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    twin = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert document["exit_code"] == 0
    for key in ("verdict", "level", "answers", "data", "chain_head"):
        assert document[key] == twin[key]
    assert document["interpreters"][0]["arms"][0]["joint"] == twin["interpreters"][0]["arms"][0]["joint"]
    assert all(Path(path).is_file() for path in document["paths"].values())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--epsilon", "4/255"), "epsilon was 8/255, now 4/255"),
        (("--seed", "1"), "seed was 0, now 1"),
        (("--target", "random"), "target class rule was most-harmful, now random"),
    ],
)
def test_other_settings_are_refused_with_the_difference(
    bundle: Path, photos: Path, finished: Path, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(bundle, photos, finished, *more)) == 6
    printed = capsys.readouterr()
    assert said in printed.err
    assert "complete" not in printed.out


def test_a_changed_image_is_refused(
    bundle: Path, photos: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = Path(shutil.copytree(photos, tmp_path / "photos"))
    shutil.copy(changed / "lesion0.png", changed / "one-more.png")
    assert main(command(bundle, changed, finished)) == 6
    said = capsys.readouterr().err
    # A copy has the pixels of another image, whose id it gets with a number behind it.
    assert re.search(r"started differently: 1 image is new \([0-9a-f]{16}-2\)\. Give what it was started with", said)
    (changed / "one-more.png").unlink()
    for path in sorted(changed.rglob("lesion*.png"))[:2]:
        path.unlink()
    assert main(command(bundle, changed, finished)) == 6
    said = capsys.readouterr().err
    assert re.search(r"started differently: 2 images are missing \([0-9a-f]{16}, [0-9a-f]{16}\)\. Give", said)
    assert "lesion" not in said.splitlines()[-1]


def test_the_report_can_be_written_again_elsewhere(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(finished), "--out", str(tmp_path / "again.pdf")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == (finished / "report.pdf").read_bytes()
    assert (tmp_path / "again.json").read_bytes() == (finished / "report.json").read_bytes()
    assert main(["report", str(finished), "--out", str(tmp_path / "again.txt")]) == 2


def test_without_labels_the_prediction_is_the_reference(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Path(shutil.copytree(photos, tmp_path / "photos", ignore=shutil.ignore_patterns("labels.csv")))
    assert main(command(bundle, bare, tmp_path / "run", "--interpreters", "cam")) == 0
    assert "No labels: the predicted class is the reference" in capsys.readouterr().err
    report = read_json(tmp_path / "run" / "report.json")
    assert report.data.attacked == 5
    assert report.data.accuracy is None


def interrupt(arguments: Sequence[str], sign: signal.Signals, stage: str) -> tuple[int, str]:
    """Start a command, send it a signal when a stage begins; exit code and what it said afterwards."""
    process = start(arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(stage):
            process.send_signal(sign)
            break
    _, rest = process.communicate(timeout=120)
    return process.returncode, rest


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    more = ["--preset", "thorough", "--interpreters", "grad"]
    code, said = interrupt(command(bundle, photos, run, *more), signal.SIGINT, "ADV² on GRAD")
    assert code == 5, said
    assert "To go on: skinaudit audit" in said
    assert str(run) in said
    assert "Traceback" not in said

    assert main(["report", str(run)]) == 5
    assert "not finished" in capsys.readouterr().err

    assert main(command(bundle, photos, run, *more)) == 0
    assert "8 of 12 work units are done already" in capsys.readouterr().out
    assert main(command(bundle, photos, whole, *more)) == 0
    assert rows_without_times(run) == rows_without_times(whole)


def test_a_batch_system_that_ends_the_process_leaves_a_resumable_run(
    bundle: Path, photos: Path, tmp_path: Path
) -> None:
    more = ["--preset", "thorough", "--interpreters", "cam"]
    code, said = interrupt(command(bundle, photos, tmp_path / "run", *more), signal.SIGTERM, "ADV² on CAM")
    assert code == 5, said
    assert "To go on: skinaudit audit" in said


class TestWrongInput:
    """Section by section: one clear line, the right code, and no run directory left behind."""

    def refuse(
        self, arguments: Sequence[str], code: int, said: str, capsys: pytest.CaptureFixture[str], run: Path
    ) -> None:
        assert main(arguments) == code
        printed = capsys.readouterr()
        failures = [line for line in printed.err.splitlines() if line.startswith("skinaudit: ")]
        assert len(failures) == 1
        assert said in failures[0]
        assert printed.err.endswith(f"{failures[0]}\n")
        assert not run.exists()

    def test_missing_model(self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run = tmp_path / "run"
        self.refuse(command(tmp_path / "nowhere", photos, run), 4, "no such bundle folder", capsys, run)

    def test_model_without_classes(
        self, bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        nameless = Path(shutil.copytree(bundle, tmp_path / "nameless"))
        change_config(nameless, "metadata.json", {"network_data_format": {}})
        run = tmp_path / "run"
        self.refuse(command(nameless, photos, run), 4, "no class names", capsys, run)

    def test_empty_folder(self, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "empty").mkdir()
        run = tmp_path / "run"
        self.refuse(command(bundle, tmp_path / "empty", run), 3, "no image files", capsys, run)

    def test_missing_folder(self, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run = tmp_path / "run"
        self.refuse(command(bundle, tmp_path / "nowhere", run), 3, "no such folder", capsys, run)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"\xff\xfe\x00image", "not UTF-8"),
            (b"file;class\nx;mel\n", "header not understood"),
            (b"image,dx\nlesion0,wart\n", "'wart' is not among the classes"),
            (None, "cannot be read"),
            (b"image,dx\nsomebody,mel\n", "labels name none"),
        ],
    )
    def test_labels(
        self, bundle: Path, photos: Path, tmp_path: Path, content: bytes | None, said: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        labels, run = tmp_path / "labels.csv", tmp_path / "run"
        if content is not None:
            labels.write_bytes(content)
        self.refuse(command(bundle, photos, run, "--labels", str(labels)), 3, said, capsys, run)

    @pytest.mark.parametrize("epsilon", ["9", "65/255", "0.5/255", "big"])
    def test_epsilon(
        self, bundle: Path, photos: Path, tmp_path: Path, epsilon: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = tmp_path / "run"
        self.refuse(command(bundle, photos, run, "--epsilon", epsilon), 2, "epsilon", capsys, run)

    def test_unknown_interpreter(
        self, bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = tmp_path / "run"
        said = "no interpreter is called 'lime'; there are cam, grad"
        self.refuse(command(bundle, photos, run, "--interpreters", "cam,lime"), 2, said, capsys, run)

    def test_no_cuda(self, bundle: Path, photos: Path, tmp_path: Path) -> None:
        process = subprocess.run(
            [
                sys.executable, "-c", "import sys; from skinaudit.cli import main; sys.exit(main())",
                *command(bundle, photos, tmp_path / "run", "--device", "cuda"),
            ],
            capture_output=True, text=True, check=False, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip
        assert process.returncode == 2
        assert "finds no CUDA GPU here" in process.stderr
        assert not (tmp_path / "run").exists()

    def test_a_folder_with_something_else_in_it(
        self, bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "thesis.txt").write_text("do not lose")
        assert main(command(bundle, photos, tmp_path)) == 6
        assert "holds no run" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    def test_a_report_of_no_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["report", str(tmp_path)]) == 6
        assert "is not a run directory" in capsys.readouterr().err
