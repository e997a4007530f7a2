"""ADV² on GRAD with finite differences of several lengths, and with second derivatives, on the same photographs.

    python -m benchmarks.finite_step --model models/isic2018-efficientnet-lite0 --images DIR --labels CSV \
        [--count 8] [--steps 8,16,32] [--free 8,32] [--second] [--threads 1] \
        [--table finite-step-isic2018] [--write FILE]

Take photographs that no strength table attacks (a validation split): the step that the tool uses was chosen this way.
"Lowest value free": the derivative of the map goes through its lowest value as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.bench import build_bench, class_balanced, correct_ones, photographs, subjects
from benchmarks.machine import machine, machine_line
from benchmarks.tables import fill, share
from skinaudit.attacks.adv2 import FiniteDifferenceObjective, MapObjective, Objective
from skinaudit.attacks.judge import Question, Verdict
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.audit.workbench import Subject, Workbench, chosen_target
from skinaudit.config import TargetRule
from skinaudit.interpreters.grad import Grad

NAME = "grad"


@dataclass(frozen=True)
class Row:
    """One way to the map's gradient: the best candidate's verdict on every photograph, and seconds for all."""

    title: str
    views: tuple[tuple[Verdict, bool, bool], ...]  # with flipped and joint
    seconds: float

    def text(self, fastest: float) -> str:
        """A line of the table."""
        cells = (
            self.title, str(len(self.views)), share([joint for _, _, joint in self.views]).text(),
            f"{fmean(view.shown_distance.l1 for view, _, _ in self.views):.4f}",
            f"{fmean(view.shown_distance.iou20 for view, _, _ in self.views):.3f}",
            f"{fmean(flipped for _, flipped, _ in self.views):.3f}", f"{self.seconds / fastest:.2f}",
        )  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def attacked(bench: Workbench, chosen: Sequence[Subject], objective: Objective, title: str) -> Row:
    """Every photograph under one objective, in whole batches, so that nobody's time depends on a neighbour."""
    budget, limit = bench.config.budget, bench.thresholds[NAME]
    settings = LoopSettings.for_attack(
        "gradient", steps=budget.grad_steps, warm_steps=budget.warm_steps, early_stop=False
    )
    loop = Loop(objective, bench.entry.perturbation(), settings, bench.config.batch_size, bench.device)
    tasks = []
    for one in chosen:
        goal = MapGoal(one.clean.maps[NAME], limit.l1, limit.iou20)
        tasks.append(Task(one.image_id, one.shown, chosen_target(bench, one), (goal,)))
    begun = time.perf_counter()
    found = {outcome.key: outcome for outcome in loop.run(tasks)}
    seconds = time.perf_counter() - begun
    views = []
    for one, task in zip(chosen, tasks, strict=True):
        (view,) = bench.judge.verdicts([Question(found[task.key].candidates[0], one.clean, NAME)])
        flipped = view.predicted == task.target_class
        views.append((view, flipped, flipped and limit.keeps(view.shown_distance.l1, view.shown_distance.iou20)))
    print(f"{title}: {seconds:.0f} s", flush=True)
    return Row(title, tuple(views), seconds)


def report(bench: Workbench, rows: Sequence[Row]) -> str:
    """Everything as Markdown."""
    fastest = min(one.seconds for one in rows)
    limit = bench.thresholds[NAME]
    intro = (
        f"{bench.config.budget.grad_steps} steps, no early stop. A map is kept when L1 ≤ {limit.l1:.4f} and "
        f"IoU top 20 % ≥ {limit.iou20:.3f}. Time: of the whole attack, as a multiple of the shortest."
    )
    head = "| gradient of the map | n | joint success [95 %] | L1 | IoU top 20 % | flipped | time |\n|" + "---|" * 7
    return "\n\n".join(
        [intro, "\n".join([head, *(one.text(fastest) for one in rows)]), machine_line(machine(bench.device))]
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle folder with drift thresholds")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--labels", type=Path, required=True, help="CSV: image,dx or the one-hot form of ISIC")
    parser.add_argument("--count", type=int, default=8, help="photographs, in batches of 8")
    parser.add_argument("--steps", default="8,16,32", help="lengths of the difference, in grey levels of 255")
    parser.add_argument("--free", default="8,32", help="lengths to try with the lowest value of the map not held, too")
    parser.add_argument("--second", action="store_true", help="also second derivatives of smoothed activations")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", default="finite-step-isic2018", help="its marker in the document")
    parser.add_argument("--write", type=Path, help="document whose table is filled")
    arguments = parser.parse_args()
    bench = build_bench(arguments.model, TargetRule.RANDOM, 8, arguments.threads, [NAME])
    found = photographs(arguments.images, arguments.labels, bench.classifier.classes)
    right = correct_ones(bench, class_balanced(found, 3 * arguments.count))
    chosen = list(subjects(bench, right[: arguments.count]))
    grad = Grad(bench.classifier)
    rows = []
    for lengths, held, note in ((arguments.steps, True, ""), (arguments.free, False, ", lowest value free")):
        for step in filter(None, lengths.split(",")):
            objective = FiniteDifferenceObjective(grad, float(step) / 255, hold_low=held)
            rows.append(attacked(bench, chosen, objective, f"difference over {step}/255{note}"))
    if arguments.second:
        rows.append(attacked(bench, chosen, MapObjective(grad), "second derivatives, smoothed"))
    text = report(bench, rows)
    print(text)
    if arguments.write:
        fill(arguments.write, arguments.table, text)


if __name__ == "__main__":
    main()
