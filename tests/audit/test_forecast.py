"""What an audit takes at most: as many rows as are judged, in whole batches, and all steps of every search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from torch import Tensor

from skinaudit.attacks.judge import Judge, Question, Shown, Verdict
from skinaudit.audit.execute import run_stage
from skinaudit.audit.forecast import costly_passes, judging_passes, search_passes, stage_passes
from skinaudit.audit.plan import Stage, stages
from skinaudit.audit.session import prepare
from skinaudit.audit.sweep import run_sweep
from skinaudit.audit.workbench import Subject, Workbench
from skinaudit.config import PRESETS, AuditConfig, Preset, TargetMap, TargetRule
from skinaudit.interpreters.grad import Grad
from tests.audit.tiny_audit import DIRECT, Listener, photograph, request


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return prepare(request(tmp_path_factory.mktemp("audit")), DIRECT, Listener()).bench


def subjects(bench: Workbench, count: int) -> list[Subject]:
    pictures = [bench.entry.picture(photograph(seed, (40, 48))) for seed in range(count)]
    seen = [bench.entry.seen(picture) for picture in pictures]
    return [
        Subject(str(place), picture, place, clean)
        for place, (picture, clean) in enumerate(zip(pictures, bench.judge.clean(seen), strict=True))
    ]


def test_a_search_takes_whole_batches() -> None:
    config = AuditConfig(interpreters=("cam", "grad"), batch_size=8)
    one, eight, nine = (
        sum(stage_passes(config, stage, n, {"cam": n, "grad": n}) for stage in stages(config)[1:]) for n in (1, 8, 9)
    )
    assert one < eight
    searches = [sum(search_passes(config, stage, n) for stage in stages(config)) for n in (1, 8, 9)]
    assert searches[0] == searches[1] == searches[2] / 2
    assert eight < nine


@pytest.mark.parametrize("keeps", [False, True])
def test_the_search_against_grad_fits_the_forecast(
    keeps: bool, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three passes a step, one in the warm start, which there is none of where the diagnosis is to stay."""
    wanted = {"target": TargetRule.SAME, "target_map": TargetMap.PATCH} if keeps else {}
    threat = bench.config.threat.model_copy(update=wanted)
    budget = bench.config.budget.model_copy(update={"grad_steps": 10, "warm_steps": 4, "early_stop": False})
    config = bench.config.model_copy(update={"threat": threat, "budget": budget, "batch_size": 4})
    bench = replace(bench, config=config)
    stage, rows, evaluate = Stage("adv2", "grad"), [], Grad.input_gradient

    def counted(self: Grad, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows.append(len(x))
        return evaluate(self, x, classes)

    chosen = subjects(bench, 3)
    monkeypatch.setattr(Grad, "input_gradient", counted)
    monkeypatch.setattr("skinaudit.audit.execute.judged", lambda *_: iter(()))
    assert list(run_stage(bench, stage, chosen)) == []
    assert sum(rows) == 4 * (10 * 3 if keeps else 4 + 6 * 3)
    assert sum(rows) <= search_passes(config, stage, 3) <= 1.05 * sum(rows)


def test_costly_maps_are_billed_by_hand() -> None:
    budget = PRESETS[Preset.QUICK].model_copy(update={"mask_images": 2, "mask_steps": 40, "warm_steps": 10})
    config = AuditConfig(interpreters=("cam", "mask-fast"), budget=budget, batch_size=8, sweep=(2, 4))
    asked = {"cam": 3, "mask-fast": 3}
    assert costly_passes(config, "mask-fast", 3) == 4 * 100
    for name, times in (("adv2", 1), ("sweep", 2)):
        stage = Stage(name, "mask-fast")
        assert search_passes(config, stage, 3) == times * 4 * 40 * 16
        # Three candidates of three images: 16 diagnoses, 10 maps; a second map of the best of each: 4. CAM sees it too.
        own = times * (0.4 * 16 + 100 * 10 + 100 * 4)
        others = (0.4 * 8 + 0.4 * 8) if name == "adv2" else 0.0
        assert judging_passes(config, stage, asked) == pytest.approx(own + others)


def test_a_map_of_another_image_is_billed() -> None:
    budget = PRESETS[Preset.QUICK].model_copy(update={"mask_images": 2})
    config = AuditConfig(interpreters=("cam", "mask-fast"), budget=budget, batch_size=8)
    other = config.model_copy(update={"threat": config.threat.model_copy(update={"target_map": TargetMap.CLASS})})
    asked = {"cam": 3, "mask-fast": 3}
    for stage, more in ((Stage("adv2", "cam"), 0.4 * 8), (Stage("pgd", None), 0.4 * 8 + 100 * 4)):
        dearer = stage_passes(other, stage, 3, asked) - stage_passes(config, stage, 3, asked)
        assert dearer == pytest.approx(more)


@pytest.mark.parametrize("batch", [4, 5, 8])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    "stage",
    [Stage("noise", None), Stage("pgd", None), Stage("adv2", "cam"), Stage("joint", None), Stage("sweep", "cam")],
    ids=lambda stage: stage.name,
)
def test_what_is_judged_fits_the_forecast(
    stage: Stage, full: bool, batch: int, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    threat = bench.config.threat.model_copy(update={"full_resolution": full})
    config = bench.config.model_copy(update={"threat": threat, "batch_size": batch, "joint": True, "sweep": (2, 4)})
    bench = replace(bench, config=config, judge=bench.judge.in_batches_of(batch))
    many = subjects(bench, 5)
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
    work = run_sweep if stage.attack == "sweep" else run_stage
    assert len(list(work(bench, stage, many))) == len(many)
    assert judging_passes(config, stage, {"cam": len(many), "grad": len(many)}) == pytest.approx(passes)
