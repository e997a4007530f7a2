"""How the pictures of a stage are judged: together, so that no batch is filled with padding, each as if alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from skinaudit.attacks.controls import half_pixel_shift, jpeg, signed_noise
from skinaudit.attacks.judge import Judge, Question, Shown, Verdict
from skinaudit.audit.execute import run_stage
from skinaudit.audit.plan import Stage, judged_together
from skinaudit.audit.session import prepare
from skinaudit.audit.survey import derive
from skinaudit.audit.workbench import Subject, Workbench
from skinaudit.config import AuditConfig, ThreatModel
from skinaudit.metrics.images import image_ssim
from tests.audit.tiny_audit import DIRECT, Listener, photograph, request

STAGES = [Stage("noise", None), Stage("pgd", None), Stage("adv2", "cam")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return prepare(request(tmp_path_factory.mktemp("audit")), DIRECT, Listener()).bench


@pytest.fixture(scope="module")
def subjects(bench: Workbench) -> list[Subject]:
    shown = [bench.classifier.preprocess.shown(photograph(seed)) for seed in range(5)]
    return [
        Subject(f"image {place}", pixels, place, clean)
        for place, (pixels, clean) in enumerate(zip(shown, bench.judge.clean(shown), strict=True))
    ]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_image_is_judged_as_if_it_were_alone(bench: Workbench, subjects: list[Subject], stage: Stage) -> None:
    together = {result.image_id: result for result in run_stage(bench, stage, subjects)}
    assert set(together) == {subject.image_id for subject in subjects}
    for subject in subjects:
        (alone,) = run_stage(bench, stage, [subject])
        assert together[subject.image_id] == alone


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_pictures_of_a_whole_batch_of_images_are_asked_about_in_one_go(
    bench: Workbench, subjects: list[Subject], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    judge = Judge.verdicts

    def counting(self: Judge, questions: Sequence[Question], shown: Sequence[Shown] | None = None) -> list[Verdict]:
        asked.append(len(questions))
        return judge(self, questions, shown)

    monkeypatch.setattr(Judge, "verdicts", counting)
    list(run_stage(bench, stage, subjects))
    changes = 3 if stage.attack == "noise" else 1
    maps = 1 if stage.interpreter else 2
    assert bench.config.batch_size == 4
    assert asked == [4 * changes] * maps + [changes] * maps


def test_an_image_is_asked_about_only_by_the_maps_that_it_has(bench: Workbench, subjects: list[Subject]) -> None:
    first, second = subjects[:2]
    cam_alone = replace(first, clean=replace(first.clean, maps={"cam": first.clean.maps["cam"]}))
    fewer, all_maps = run_stage(bench, Stage("noise", None), [cam_alone, second])
    assert [record.interpreter for record in fewer.records] == ["cam"] * 3
    assert [record.interpreter for record in all_maps.records] == ["cam"] * 3 + ["grad"] * 3
    assert all(record.image_id == second.image_id for record in all_maps.records)


def test_each_control_is_the_change_that_it_says_drawn_from_the_seed_of_its_image(
    bench: Workbench, subjects: list[Subject]
) -> None:
    twice = bench.config.budget.model_copy(update={"controls": 2})
    bench = replace(bench, config=bench.config.model_copy(update={"budget": twice}))
    for subject, result in zip(subjects, run_stage(bench, Stage("noise", None), subjects), strict=True):
        picture = bench.classifier.preprocess.to_display(subject.shown).permute(1, 2, 0).contiguous().numpy()
        levels = bench.config.threat.epsilon_levels
        expected = [
            ("noise", 0, signed_noise(picture, levels, derive(subject.seed, "noise", 0))),
            ("noise", 1, signed_noise(picture, levels, derive(subject.seed, "noise", 1))),
            ("jpeg", 0, jpeg(picture)),
            ("shift", 0, half_pixel_shift(picture)),
        ]
        records = [record for record in result.records if record.interpreter == "cam"]
        assert [(record.attack, record.draw) for record in records] == [(attack, draw) for attack, draw, _ in expected]
        for record, (_, _, changed) in zip(records, expected, strict=True):
            assert record.image_ssim == pytest.approx(image_ssim(picture, changed))
            assert record.prediction is not None
            pixels = bench.classifier.preprocess.from_display(torch.tensor(changed).permute(2, 0, 1))
            assert record.prediction.probabilities == pytest.approx(bench.judge.clean([pixels])[0].probabilities)


@pytest.mark.parametrize(("full", "noise", "attack"), [(False, 8, 8), (True, 2, 2)])
def test_photographs_at_full_resolution_do_not_pile_up(full: bool, noise: int, attack: int) -> None:
    config = AuditConfig(batch_size=8, threat=ThreatModel(full_resolution=full))
    assert judged_together(config, Stage("noise", None)) == noise
    assert judged_together(config, Stage("adv2", "cam")) == attack
