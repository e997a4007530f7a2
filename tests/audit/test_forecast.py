"""What an audit takes at most: as many rows as are judged, in whole batches, and all steps of every search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from skinaudit.attacks.judge import Judge, Question, Shown, Verdict
from skinaudit.audit.execute import run_stage
from skinaudit.audit.forecast import judging_passes, search_passes, stage_passes
from skinaudit.audit.plan import Stage, stages
from skinaudit.audit.session import prepare
from skinaudit.audit.workbench import Subject, Workbench
from skinaudit.config import PRESETS, AuditConfig, Preset
from tests.audit.tiny_audit import DIRECT, Listener, photograph, request


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return prepare(request(tmp_path_factory.mktemp("audit")), DIRECT, Listener()).bench


def test_a_search_takes_whole_batches() -> None:
    config = AuditConfig(interpreters=("cam", "grad"), batch_size=8)
    one, eight, nine = (
        sum(stage_passes(config, stage, n, {"cam": n, "grad": n}) for stage in stages(config)[1:]) for n in (1, 8, 9)
    )
    assert one < eight
    searches = [sum(search_passes(config, stage, n) for stage in stages(config)) for n in (1, 8, 9)]
    assert searches[0] == searches[1] == searches[2] / 2
    assert eight < nine


def test_grad_costs_three_passes_a_step_after_the_warm_start() -> None:
    budget = PRESETS[Preset.QUICK]
    config = AuditConfig(budget=budget)
    steps = budget.warm_steps + 3 * (budget.grad_steps - budget.warm_steps)
    assert search_passes(config, Stage("adv2", "grad"), 8) == 8 * steps


@pytest.mark.parametrize("batch", [4, 8])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    "stage",
    [Stage("noise", None), Stage("pgd", None), Stage("adv2", "cam"), Stage("joint", None)],
    ids=lambda stage: stage.name,
)
def test_what_is_judged_fits_the_forecast(
    stage: Stage, full: bool, batch: int, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    threat = bench.config.threat.model_copy(update={"full_resolution": full})
    config = bench.config.model_copy(update={"threat": threat, "batch_size": batch, "joint": True})
    bench = replace(bench, config=config, judge=bench.judge.in_batches_of(batch))
    pictures = [bench.entry.picture(photograph(seed, (40, 48))) for seed in range(5)]
    seen = [bench.entry.seen(picture) for picture in pictures]
    many = [
        Subject(str(place), picture, place, clean)
        for place, (picture, clean) in enumerate(zip(pictures, bench.judge.clean(seen), strict=True))
    ]
    passes, shown, verdicts = 0.0, Judge.shown, Judge.verdicts

    def rows(questions: Sequence[Question]) -> int:
        return -(-len(questions) // batch) * batch

    def map_passes(questions: Sequence[Question]) -> float:
        return {"cam": 0.4, "grad": 1.0}[questions[0].interpreter]

    def counted_shown(self: Judge, questions: Sequence[Question]) -> list[Shown]:
        nonlocal passes
        passes += (0.4 + map_passes(questions)) * rows(questions)
        return shown(self, questions)

    def counted_verdicts(
        self: Judge, questions: Sequence[Question], known: Sequence[Shown] | None = None
    ) -> list[Verdict]:
        nonlocal passes
        # At most: every picture changes the diagnosis, so that the map of the former class is needed beside.
        passes += map_passes(questions) * rows(questions)
        return verdicts(self, questions, known)

    monkeypatch.setattr(Judge, "shown", counted_shown)
    monkeypatch.setattr(Judge, "verdicts", counted_verdicts)
    assert len(list(run_stage(bench, stage, many))) == len(many)
    assert judging_passes(config, stage, {"cam": len(many), "grad": len(many)}) == pytest.approx(passes)
