"""Do pictures made against one model deceive another? Transfer across models with different classes.

    python -m benchmarks.transfer_models --run RUN --model models/isic2017-densenet121 [--write docs/benchmarks.md]

RUN is a finished ``skinaudit audit`` of the first model. Its saved pictures go through the second model's own geometry,
as in a clinic that runs it. Classes differ, so success means that the side changes: malignant becomes benign, or benign
malignant. Only images count whose side the second model sees as the first one does while they are unchanged. Random
noise of the attack's size on the same images says how often the second model changes sides by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.machine import machine, machine_line
from benchmarks.tables import TITLES, fill, share
from skinaudit.attacks.controls import Pixels, signed_noise
from skinaudit.attacks.judge import Judge
from skinaudit.audit.reader import RunReader
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.images.decode import decode


@dataclass(frozen=True)
class Pair:
    """An unchanged picture and a changed one, and which side the first model put them on (True: malignant)."""

    made: str
    clean: Path
    changed: Path
    before: bool
    after: bool


def pairs_of(run: RunReader) -> list[Pair]:
    """Every picture of an attack, with the sides on which the run's own model put it."""
    model = run.header.model
    malignant = [name in model.malignant for name in model.classes]
    images = {one.image_id: one for one in run.images()}
    found: dict[tuple[str, str], Pair] = {}
    for record in run.records():
        if record.attack not in ("adv2", "pgd") or record.prediction is None:
            continue
        made = "PGD" if record.attack == "pgd" else f"{TITLES['adv2']} on {record.interpreter.upper()}"
        found[made, record.image_id] = Pair(
            made,
            run.artifact(images[record.image_id].artifacts["clean"]),
            run.artifact(record.artifacts["image"]),
            malignant[record.source_class],
            malignant[record.prediction.index],
        )
    return list(found.values())


def sides(classifier: Classifier, pictures: Sequence[Pixels], batch: int, device: torch.device) -> list[bool]:
    """Whether a model calls each picture malignant, through its own geometry."""
    judge = Judge(classifier, {}, batch, device)
    logits = judge.logits([classifier.preprocess.shown(pixels) for pixels in pictures])
    malignant = [name in classifier.malignant for name in classifier.classes]
    return [malignant[index] for index in logits.argmax(1).tolist()]


def table(pairs: Sequence[Pair], before: Sequence[bool], after: Sequence[bool], noisy: Sequence[bool]) -> str:
    """Share of pictures whose side changes on the first model, and of those that also change it on the second.

    ``noisy``: sides of the unchanged pictures with noise, as the second model sees them, in the order of the pairs.
    """
    lines = [
        "| made with | n | side changed on the first model | of these, alike when clean | side changed on the second |",
        "|---|---|---|---|---|",
    ]
    for made in dict.fromkeys(pair.made for pair in pairs):
        mine = [(pair, b, a) for pair, b, a in zip(pairs, before, after, strict=True) if pair.made == made]
        changed = [one for one in mine if one[0].before != one[0].after]
        comparable = [one for one in changed if one[1] == one[0].before]
        moved = share([a != b for _, b, a in comparable]).text() if comparable else "–"
        first = share([pair.before != pair.after for pair, _, _ in mine]).text()
        lines.append(f"| {made} | {len(mine)} | {first} | {len(comparable)} | {moved} |")
    images = {pair.clean: (pair.before == b, b != n) for pair, b, n in zip(pairs, before, noisy, strict=True)}
    by_noise = [other for alike, other in images.values() if alike]
    text = share(by_noise).text() if by_noise else "–"
    lines.append(f"| control: ±ε noise | {len(images)} | – | {len(by_noise)} | {text} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="finished audit of the first model")
    parser.add_argument("--model", type=Path, required=True, help="bundle of the second model")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path, help="put the table between its markers in this document")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier = load_classifier(arguments.model, device)
    with RunReader(arguments.run) as run:
        pairs, first, levels = pairs_of(run), run.header.model, run.header.config.threat.epsilon_levels
    unchanged = [decode(pair.clean).pixels for pair in pairs]
    seeds = {file: seed for seed, file in enumerate(dict.fromkeys(pair.clean for pair in pairs))}
    noise = [signed_noise(pixels, levels, seeds[pair.clean]) for pixels, pair in zip(unchanged, pairs, strict=True)]
    before, after, noisy = (
        sides(classifier, pictures, arguments.batch, device)
        for pictures in (unchanged, [decode(pair.changed).pixels for pair in pairs], noise)
    )
    intro = (
        f"Pictures of an audit of {first.name} ({', '.join(first.classes)}), seen by {classifier.description.name} "
        f"({', '.join(classifier.classes)}). Sides: malignant or benign, by each model's own list."
    )
    text = "\n\n".join([intro, table(pairs, before, after, noisy), machine_line(machine(device))])
    if arguments.write:
        fill(arguments.write, "transfer-models", text)
    print(text)


if __name__ == "__main__":
    main()
