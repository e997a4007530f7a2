from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from skinaudit.classifier.bundle import Bundle
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.classifier.fitted import name_fitted
from skinaudit.interpreters.base import InterpreterUnavailable
from skinaudit.interpreters.registry import build_interpreter, family_of, title_of
from skinaudit.interpreters.rts import Rts, blank_generator
from skinaudit.interpreters.rts_file import write_generator
from tests.bundles import make_bundle
from tests.interpreters.fitted_rts import random_rts
from tests.interpreters.networks import CONVOLUTIONAL, TOKENS, network_named
from tests.small_networks import images, small_network

CLASSES = torch.tensor([2, 3])
PROBE = torch.full((1, 3, 32, 32), 0.5)


def batch(side: int = 64) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def fitted_bundle(folder: Path, seed: int = 0) -> Classifier:
    """A tiny bundle with a generator inside that has random weights."""
    classifier = load_classifier(make_bundle(folder, seed=seed))
    generator = random_rts(classifier, images(4, height=32, width=32).float() / 255).generator
    digest = write_generator(classifier.description.fitted_file("rts"), generator, classifier.digest)
    assert isinstance(classifier.description, Bundle)
    name_fitted(classifier.description, "rts", digest)
    return load_classifier(folder)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_both_forms_give_the_same_map_with_a_gradient_to_the_image(name: str) -> None:
    network, x = network_named(name), batch()
    rts = random_rts(network, x)
    shown = rts.explain(x, CLASSES)
    leaf = x.clone().requires_grad_()
    logits, maps = rts.differentiable(leaf, CLASSES)
    (gradient,) = torch.autograd.grad((maps - 0.2).square().sum(), leaf)
    assert shown.shape == (2, 16, 16)
    assert shown.amin() >= 0
    assert shown.amax() <= 1
    assert not shown.requires_grad
    torch.testing.assert_close(logits, network(leaf))
    torch.testing.assert_close(maps, shown, atol=1e-4, rtol=0)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", TOKENS)
def test_a_network_of_tokens_is_refused_with_advice(name: str) -> None:
    with pytest.raises(InterpreterUnavailable, match="--interpreters grad"):
        blank_generator(network_named(name), batch()[:1])


def test_a_row_of_a_batch_equals_the_image_alone() -> None:
    rts, x = random_rts(small_network(classes=4), batch()), batch()
    together = rts.explain(x, CLASSES)
    for row in range(2):
        alone = rts.explain(x[row : row + 1], CLASSES[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


def test_the_map_depends_on_the_class_asked_for() -> None:
    rts, x = random_rts(small_network(classes=4), batch()), batch()
    assert not torch.allclose(rts.explain(x, CLASSES), rts.explain(x, CLASSES - 1), atol=1e-3)


def test_the_gradient_of_a_map_agrees_with_differences() -> None:
    network = small_network(torch.nn.Softplus, classes=4).double()
    rts = random_rts(network, batch(16).double())
    rts.generator.double()

    def map_of(x: Tensor) -> Tensor:
        return rts.differentiable(x, CLASSES[:1])[1]

    # ReLU has kinks, which a step of 1e-6 meets at few of a thousand places.
    x = batch(16)[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(map_of, x, eps=1e-7, atol=1e-4, rtol=1e-2, fast_mode=True)


# --- where it comes from ----------------------------------------------------------------------------------------------


def test_a_fitted_bundle_gives_its_rts_through_the_registry(tmp_path: Path) -> None:
    classifier = fitted_bundle(tmp_path / "tiny")
    rts = build_interpreter("rts", classifier, PROBE)
    assert isinstance(rts, Rts)
    assert (rts.name, title_of("rts"), family_of("rts")) == ("rts", "RTS", "learned")
    assert rts.explain(PROBE, torch.tensor([1])).shape == (1, 8, 8)
    assert not any(parameter.requires_grad for parameter in rts.generator.parameters())
    assert not rts.generator.training
    assert classifier.description.ignored == load_classifier(make_bundle(tmp_path / "bare")).description.ignored


def test_half_precision_in_the_file_hardly_moves_a_map(tmp_path: Path) -> None:
    classifier = fitted_bundle(tmp_path / "tiny")
    x = images(4, height=32, width=32).float() / 255
    before = random_rts(classifier, x).explain(x, torch.tensor([0, 1, 2, 0]))
    after = build_interpreter("rts", classifier, PROBE).explain(x, torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(after, before, atol=5e-3, rtol=0)


def test_a_model_without_rts_says_how_to_get_one(tmp_path: Path) -> None:
    bare = load_classifier(make_bundle(tmp_path / "tiny"))
    for classifier in (bare, small_network()):
        with pytest.raises(InterpreterUnavailable, match="carries no fitted RTS; run `skinaudit fit-rts MODEL IMAGES`"):
            Rts.for_classifier(classifier, PROBE)


def test_a_file_that_the_metadata_does_not_name_is_refused(tmp_path: Path) -> None:
    classifier = fitted_bundle(tmp_path / "tiny")
    generator = random_rts(classifier, images(4, height=32, width=32).float() / 255, seed=1).generator
    write_generator(classifier.description.fitted_file("rts"), generator, classifier.digest)
    with pytest.raises(InterpreterUnavailable, match="is not the file that configs/metadata"):
        Rts.for_classifier(classifier, PROBE)


def test_an_rts_of_other_weights_is_refused(tmp_path: Path) -> None:
    first = fitted_bundle(tmp_path / "first")
    fitted_bundle(tmp_path / "second", seed=1)
    shutil.copy(tmp_path / "first" / "models" / "model.safetensors", tmp_path / "second" / "models")
    second = load_classifier(tmp_path / "second")
    assert second.digest == first.digest
    with pytest.raises(InterpreterUnavailable, match="was fitted for other weights"):
        Rts.for_classifier(second, PROBE)
