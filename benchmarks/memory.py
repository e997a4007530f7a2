"""Peak memory and wall time of ``skinaudit audit`` on real photographs, as a user starts it.

    python -m benchmarks.memory --model models/isic2018-efficientnet-lite0 --images DIR --labels CSV --run RUN \
        [--count 200] [--preset standard] [--interpreters cam,grad] [--write docs/benchmarks.md]

Class-balanced photographs are copied to a temporary folder and audited in a process of its own. Twice a second the
proportional set size (PSS) of the process and all its children is summed: shared pages count once.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from benchmarks.bench import Photograph, class_balanced, photographs
from benchmarks.machine import machine, machine_line
from benchmarks.tables import fill
from skinaudit.classifier.bundle import read_bundle
from skinaudit.report.document import Report
from skinaudit.report.results import Arm, Average, Rate
from skinaudit.report.twin import read_json

BOUND_GIB = 4.0
EVERY_SECONDS = 0.5
_START = "import sys; from skinaudit.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Usage:
    """Exit code, wall time in seconds, largest summed PSS in bytes, number of samples."""

    code: int
    seconds: float
    peak: int
    samples: int


def copy_images(chosen: Sequence[Photograph], folder: Path) -> Path:
    """Copy the photographs and write their labels beside them; gives the label file."""
    folder.mkdir(parents=True)
    for one in chosen:
        shutil.copyfile(one.path, folder / one.path.name)
    labels = folder / "labels.csv"
    with labels.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "dx"), *((one.stem, one.label) for one in chosen)])
    return labels


def summed_pss(process: psutil.Process) -> int:
    """PSS of a process and all its children in bytes; those that have just ended count nothing."""
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for one in tree:
        try:
            total += int(one.memory_full_info().pss)
        except psutil.Error:
            continue
    return total


def watch(command: Sequence[str]) -> Usage:
    """Run a command to its end, sampling its memory."""
    begun = time.monotonic()
    peak, samples = 0, 0
    with subprocess.Popen(command) as started:
        process = psutil.Process(started.pid)
        while started.poll() is None:
            peak, samples = max(peak, summed_pss(process)), samples + 1
            time.sleep(EVERY_SECONDS)
        code = started.returncode
    return Usage(code, time.monotonic() - begun, peak, samples)


def rate_text(rate: Rate) -> str:
    """A rate as a table shows it."""
    if rate.value is None:
        return f"{rate.successes} of {rate.n}, too few to say"
    return f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]"


def average_text(average: Average) -> str:
    """A mean as a table shows it."""
    return "too few to say" if average.mean is None else f"{average.mean:.4f} [{average.low:.4f}, {average.high:.4f}]"


def arm_row(title: str, arm: Arm) -> str:
    """One line of the summary table."""
    cells = (
        title, arm.title, str(arm.n), rate_text(arm.flipped), rate_text(arm.kept), rate_text(arm.joint),
        average_text(arm.l1), f"{arm.largest_change_levels}/255",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def summary(report: Report) -> str:
    """The audit's results as a Markdown table."""
    head = "| map | attack | n | flipped [95 %] | kept [95 %] | joint success [95 %] | L1 [95 %] | largest change |"
    rows = [arm_row(result.title, arm) for result in report.interpreters for arm in result.arms]
    left_out = [f"{one.count} {one.status} ({one.reason})" for one in report.data.exclusions]
    return "\n".join(
        [
            f"{report.data.found} images found, {report.data.attacked} attacked; not attacked: "
            + ("; ".join(left_out) or "none")
            + f". Targets: {report.header.config.threat.target}.",
            "",
            head,
            "|" + "---|" * 8,
            *rows,
        ]
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle folder")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--labels", type=Path, required=True, help="CSV: image,dx or the one-hot form of ISIC")
    parser.add_argument("--run", type=Path, required=True, help="run directory, new")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--interpreters", default="cam,grad")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path, help="put the result between the memory markers of this document")
    arguments = parser.parse_args()
    if arguments.run.exists():
        parser.error(f"{arguments.run} exists; a resumed audit would not show its whole time")
    found = photographs(arguments.images, arguments.labels, read_bundle(arguments.model).classes)
    chosen = class_balanced(found, arguments.count)
    with tempfile.TemporaryDirectory() as temporary:
        labels = copy_images(chosen, Path(temporary) / "images")
        command = [sys.executable, "-c", _START, "audit", str(arguments.model), str(labels.parent)]
        command += ["--labels", str(labels), "--out", str(arguments.run), "--preset", arguments.preset]
        command += ["--batch-size", str(arguments.batch_size), "--threads", str(arguments.threads), "--device", "cpu"]
        command += ["--interpreters", arguments.interpreters]
        usage = watch(command)
    if usage.code:
        raise SystemExit(f"the audit ended with exit code {usage.code}")
    torch.set_num_threads(arguments.threads)
    measured = (
        f"`skinaudit audit` of {len(chosen)} photographs, preset {arguments.preset}, {arguments.interpreters}, batch "
        f"{arguments.batch_size}, {arguments.threads} threads: "
        f"{usage.seconds / 60:.1f} minutes, peak {usage.peak / 2**30:.2f} GiB (summed PSS of the process tree, "
        f"{usage.samples} samples; bound {BOUND_GIB:g} GiB)."
    )
    table = summary(read_json(arguments.run / "report.json"))
    text = f"{measured}\n\n{table}\n\n{machine_line(machine(torch.device('cpu')))}"
    if arguments.write:
        fill(arguments.write, "memory", text)
    print(text)


if __name__ == "__main__":
    main()
