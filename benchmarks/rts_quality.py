"""Do RTS maps find what the model uses? Deletion and insertion against CAM, a random map and a centred disc.

    python -m benchmarks.rts_quality --model models/isic2018-efficientnet-lite0 --images DIR --labels CSV \
        [--count 210] [--threads 1] [--steps 28] [--write docs/benchmarks.md] [--card models/…/docs/README.md]

Petsiuk et al. (BMVC 2018): pixels go from the most to the least important. Deletion replaces them by the image's mean
colour, insertion uncovers them in the blurred image; the figure is the area under the probability of the class that the
model predicts on the whole image. Photographs are class-balanced, whether the model gets them right or not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from benchmarks.bench import Photograph, class_balanced, photographs
from benchmarks.tables import fill
from skinaudit.audit.session import interpreters_for
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.config import Frozen
from skinaudit.images.decode import decode
from skinaudit.interpreters.rts_file import file_digest
from skinaudit.interpreters.rts_substrate import blur
from skinaudit.metrics.deletion import area_under_curve, importance_order, replacements
from skinaudit.metrics.intervals import bootstrap_mean
from skinaudit.metrics.maps import marks_nothing

#: Maps in the order of the table.
TITLES = {"rts": "RTS", "cam": "CAM", "disc": "centred disc", "random": "random map"}
CURVES = ("deletion", "insertion")
MapMaker = Callable[[Tensor, Tensor, int], Tensor]


class Areas(Frozen):
    """Areas under the curves of one photograph, by map."""

    image: str
    label: str
    predicted: str
    deletion: dict[str, float]
    insertion: dict[str, float]


def map_makers(classifier: Classifier) -> dict[str, MapMaker]:
    """Maps (1,h,w) of an image (1,3,H,W), a class (1,) and a number, by name."""
    built = interpreters_for(classifier, ("rts", "cam"), torch.device("cpu"))

    def disc(x: Tensor, _classes: Tensor, _number: int) -> Tensor:
        height, width = x.shape[2:]
        rows = (torch.arange(height) - (height - 1) / 2) / height
        columns = (torch.arange(width) - (width - 1) / 2) / width
        distance = (rows[:, None].square() + columns[None].square()).sqrt()
        return (1 - distance / distance.max())[None]

    def noise(_x: Tensor, _classes: Tensor, number: int) -> Tensor:
        return torch.rand(1, 56, 56, generator=torch.Generator().manual_seed(number))

    return {
        "rts": lambda x, classes, _number: built["rts"].explain(x, classes),
        "cam": lambda x, classes, _number: built["cam"].explain(x, classes),
        "disc": disc,
        "random": noise,
    }


def probability(classifier: Classifier, images: Tensor, label: int) -> Tensor:
    """Probability of a class for images (n,3,H,W), (n,)."""
    with torch.no_grad():
        return torch.cat([classifier(part).softmax(1)[:, label] for part in images.split(32)])


def measure(classifier: Classifier, makers: dict[str, MapMaker], one: Photograph, number: int, steps: int) -> Areas:
    """Both curves of one photograph under every map."""
    x = classifier.preprocess.shown(decode(one.path).pixels)[None].float() / 255
    with torch.no_grad():
        classes = classifier(x).argmax(1)
    label = int(classes)
    flat, blurred = x[0].mean((1, 2), keepdim=True).expand_as(x[0]), blur(x)[0]
    areas: dict[str, dict[str, float]] = {curve: {} for curve in CURVES}
    for name, maker in makers.items():
        order = importance_order(maker(x, classes, number), (x.shape[2], x.shape[3]))[0]
        for curve, start, end in (("deletion", x[0], flat), ("insertion", blurred, x[0])):
            scores = probability(classifier, replacements(start, end, order, steps), label)
            areas[curve][name] = float(area_under_curve(scores))
    return Areas(image=one.stem, label=one.label, predicted=classifier.classes[label], **areas)


def blank(classifier: Classifier, chosen: Sequence[Photograph]) -> int:
    """Photographs of which RTS marks nothing."""
    rts = interpreters_for(classifier, ("rts",), torch.device("cpu"))["rts"]
    count = 0
    for one in chosen:
        x = classifier.preprocess.shown(decode(one.path).pixels)[None].float() / 255
        with torch.no_grad():
            count += int(marks_nothing(rts.explain(x, classifier(x).argmax(1))))
    return count


def table(found: Sequence[Areas], blanks: int) -> str:
    """Means with bootstrap intervals, then paired differences of RTS to every other map."""
    nothing = f"The RTS map of {blanks} of them marks nothing (no pixel reaches one half)."
    lines = [
        f"n = {len(found)} images. {nothing}",
        "",
        "| map | deletion (lower is better) | insertion (higher is better) |",
    ]
    lines.append("|---|---|---|")
    for name, title in TITLES.items():
        cells = [_mean([getattr(one, curve)[name] for one in found]) for curve in CURVES]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", "| RTS less … on the same images | deletion | insertion |", "|---|---|---|"]
    for name in list(TITLES)[1:]:
        cells = [_mean(differences(found, curve, name), signed=True) for curve in CURVES]
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(found: Sequence[Areas], curve: str, name: str) -> list[float]:
    """Area under the curve with RTS less that with another map, per image."""
    return [getattr(one, curve)["rts"] - getattr(one, curve)[name] for one in found]


def _mean(values: Sequence[float], *, signed: bool = False) -> str:
    interval = bootstrap_mean(values)
    sign = "+" if signed else ""
    return f"{fmean(values):{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def run(classifier: Classifier, chosen: Sequence[Photograph], steps: int, work: Path | None) -> list[Areas]:
    """Areas of every photograph; those in the work file are taken from there."""
    makers = map_makers(classifier)
    known: dict[str, Areas] = {}
    if work is not None and work.exists():
        lines = work.read_text(encoding="utf-8").splitlines()
        known = {one.image: one for one in map(Areas.model_validate_json, lines)}
    found = []
    for number, one in enumerate(chosen):
        areas = known.get(one.stem) or measure(classifier, makers, one, number, steps)
        found.append(areas)
        if work is not None and one.stem not in known:
            with work.open("a", encoding="utf-8") as file:
                file.write(areas.model_dump_json() + "\n")
        if number % 20 == 19:
            print(f"{number + 1} of {len(chosen)} images", flush=True)
    return found


def main() -> None:
    """Run as the module docstring says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--count", type=int, default=210)
    parser.add_argument("--skip", type=int, default=0, help="leave out the first of these, looked at before")
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder of finished images, so that a stopped run goes on")
    parser.add_argument("--write", type=Path, help="document whose table is filled")
    parser.add_argument("--card", type=Path, help="model card whose section is filled")
    parser.add_argument("--table", default="rts-quality", help="name of the table's markers in --write")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    classifier = load_classifier(arguments.model)
    classifier.network.to(memory_format=torch.channels_last)
    chosen = class_balanced(photographs(arguments.images, arguments.labels, classifier.classes), arguments.count)
    chosen = chosen[arguments.skip :]
    work = None
    if arguments.work is not None:
        arguments.work.mkdir(parents=True, exist_ok=True)
        fitted = file_digest(classifier.description.fitted_file("rts"))
        work = arguments.work / f"{classifier.digest[:12]}-{fitted[:12]}-{arguments.steps}.jsonl"
    text = table(run(classifier, chosen, arguments.steps, work), blank(classifier, chosen))
    print(text)
    if arguments.write is not None:
        fill(arguments.write, arguments.table, text)
    if arguments.card is not None:
        fill(arguments.card, "rts", text)
    counts = {name: sum(one.label == name for one in chosen) for name in sorted({one.label for one in chosen})}
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
