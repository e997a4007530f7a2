"""Our own plain implementation of the published settings of ADV² on CAM, GRAD, RTS and MASK, to compare with.

    python -m benchmarks.published --model BUNDLE --images DIR --labels CSV --interpreter cam --ids FILE --work DIR

Source: Zhang et al., "Interpretable Deep Learning under Fire" (USENIX Security 2020), with the settings of the authors'
published research code: plain sign steps of 1/255 inside ε = 0.031, no random start, a warm start of targeted PGD,
then the joint loss (MASK: ``benchmarks/published_mask.py``). It is judged like ours, on the 8-bit pixels. The same
command goes on where it was stopped. Finished cases are kept in ``benchmarks/published_cases``; remove a folder there
to make them anew.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor

from benchmarks.bench import Photograph, basis_of, build_bench, by_stem, photographs, subjects
from benchmarks.cases import Case, CaseBook, check_settings
from benchmarks.machine import unit_seconds, wait
from benchmarks.published_mask import MaskAttack, MaskAttackSettings
from skinaudit.attacks.judge import Question
from skinaudit.audit.picture_files import picture_bytes
from skinaudit.audit.workbench import Subject, Workbench, chosen_target
from skinaudit.config import TargetRule
from skinaudit.interpreters.base import Interpreter
from skinaudit.interpreters.grad import Grad
from skinaudit.interpreters.mask import Mask
from skinaudit.interpreters.rts import Rts
from skinaudit.interpreters.smooth import Smoothing
from skinaudit.metrics.images import linf_levels

EPSILON = 0.031
STEP = 1 / 255
SAVE_EVERY = 50
#: Name of the stage in a book of cases.
STAGE = "published"


@dataclass(frozen=True)
class Settings:
    """One interpreter's published settings. ``weights``: λ at the first and at the last step of each joint stage."""

    warm_steps: int
    joint_steps: tuple[int, ...]
    weights: tuple[tuple[float, float], ...]
    sum_over_pixels: bool
    target_probability: float  # of the distribution that the class loss aims at; the rest is shared
    clip_in_warm_start: bool
    snapshot_every: int  # 0: the last iterate counts
    snapshot_confidence: float = 0.875
    encoder_weight: float = 0.0  # of the cross entropy of the evidence inside RTS

    @property
    def steps(self) -> int:
        """Steps of the whole attack."""
        return self.warm_steps + sum(self.joint_steps)

    def stage(self, step: int) -> tuple[int, float] | None:
        """(step within its joint stage, λ); None in the warm start."""
        place = step - self.warm_steps
        if place < 0:
            return None
        for count, (first, last) in zip(self.joint_steps, self.weights, strict=True):
            if place < count:
                return place, first + (last - first) * place / (count - 1)
            place -= count
        raise ValueError(f"step {step} lies behind the last of {self.steps}")


SETTINGS = {
    "cam": Settings(400, (1200,), ((5.0, 10.0),), False, 1.0, True, 0),
    "grad": Settings(
        300,
        (401, 201, 201, 101),
        ((0.001, 0.001), (0.004, 0.004), (0.01, 0.01), (0.05, 0.05)),
        sum_over_pixels=True,
        target_probability=0.95,
        clip_in_warm_start=False,
        snapshot_every=10,
    ),
    "rts": Settings(200, (600,), ((5.0, 10.0),), False, 1.0, True, 0, encoder_weight=0.1),
}
MASK_SETTINGS = MaskAttackSettings()


@dataclass
class State:
    """A batch on its way: iterates x, best snapshots with their map loss, seconds so far, units measured."""

    step: int
    x: Tensor
    best: Tensor
    best_loss: Tensor
    seconds: float
    units: list[float]

    def save(self, file: Path) -> None:
        """Write it, whole or not at all."""
        temporary = file.with_suffix(".tmp")
        torch.save(vars(self), temporary)
        temporary.replace(file)

    @classmethod
    def start(cls, x0: Tensor, file: Path) -> State:
        """The state that was saved, or a fresh one."""
        if file.exists():
            return cls(**torch.load(file, map_location=x0.device, weights_only=True))
        return cls(0, x0.clone(), x0.clone(), torch.full((len(x0),), float("inf"), device=x0.device), 0.0, [])


