"""The audited model with its interpreters, and the labelled photographs a benchmark attacks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from skinaudit.attacks.judge import Judge
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.audit.plan import shapes
from skinaudit.audit.session import interpreters_for
from skinaudit.audit.workbench import Subject, Workbench
from skinaudit.calibration.thresholds import read_thresholds
from skinaudit.classifier.classifier import load_classifier
from skinaudit.config import PRESETS, AuditConfig, Preset, TargetRule, ThreatModel
from skinaudit.images.decode import decode
from skinaudit.images.folder import find_images, read_labels
from skinaudit.images.identity import seed_for
from skinaudit.interpreters.registry import family_of

#: Mixed into the order of the photographs.
ORDER_SEED = "skinaudit-strength-1"


@dataclass(frozen=True)
class Photograph:
    """A labelled file."""

    stem: str
    path: Path
    label: str


def build_bench(
    model: Path,
    target: TargetRule,
    batch: int,
    threads: int,
    interpreters: Sequence[str] = ("cam", "grad"),
    preset: Preset = Preset.STANDARD,
) -> Workbench:
    """The bundle's model at ε = 8/255 with a preset and the bundle's own drift thresholds."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier = load_classifier(model, device)
    # Every method in a benchmark gets the same, faster order of memory; values are those of the product.
    classifier.network.to(memory_format=torch.channels_last)
    thresholds = read_thresholds(classifier.description.calibration, classifier.digest)
    missing = [name for name in interpreters if name not in thresholds]
    if missing:
        raise SystemExit(f"{model}: no drift threshold for {', '.join(missing)}; run `skinaudit calibrate` first")
    config = AuditConfig(
        interpreters=tuple(interpreters),
        threat=ThreatModel(epsilon=8 / 255, target=target),
        preset=preset,
        budget=PRESETS[preset],
        batch_size=batch,
        threads=threads,
        device="cuda" if device.type == "cuda" else "cpu",
    )
    built = interpreters_for(classifier, config.interpreters, device)
    judge = Judge(classifier, built, batch, device, shapes(config))
    return Workbench(classifier, built, {name: thresholds[name] for name in interpreters}, judge, config, device)


def photographs(images: Path, labels: Path, classes: Sequence[str]) -> list[Photograph]:
    """Every readable, labelled file, in an order that depends on nothing but the file's name."""
    known = read_labels(labels, classes)
    found = [
        Photograph(file.stem, file.path, known[file.stem])
        for file in find_images(images)
        if file.reason is None and file.stem in known
    ]
    return sorted(found, key=lambda one: hashlib.sha256(f"{ORDER_SEED}:{one.stem}".encode()).hexdigest())


def class_balanced(candidates: Sequence[Photograph], count: int) -> list[Photograph]:
    """At most ``count`` of them, the classes taken in turn; where a class runs out, the others fill up."""
    groups: dict[str, list[Photograph]] = {}
    for one in candidates:
        groups.setdefault(one.label, []).append(one)
    longest = max((len(group) for group in groups.values()), default=0)
    turns = [groups[name][place] for place in range(longest) for name in sorted(groups) if place < len(groups[name])]
    return turns[:count]


def correct_ones(bench: Workbench, candidates: Sequence[Photograph]) -> list[Photograph]:
    """Those the model gets right as it is shown them (8-bit pixels)."""
    right = []
    for start in range(0, len(candidates), bench.config.batch_size):
        part = candidates[start : start + bench.config.batch_size]
        predicted = bench.judge.logits([bench.classifier.preprocess.shown(decode(p.path).pixels) for p in part])
        decided = predicted.argmax(1).tolist()
        right += [one for one, index in zip(part, decided, strict=True) if bench.classifier.classes[index] == one.label]
    return right


def by_stem(found: Sequence[Photograph], file: Path) -> list[Photograph]:
    """The photographs that an id file names (first word of each line, # starts a comment), in its order."""
    known: Mapping[str, Photograph] = {one.stem: one for one in found}
    lines = [line.split("#")[0].split() for line in file.read_text(encoding="utf-8").splitlines()]
    stems = [words[0] for words in lines if words]
    missing = [stem for stem in stems if stem not in known]
    if missing:
        raise SystemExit(f"{file}: {len(missing)} ids have no labelled image, {missing[0]} for one")
    return [known[stem] for stem in stems]


def subjects(bench: Workbench, chosen: Sequence[Photograph]) -> Iterator[Subject]:
    """What the model is shown of each photograph, with its clean look; ids are the file stems."""
    size = bench.config.batch_size
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        pixels = [decode(one.path).pixels for one in part]
        shown = [bench.classifier.preprocess.shown(picture) for picture in pixels]
        for one, picture, tensor, clean in zip(part, pixels, shown, bench.judge.clean(shown), strict=True):
            yield Subject(one.stem, tensor, seed_for(picture, bench.config.seed), clean)


def settings_of(bench: Workbench, what: str) -> dict[str, str]:
    """What this tool's results in a work folder depend on; threads and batch shape are part of it (rounding)."""
    config, budget = bench.config, bench.config.budget
    steps = {name: budget.steps(family_of(name)) for name in bench.interpreters}
    return {
        **basis_of(bench, what, tuple(bench.interpreters)),
        "steps": ", ".join(f"{name} {count}" for name, count in {"pgd": budget.pgd_steps, **steps}.items()),
        "warm steps": str(budget.warm_steps),
        "search": "; ".join(f"{name} {_search(bench, name)}" for name in bench.interpreters),
        "controls": str(budget.controls),
        "early stop": str(budget.early_stop),
        "threads": str(config.threads),
    }


def _search(bench: Workbench, name: str) -> LoopSettings:
    budget, family = bench.config.budget, family_of(name)
    return LoopSettings.for_attack(
        family, steps=budget.steps(family), warm_steps=budget.warm_steps, early_stop=budget.early_stop
    )


def basis_of(bench: Workbench, what: str, names: Sequence[str]) -> dict[str, str]:
    """What the results of any method on these maps depend on: model, threat model, drift limits and batch shape."""
    config = bench.config
    limits = {name: bench.thresholds[name] for name in names}
    return {
        "what": what,
        "model": bench.classifier.digest,
        "threat": config.threat.model_dump_json(),
        "batch": str(config.batch_size),
        "seed": str(config.seed),
        "thresholds": ", ".join(f"{name} {limit.l1:.6f} {limit.iou20:.6f}" for name, limit in limits.items()),
    }
