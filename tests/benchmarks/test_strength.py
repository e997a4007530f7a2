"""What a strength table counts, on cases made by hand; and what the clock of an attack leaves out."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import cast

import torch

from benchmarks.cases import Case, Method
from benchmarks.strength import searches
from benchmarks.tables import failures
from benchmarks.timed_judge import TimedJudge
from skinaudit.attacks.judge import Question
from skinaudit.audit.workbench import Workbench
from skinaudit.config import AuditConfig
from skinaudit.interpreters.cam import Cam
from tests.small_networks import small_network


def case(method: Method, interpreter: str, *, flipped: bool = True, confidence: float = 0.99) -> Case:
    return Case(
        image="a", interpreter=interpreter, method=method, source_class=0, target_class=1, predicted=int(flipped),
        flipped=flipped, confidence=confidence, l1=0.1, rms=0.1, iou20=0.5, kept=True, joint=flipped, linf_levels=8,
        steps=10, stop="steps used up", seconds=0.0, unit=0.0,
    )  # fmt: skip


def test_each_search_counts_once_and_the_one_on_all_maps_is_among_them() -> None:
    methods: tuple[Method, ...] = ("adv2", "joint", "pgd", "published", "noise", "transfer")
    found = searches([case(method, name) for method in methods for name in ("cam", "grad")], "cam")
    counted = [(one.method, one.interpreter) for one in found]
    assert counted == [
        *(("adv2", "cam"), ("adv2", "grad"), ("joint", "cam")),
        *(("published", "cam"), ("published", "grad"), ("pgd", "cam")),
    ]


def test_a_miss_of_the_attack_on_all_maps_is_listed() -> None:
    cases = searches([case("joint", name, flipped=False, confidence=0.2) for name in ("cam", "grad")], "cam")
    (line,) = failures(cases, ("nv", "mel"))
    assert "still nv, target at 0.200 after 10 steps" in line


class Slow(Cam):
    """CAM that takes its time."""

    def explain(self, x: torch.Tensor, of_class: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return super().explain(x, of_class)


def test_the_clock_leaves_out_the_maps_of_other_interpreters() -> None:
    network, probe = small_network(), torch.rand(1, 3, 33, 35)
    interpreters = {"cam": Cam.for_network(network, probe), "slow": Slow.for_network(network, probe)}
    config = AuditConfig(interpreters=("cam", "grad"), batch_size=2)
    bench = SimpleNamespace(
        classifier=network, interpreters=interpreters, config=config, device=torch.device("cpu"), judge=None
    )
    judge = TimedJudge(cast("Workbench", bench), "cam")
    pixels = torch.randint(0, 256, (3, 33, 35), dtype=torch.uint8)
    (clean,) = judge.clean([pixels])
    judge.shown([Question(pixels, clean, "cam")])
    assert judge.taken_elsewhere() == 0.0
    judge.shown([Question(pixels, clean, "slow")])
    assert judge.taken_elsewhere() >= 0.05
    assert judge.taken_elsewhere() == 0.0