@dataclass(frozen=True)
class Attack:
    """The published attack on one batch: clean images (N,3,h,w) in [0,1], target classes (N,), target maps (N,h,w)."""

    bench: Workbench
    interpreter: Interpreter
    settings: Settings
    x0: Tensor
    target: Tensor
    target_map: Tensor

    def run(self, file: Path, say: str) -> State:
        """All steps, saved every few so that an interruption costs little."""
        state = State.start(self.x0, file)
        size = (self.x0.shape[2], self.x0.shape[3])
        while state.step < self.settings.steps:
            state.units.append(unit_seconds(self.bench.classifier, len(self.x0), size, self.bench.device))
            begun = time.perf_counter()
            for _ in range(min(SAVE_EVERY, self.settings.steps - state.step)):
                self.advance(state)
            wait(self.bench.device)
            state.seconds += time.perf_counter() - begun
            state.save(file)
            print(f"{say}: step {state.step} of {self.settings.steps}, {state.seconds:.0f} s", flush=True)
        return state

    def advance(self, state: State) -> None:
        """One sign step along the loss, projected to the ball."""
        stage = self.settings.stage(state.step)
        leaf = state.x.detach().requires_grad_()
        with torch.enable_grad():
            if stage is None:
                loss = self.class_loss(self.bench.classifier(leaf))
            else:
                logits, maps, encoder_loss = self.seen(leaf)
                gap = (maps - self.target_map).square().flatten(1)
                map_loss = gap.sum(1) if self.settings.sum_over_pixels else gap.mean(1)
                loss = self.class_loss(logits) + self.settings.encoder_weight * encoder_loss + stage[1] * map_loss
                self.keep_snapshot(state, stage[0], logits.detach(), map_loss.detach())
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        moved = state.x - STEP * gradient.sign()
        state.x = torch.minimum(torch.maximum(moved, self.x0 - EPSILON), self.x0 + EPSILON)
        if stage is not None or self.settings.clip_in_warm_start:
            state.x = state.x.clamp(0, 1)
        state.step += 1

    def seen(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N,K), maps (N,h,w), and how far the evidence inside RTS is from the target class, (N,)."""
        if isinstance(self.interpreter, Rts):
            logits, maps, evidence = self.interpreter.with_evidence(x, self.target)
            return logits, maps, functional.cross_entropy(evidence, self.target, reduction="none")
        logits, maps = self.interpreter.differentiable(x, self.target)
        return logits, maps, torch.zeros_like(logits[:, 0])

    def class_loss(self, logits: Tensor) -> Tensor:
        """Cross entropy (N,) to the target distribution."""
        classes = logits.shape[1]
        wanted = torch.full_like(logits, (1 - self.settings.target_probability) / (classes - 1))
        wanted.scatter_(1, self.target[:, None], self.settings.target_probability)
        return -(wanted * functional.log_softmax(logits, 1)).sum(1)

    def keep_snapshot(self, state: State, place: int, logits: Tensor, map_loss: Tensor) -> None:
        """Every few steps: the iterate of the lowest map loss among those that hold the class."""
        if not self.settings.snapshot_every or place % self.settings.snapshot_every:
            return
        held = logits.softmax(1).gather(1, self.target[:, None])[:, 0] > self.settings.snapshot_confidence
        better = held & (map_loss < state.best_loss)
        state.best = torch.where(better.view(-1, 1, 1, 1), state.x, state.best)
        state.best_loss = torch.where(better, map_loss, state.best_loss)

    def result(self, state: State) -> Tensor:
        """The attacked images as 8-bit pixels: the snapshot where there is one, else the last iterate."""
        found = torch.isfinite(state.best_loss).view(-1, 1, 1, 1)
        chosen = torch.where(found, state.best, state.x)
        return (chosen.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def attack_batch(bench: Workbench, name: str, batch: Sequence[Subject], work: Path) -> list[Case]:
    """Attack and judge one batch; every image's result depends on that image alone. Pictures stay in ``work``."""
    targets = [chosen_target(bench, subject) for subject in batch]
    file = work / f"state-{batch[0].image_id}-{len(batch)}.pt"
    found, seconds, units = search(bench, name, batch, targets, file)
    cases = []
    for place, pixels in enumerate(found):
        subject = batch[place]
        picture = picture_bytes(bench.classifier, pixels, adversarial=True)
        (work / f"{subject.image_id}.png").write_bytes(picture)
        cases.append(judged(bench, name, subject, pixels, targets[place], seconds / len(batch), units))
    file.unlink()
    return cases


