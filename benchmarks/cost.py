"""What a joint step costs against one bare forward pass with input gradient, and what the loop itself costs.

    python -m benchmarks.cost [--repetitions 9] [--batch 8] [--json FILE] [--write docs/benchmarks.md]

Networks have random weights: the cost does not depend on them. Every repetition times all rows one after another, so
that a busy machine slows all of them alike; the median over the repetitions counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import monai.networks.nets as monai_nets
import timm
import torch
import torchvision
from torch import Tensor, nn

from benchmarks.machine import machine, machine_line, wait
from benchmarks.tables import fill
from skinaudit.attacks.adv2 import (
    ClassObjective,
    Evaluation,
    FiniteDifferenceObjective,
    Goal,
    MapObjective,
    Objective,
    State,
)
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.rts_objective import RtsObjective
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad import Grad
from skinaudit.interpreters.grad_cam import GradCam
from skinaudit.interpreters.grad_cam_plus_plus import GradCamPlusPlus
from skinaudit.interpreters.integrated_gradients import IntegratedGradients
from skinaudit.interpreters.layer_cam import LayerCam
from skinaudit.interpreters.rts import Rts, blank_generator
from skinaudit.interpreters.smooth_grad import SmoothGrad

CLASSES, SIZE = 7, 224
BOUNDS = {"CAM": 1.15, "GRAD, finite difference": 3.3, "RTS": 1.7}
FAMILIES = {"CAM": "activation", "GRAD, finite difference": "gradient", "RTS": "learned"}
LOOP_BOUND = 0.05
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "EfficientNet-lite0 (timm)": lambda: timm.create_model("tf_efficientnet_lite0", num_classes=CLASSES),
    "ResNet-50 (torchvision)": lambda: torchvision.models.resnet50(weights=None, num_classes=CLASSES),
    "DenseNet121 (MONAI)": lambda: monai_nets.DenseNet121(spatial_dims=2, in_channels=3, out_channels=CLASSES),
}


@dataclass(frozen=True)
class Measured:
    """Median seconds of one batch and its ratio to the bare pass of the same network and precision; or why not."""

    network: str
    precision: str
    row: str
    seconds: float | None
    ratio: float | None
    problem: str = ""


@contextmanager
def tf32() -> Iterator[None]:
    """TF32 in matrix products and convolutions, put back afterwards."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """The arithmetic of a precision's name: fp32, tf32, bf16; ``compiled`` is said of the network, not of it."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    with (
        tf32() if "tf32" in precision else nullcontext(),
        torch.autocast(device.type, torch.bfloat16) if "bf16" in precision else nullcontext(),
    ):
        yield


def rows_of(network: nn.Module, probe: Tensor, *, double_backward: bool) -> dict[str, Objective]:
    """Objectives by the name of their row; the bare pass comes first."""
    rows: dict[str, Objective] = {
        "bare": ClassObjective(network),
        "CAM": MapObjective(Cam.for_network(network, probe)),
        "GRAD, finite difference": FiniteDifferenceObjective(Grad(network)),
        "RTS": RtsObjective(random_rts(network, probe)),
        "Grad-CAM": MapObjective(GradCam.for_network(network, probe)),
        "Grad-CAM++": MapObjective(GradCamPlusPlus.for_network(network, probe)),
        "LayerCAM": MapObjective(LayerCam.for_network(network, probe)),
        "SmoothGrad": FiniteDifferenceObjective(SmoothGrad(network)),
        "Integrated Gradients": FiniteDifferenceObjective(IntegratedGradients(network)),
    }
    return rows | ({"GRAD, double backward": MapObjective(Grad(network))} if double_backward else {})


def random_rts(network: nn.Module, probe: Tensor) -> Rts:
    """RTS with a generator that was never fitted."""
    generator = blank_generator(network, probe).to(probe.device)
    return Rts(network, generator.eval().requires_grad_(requires_grad=False))


def goal_for(objective: Objective, x: Tensor) -> Goal:
    """A random target map of the size that the objective's interpreter gives."""
    target = torch.arange(len(x), device=x.device) % CLASSES
    if not isinstance(objective, MapObjective | FiniteDifferenceObjective | RtsObjective):
        return Goal(target)
    size = objective.interpreter.explain(x, target).shape
    return Goal(target, (torch.rand(size, generator=torch.Generator().manual_seed(1)).to(x.device),))


def time_rows(rows: dict[str, Objective], x: Tensor, repetitions: int) -> dict[str, float | str]:
    """Median seconds of each row, or the first line of what went wrong."""
    weight = torch.ones(len(x), device=x.device)
    goals: dict[str, Goal] = {}
    times: dict[str, list[float]] = {name: [] for name in rows}
    problems: dict[str, str] = {}
    for round_number in range(repetitions + 1):  # the first one warms up
        for name, objective in rows.items():
            if name in problems:
                continue
            try:
                goals[name] = goals.get(name) or goal_for(objective, x)
                wait(x.device)
                begun = time.perf_counter()
                objective.evaluate(x, weight, goals[name], ())
                wait(x.device)
            except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
                problems[name] = (str(error).strip() or type(error).__name__).split("\n")[0][:100]
                continue
            if round_number:
                times[name].append(time.perf_counter() - begun)
    medians: dict[str, float | str] = {name: statistics.median(found) for name, found in times.items() if found}
    return medians | problems


