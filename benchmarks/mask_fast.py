"""How far the maps of the fast setting of MASK agree with those of the published one, and what either costs.

    python -m benchmarks.mask_fast --model models/isic2018-efficientnet-lite0 --images DIR \
        [--count 16] [--threads 1] [--json FILE] [--write docs/benchmarks.md]

A map of the published setting is itself one of many: the same search with other jumps of the image shows how many ranks
it has in common with itself. Photographs are taken evenly from the sorted folder; each map is that of the class which
the model predicts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import machine, machine_line, wait
from benchmarks.tables import fill
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.images.decode import decode
from skinaudit.images.folder import find_images
from skinaudit.interpreters.mask import FAST, PUBLISHED, Mask, MaskSettings
from skinaudit.metrics.maps import l1, spearman, top_iou

#: Least median rank correlation and largest share of the cost that the fast setting may have.
LEAST_SPEARMAN, LARGEST_COST = 0.9, 1 / 3


@dataclass(frozen=True)
class Agreement:
    """Maps of a setting beside those of the published one: values of each image, and seconds for all."""

    setting: str
    iterations: int
    spearman: tuple[float, ...]
    l1: tuple[float, ...]
    iou20: tuple[float, ...]
    seconds: float

    def row(self, full_seconds: float) -> str:
        """A line of the table."""
        ranks = sorted(self.spearman)
        cells = (
            self.setting, str(self.iterations), f"{statistics.median(ranks):.3f}", f"{ranks[0]:.3f}",
            f"{statistics.mean(self.l1):.4f}", f"{statistics.mean(self.iou20):.3f}",
            f"{self.seconds / len(ranks):.1f}", f"{self.seconds / full_seconds:.2f}",
        )  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def chosen_pixels(classifier: Classifier, images: Path, count: int) -> Tensor:
    """What the model is shown of ``count`` photographs, (count,3,H,W) in [0,1]."""
    files = [file.path for file in find_images(images) if file.reason is None]
    if len(files) < count:
        raise SystemExit(f"{images}: {len(files)} readable images, {count} asked for")
    taken = [files[place * len(files) // count] for place in range(count)]
    return torch.stack([classifier.preprocess.shown(decode(path).pixels) for path in taken]).float() / 255


def maps_of(classifier: Classifier, settings: MaskSettings, x: Tensor, batch: int) -> tuple[Tensor, float]:
    """Maps (N,h,w) of the predicted classes, and the seconds they took."""
    interpreter = Mask(classifier, settings)
    maps, seconds = [], 0.0
    for part in x.split(batch):
        with torch.no_grad():
            classes = classifier(part).argmax(1)
        begun = time.perf_counter()
        maps.append(interpreter.explain(part, classes).cpu())
        wait(x.device)
        seconds += time.perf_counter() - begun
    return torch.cat(maps), seconds


def measure(classifier: Classifier, x: Tensor, batch: int) -> list[Agreement]:
    """The published setting with its own maps, the same with other jumps of the image, then the fast one."""
    reference, full_seconds = maps_of(classifier, PUBLISHED, x, batch)
    found = [agreement("published", PUBLISHED, reference, reference, full_seconds)]
    other = replace(PUBLISHED, seed=PUBLISHED.seed + 1)
    for name, settings in (("published, other jitter", other), ("fast", FAST)):
        maps, seconds = maps_of(classifier, settings, x, batch)
        found.append(agreement(name, settings, maps, reference, seconds))
    return found


def agreement(name: str, settings: MaskSettings, maps: Tensor, reference: Tensor, seconds: float) -> Agreement:
    """Compare maps (N,h,w) with the reference."""
    ranks, distances, overlaps = (
        tuple(values.tolist())
        for values in (spearman(maps, reference), l1(maps, reference), top_iou(maps, reference, 0.2))
    )
    return Agreement(name, settings.iterations, ranks, distances, overlaps, seconds)


def report(found: Sequence[Agreement], facts: dict[str, str]) -> str:
    """The table and whether the fast setting keeps its promise."""
    full, fast = found[0], found[-1]
    head = (
        "| setting | iterations | Spearman, median | least | L1 | IoU top 20 % | seconds an image | share of cost |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    agrees = statistics.median(fast.spearman) >= LEAST_SPEARMAN
    cheap = fast.seconds <= LARGEST_COST * full.seconds
    promise = (
        f"n = {len(full.l1)} photographs. Asked of the fast setting: median Spearman ≥ {LEAST_SPEARMAN} "
        f"({'met' if agrees else 'missed'}), at most a third of the cost ({'met' if cheap else 'missed'})."
    )
    rows = [one.row(full.seconds) for one in found]
    return "\n\n".join(["\n".join([head, *rows]), promise, machine_line(facts)])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle folder")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the values of every image")
    parser.add_argument("--write", type=Path, help="Markdown file with the markers of this table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier = load_classifier(arguments.model, device)
    classifier.network.to(memory_format=torch.channels_last)
    x = chosen_pixels(classifier, arguments.images, arguments.count).to(device)
    found = measure(classifier, x, arguments.batch)
    text = report(found, machine(device))
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(one) for one in found], indent=1) + "\n", encoding="utf-8")
    if arguments.write:
        fill(arguments.write, "mask-fast", text)


if __name__ == "__main__":
    main()