def search(
    bench: Workbench, name: str, batch: Sequence[Subject], targets: Sequence[int], file: Path
) -> tuple[Tensor, float, list[float]]:
    """Attacked images (N,3,h,w) uint8, seconds of the whole batch, units measured meanwhile."""
    interpreter: Interpreter = bench.interpreters[name]
    x0 = torch.stack([subject.shown for subject in batch]).to(bench.device).float() / 255
    target = torch.tensor(targets, device=bench.device)
    target_map = torch.stack([subject.clean.maps[name] for subject in batch]).to(bench.device)
    say = f"published {name}, {batch[0].image_id} and {len(batch) - 1} more"
    if isinstance(interpreter, Mask):
        bilevel = MaskAttack(bench.classifier, interpreter, MASK_SETTINGS, x0, target, target_map)
        reached = bilevel.run(file, say)
        return bilevel.result(reached), reached.seconds, reached.units
    if name == "grad":
        interpreter = Grad(bench.classifier, smoothing=Smoothing("literal"))
    attack = Attack(bench, interpreter, SETTINGS[name], x0, target, target_map)
    state = attack.run(file, say)
    return attack.result(state), state.seconds, state.units


def judged(
    bench: Workbench, name: str, subject: Subject, pixels: Tensor, target: int, seconds: float, units: Sequence[float]
) -> Case:
    """The verdict on an attacked image, by the same judge as ours."""
    (view,) = bench.judge.verdicts([Question(pixels, subject.clean, name)])
    kept = bench.thresholds[name].keeps(view.shown_distance.l1, view.shown_distance.iou20)
    before, after = (tensor.permute(1, 2, 0).contiguous().numpy() for tensor in (subject.shown, pixels))
    return Case(
        image=subject.image_id,
        interpreter=name,
        method="published",
        source_class=subject.clean.predicted,
        target_class=target,
        predicted=view.predicted,
        flipped=view.predicted == target,
        confidence=view.probabilities[target],
        l1=view.shown_distance.l1,
        rms=view.shown_distance.rms,
        iou20=view.shown_distance.iou20,
        kept=kept,
        joint=kept and view.predicted == target,
        linf_levels=linf_levels(before, after),
        steps=SETTINGS[name].steps if name in SETTINGS else MASK_SETTINGS.steps,
        stop="steps used up",
        seconds=seconds,
        unit=statistics.median(units),
    )


def run_published(bench: Workbench, name: str, chosen: Sequence[Photograph], work: Path, kept: Path) -> list[Case]:
    """Cases of these photographs in their order; those in the folder ``kept`` are read, not made again."""
    # Each image goes its own way, and costs are in units of the same run: batch shape and threads may be others.
    check_settings(kept, {key: value for key, value in basis_of(bench, name, (name,)).items() if key != "batch"})
    work.mkdir(parents=True, exist_ok=True)
    book = CaseBook(kept)
    finished = book.done(STAGE)
    size = bench.config.batch_size
    for start in range(0, len(chosen), size):
        todo = [one for one in chosen[start : start + size] if one.stem not in finished]
        for case in attack_batch(bench, name, list(subjects(bench, todo)), work) if todo else ():
            book.add(STAGE, case.image, (case,))
    found = {case.image: case for case in book.cases()}
    return [found[one.stem] for one in chosen]


def folder_of(model: Path, name: str) -> Path:
    """Where the finished cases of a bundle's interpreter are kept: in the repository, as they take days."""
    return Path(__file__).parent / "published_cases" / model.name / name


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle folder with drift thresholds")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--labels", type=Path, required=True, help="CSV: image,dx or the one-hot form of ISIC")
    parser.add_argument("--interpreter", choices=(*sorted(SETTINGS), "mask", "mask-fast"), required=True)
    parser.add_argument("--ids", type=Path, required=True, help="file that names the images, one a line")
    parser.add_argument("--work", type=Path, required=True, help="folder for states and pictures")
    parser.add_argument("--first", type=int, help="only so many of them")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", type=TargetRule, choices=list(TargetRule), default=TargetRule.RANDOM)
    arguments = parser.parse_args()
    bench = build_bench(arguments.model, arguments.target, arguments.batch, arguments.threads, [arguments.interpreter])
    found = photographs(arguments.images, arguments.labels, bench.classifier.classes)
    chosen = by_stem(found, arguments.ids)[: arguments.first]
    kept = folder_of(arguments.model, arguments.interpreter)
    for case in run_published(bench, arguments.interpreter, chosen, arguments.work, kept):
        verdict = "joint" if case.joint else "flipped" if case.flipped else "not flipped"
        print(f"{case.image}: {verdict}, L1 {case.l1:.4f}, confidence {case.confidence:.3f}, cost {case.cost:.0f}")


if __name__ == "__main__":
    main()