def measure(name: str, precision: str, batch: int, repetitions: int, device: torch.device) -> list[Measured]:
    """Every row of one network in one precision."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval().requires_grad_(requires_grad=False).to(device)
    x = torch.rand(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).to(device)
    with arithmetic(precision, device):
        if "compiled" in precision:
            network.compile()
        # Second derivatives in half precision or through a compiled graph are not offered by the tool.
        rows = rows_of(network, x[:1], double_backward=precision in ("fp32", "tf32"))
        found = time_rows(rows, x, repetitions)
    bare = found["bare"]
    result = []
    for row, value in found.items():
        seconds = value if isinstance(value, float) else None
        ratio = seconds / bare if seconds is not None and isinstance(bare, float) else None
        result.append(Measured(name, precision, row, seconds, ratio, value if isinstance(value, str) else ""))
    return result


class Timed:
    """An objective that adds up the time spent in it."""

    def __init__(self, objective: Objective, device: torch.device) -> None:
        self._objective, self._device = objective, device
        self.seconds = 0.0

    @property
    def matches_map(self) -> bool:
        """As the objective inside."""
        return self._objective.matches_map

    def start(self, x0: Tensor, goal: Goal) -> State:
        """As the objective inside."""
        return self._objective.start(x0, goal)

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """Evaluate and take the time."""
        wait(self._device)
        begun = time.perf_counter()
        found = self._objective.evaluate(x, weight, goal, state)
        wait(self._device)
        self.seconds += time.perf_counter() - begun
        return found


def loop_share(name: str, interpreter: str, batch: int, steps: int, device: torch.device) -> float:
    """Share of a whole attack's time that is spent outside the objective: bookkeeping, steps, candidates, look-ups."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval().requires_grad_(requires_grad=False).to(device)
    x = torch.rand(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    objective = rows_of(network, x[:1].to(device), double_backward=False)[interpreter]
    goal = goal_for(objective, x.to(device))
    timed = Timed(objective, device)
    settings = LoopSettings.for_attack(FAMILIES[interpreter], steps=steps, warm_steps=0, early_stop=False)
    pixels = (x * 255).round().to(torch.uint8)
    goals = [(MapGoal(one.cpu()),) for one in goal.target_map]
    tasks = [Task(str(i), pixels[i], int(goal.target_class[i]), goals[i]) for i in range(batch)]
    begun = time.perf_counter()
    outcomes = list(Loop(timed, LInf(8), settings, batch, device).run(tasks))
    total = time.perf_counter() - begun
    if any(outcome.steps != steps for outcome in outcomes):
        raise RuntimeError("an image stopped early, so steps are missing from the time")
    return (total - timed.seconds) / total


def markdown(found: Sequence[Measured], shares: dict[str, float], batch: int) -> str:
    """Ratios as a table, the loop's share below it."""
    names = list(dict.fromkeys(one.row for one in found))
    head = [f"{name} (bound {BOUNDS[name]})" if name in BOUNDS else name for name in names[1:]]
    lines = ["| network | precision | bare pass | " + " | ".join(head) + " |", "|" + "---|" * (len(names) + 2)]
    groups: dict[tuple[str, str], dict[str, Measured]] = {}
    for one in found:
        groups.setdefault((one.network, one.precision), {})[one.row] = one
    for (network, precision), rows in groups.items():
        bare = rows["bare"]
        cells = ["–" if bare.seconds is None else f"{1000 * bare.seconds / batch:.1f} ms an image"]
        for name in names[1:]:
            ratio = rows[name].ratio if name in rows else None
            problem = rows[name].problem if name in rows else ""
            cells.append(problem or ("–" if ratio is None else f"{ratio:.2f}×"))
        lines.append(f"| {network} | {precision} | " + " | ".join(cells) + " |")
    lines += ["", f"Share of a whole attack that the loop itself takes (bound {LOOP_BOUND:.0%}): "]
    lines[-1] += ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) + "."
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--precisions", nargs="+", help="default: fp32 bf16; on CUDA also tf32 and the compiled ones")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=9, help="at least 7 for figures that are published")
    parser.add_argument("--steps", type=int, default=30, help="steps of the attack behind the loop's share")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--write", type=Path, help="put the table between the cost markers of this document")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    usual = ["fp32", "bf16"] if device.type == "cpu" else ["fp32", "tf32", "bf16", "tf32 compiled", "bf16 compiled"]
    found = []
    for name in arguments.networks:
        for precision in arguments.precisions or usual:
            found += measure(name, precision, arguments.batch, arguments.repetitions, device)
            print(f"{name}, {precision}: done", flush=True)
    smallest = arguments.networks[0]
    shares = {
        f"{kind} on {smallest}": loop_share(smallest, kind, arguments.batch, arguments.steps, device) for kind in BOUNDS
    }
    facts = machine(device)
    note = f"Batch {arguments.batch}, {SIZE} px, median of {arguments.repetitions} interleaved repetitions, random"
    text = f"{markdown(found, shares, arguments.batch)}\n\n{note} weights. {machine_line(facts)}"
    if arguments.json:
        content = {"machine": facts, "batch": arguments.batch, "rows": [vars(one) for one in found], "loop": shares}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if arguments.write:
        fill(arguments.write, "cost", text)
    print(text)


if __name__ == "__main__":
    main()
