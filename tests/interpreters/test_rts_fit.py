from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.interpreters.rts_checkpoint import CheckpointRefused
from skinaudit.interpreters.rts_demand import Demand
from skinaudit.interpreters.rts_fit import Epoch, FitError, fit
from skinaudit.interpreters.rts_network import MaskGenerator
from skinaudit.interpreters.rts_schedule import FitSettings
from tests.bundles import make_bundle
from tests.small_networks import images

SETTINGS = FitSettings(epochs=2, batch_size=4, held_out=0.25)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return load_classifier(make_bundle(tmp_path_factory.mktemp("model") / "tiny"))


def pixels(count: int = 12, seed: int = 0) -> NDArray[np.uint8]:
    return images(count, height=32, width=32, seed=seed).numpy()


def weights_of(generator: MaskGenerator) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in generator.state_dict().values()])


class Stopped(Exception):
    pass


def test_the_same_seed_gives_the_same_generator_and_another_seed_another(classifier: Classifier) -> None:
    first, second = fit(classifier, pixels(), SETTINGS), fit(classifier, pixels(), SETTINGS)
    other = fit(classifier, pixels(), dataclasses.replace(SETTINGS, seed=1))
    assert torch.equal(weights_of(first.generator), weights_of(second.generator))
    assert not torch.equal(weights_of(first.generator), weights_of(other.generator))
    assert (first.images, first.held_out) == (12, 3)
    assert not first.generator.training


@pytest.mark.parametrize(("stop_at", "left"), [(1, [1, 2]), (9, [1, 2]), (13, [2]), (22, [])])
def test_a_fit_that_was_stopped_anywhere_ends_as_if_it_had_not(
    classifier: Classifier, tmp_path: Path, stop_at: int, left: list[int]
) -> None:
    whole = fit(classifier, pixels(), SETTINGS)

    def stop(done: int, _total: int) -> None:
        if done >= stop_at:
            raise Stopped

    file = tmp_path / "state"
    with pytest.raises(Stopped):
        fit(classifier, pixels(), SETTINGS, checkpoint=file, every_seconds=0, advance=stop)
    told: list[int] = []
    again = fit(classifier, pixels(), SETTINGS, checkpoint=file, told=lambda number, _epoch: told.append(number))
    assert torch.equal(weights_of(whole.generator), weights_of(again.generator))
    assert whole.epochs == again.epochs
    assert told == left


def test_a_checkpoint_of_other_images_settings_or_weights_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    file = tmp_path / "state"
    fit(classifier, pixels(), SETTINGS, checkpoint=file)
    other = load_classifier(make_bundle(tmp_path / "other", seed=1))
    for model, content, settings in (
        (classifier, pixels(seed=1), SETTINGS),
        (classifier, pixels(), dataclasses.replace(SETTINGS, demand=Demand(area=4))),
        (other, pixels(), SETTINGS),
    ):
        with pytest.raises(CheckpointRefused, match="belongs to a fit of other"):
            fit(model, content, settings, checkpoint=file)


def test_fitting_lowers_what_is_asked_and_leaves_the_classifier_alone(classifier: Classifier) -> None:
    before = classifier.network.state_dict()["features.conv0.weight"].clone()
    settings = dataclasses.replace(SETTINGS, epochs=8, patience=8)
    fitted = fit(classifier, pixels(24), settings)
    losses = [epoch.loss for epoch in fitted.epochs]
    assert losses[fitted.best] == min(losses)
    assert min(losses[4:]) < losses[0]
    assert fitted.epochs[-1].parts["evidence"] < fitted.epochs[0].parts["evidence"]
    assert torch.equal(classifier.network.state_dict()["features.conv0.weight"], before)
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_without_anything_better_the_fit_ends_early_and_keeps_the_best(classifier: Classifier) -> None:
    told: list[Epoch] = []
    settings = dataclasses.replace(SETTINGS, epochs=50, patience=2, learning_rate=0.3)
    progress: list[tuple[int, int]] = []
    fitted = fit(
        classifier,
        pixels(),
        settings,
        told=lambda _number, epoch: told.append(epoch),
        advance=lambda done, total: progress.append((done, total)),
    )
    assert len(fitted.epochs) < 50
    assert len(fitted.epochs) - 1 - fitted.best == 2
    assert tuple(told) == fitted.epochs
    assert progress[-1] == (454, 454)  # whatever was left out counts as done
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)


def test_refinement_begins_with_the_best_epoch_and_follows_another_demand(classifier: Classifier) -> None:
    plain = fit(classifier, pixels(), dataclasses.replace(SETTINGS, refine_share=0))
    refined = fit(classifier, pixels(), dataclasses.replace(SETTINGS, refine_share=1))
    assert plain.epochs == refined.epochs
    assert not torch.equal(weights_of(plain.generator), weights_of(refined.generator))
    # A demand of nothing moves no weight; what batch norm saw is another matter.
    nothing = Demand(area=0, smoothness=0, preserver=0, destroyer=0, evidence=0)
    still = fit(classifier, pixels(), dataclasses.replace(SETTINGS, refined=nothing, refine_share=1))
    for first, second in zip(plain.generator.parameters(), still.generator.parameters(), strict=True):
        assert torch.equal(first, second)
    assert still.refined.loss == 0


def test_too_few_images_are_an_error(classifier: Classifier) -> None:
    with pytest.raises(FitError, match="7 images; RTS is fitted to 8 at least"):
        fit(classifier, pixels(7), SETTINGS)
