"""Each fault raises its alarm; healthy networks raise none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.layers import StdConv2d
from torch import Tensor, nn

from skinaudit.classifier.check_batch import batch_finding, observe
from skinaudit.classifier.checks import (
    TITLES,
    Finding,
    accuracy_finding,
    check_model,
    declared_accuracy,
    expected_accuracy,
    in_order,
    one_at_a_time,
)
from skinaudit.classifier.classifier import load_classifier, shipped_models
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.networks import build_network
from tests.classifier import faulty_models as faulty
from tests.classifier.faulty_models import classifier, pictures


def check(network: nn.Module, *, count: int = 16, labels: bool = True, normalised: bool = True) -> dict[str, Finding]:
    images, truth = pictures(count)
    found = check_model(classifier(network, normalised=normalised), images, truth if labels else None)
    return {one.check: one for one in found}


def alarms(found: dict[str, Finding]) -> set[str]:
    return {name for name, one in found.items() if not one.passed}


@pytest.mark.parametrize("labels", [True, False])
def test_a_healthy_network_raises_no_alarm_and_every_check_speaks(labels: bool) -> None:
    found = check(faulty.Healthy(), labels=labels)
    assert alarms(found) == set()
    assert set(found) == set(TITLES) - {"accuracy"}
    assert all(one.evidence and one.meaning and one.consequence for one in found.values())
    assert found["normalisation"].level == "ok"


@pytest.mark.parametrize(
    ("network", "check_name", "others"),
    [
        (faulty.AveragesOverTheBatch, "batch-dependence", set()),
        (faulty.AveragesOverLargeBatches, "batch-dependence", set()),
        (faulty.KnowsItsPlace, "batch-dependence", set()),
        (faulty.LiveDropout, "repeatability", {"training-mode"}),
        (faulty.Noisy, "repeatability", {"training-mode"}),
        (faulty.BatchNormWithoutStatistics, "training-mode", {"batch-dependence"}),
        (faulty.TrainsItself, "training-mode", {"batch-dependence"}),
        (lambda: faulty.Wrapped(nn.Softmax(1)), "outputs", set()),
        (lambda: faulty.Wrapped(nn.Sequential(nn.Softmax(1), faulty.Scaled(100))), "outputs", {"gradients"}),
        (lambda: faulty.Wrapped(nn.Sigmoid()), "outputs", set()),
        (faulty.Rounded, "gradients", set()),
        (faulty.Detached, "gradients", set()),
        (faulty.InfiniteSlope, "gradients", set()),
        (faulty.Sawtooth, "gradients", set()),
        (lambda: faulty.Wrapped(faulty.Scaled(1e4)), "gradients", set()),
        (lambda: faulty.Wrapped(faulty.Scaled(1e9)), "gradients", set()),
        (faulty.ExtraOutput, "class-count", set()),
        (lambda: faulty.Healthy("transposed"), "orientation", set()),
        (lambda: faulty.Healthy("blue first"), "orientation", {"gradients"}),
    ],
)  # fmt: skip
def test_each_fault_raises_its_alarm(network: Callable[[], nn.Module], check_name: str, others: set[str]) -> None:
    found = check(network(), count=24)
    assert check_name in alarms(found)
    assert alarms(found) - {check_name} <= others
    assert found[check_name].level == "alarm"


def test_missing_normalisation_is_seen_without_labels() -> None:
    found = check(faulty.Healthy(), labels=False, normalised=False)
    assert alarms(found) == {"normalisation"}
    assert "ImageNet mean and deviation" in found["normalisation"].evidence


def test_missing_normalisation_is_seen_by_labels_where_there_is_no_batch_norm() -> None:
    network = faulty.Healthy()
    network.norm = _frozen(network.norm)
    assert alarms(check(network, count=24, normalised=False)) == {"normalisation"}
    assert check(network, count=24)["normalisation"].level == "ok"
    without = check(network, labels=False)["normalisation"]
    assert (without.level, "Cannot tell" in without.meaning) == ("note", True)


def _frozen(norm: nn.Module) -> nn.Module:
    """The same affine step without a batch norm, as exported networks have it."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    frozen = nn.Conv2d(12, 12, 1, groups=12)
    slope = norm.weight / (norm.running_var + norm.eps).sqrt()
    frozen.weight.data, frozen.bias.data = slope.reshape(12, 1, 1, 1), norm.bias - norm.running_mean * slope  # type: ignore[union-attr]
    return frozen.requires_grad_(requires_grad=False)


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("torchvision.models.resnet18", {"num_classes": 3}),
        ("torchvision.models.mobilenet_v3_small", {"num_classes": 3}),
        ("torchvision.models.efficientnet_b0", {"num_classes": 3}),
        ("torchvision.models.shufflenet_v2_x0_5", {"num_classes": 3}),
        ("timm.create_model", {"model_name": "vit_tiny_patch16_224", "num_classes": 3, "img_size": 32}),
        ("timm.create_model", {"model_name": "convnext_atto", "num_classes": 3}),
        ("timm.create_model", {"model_name": "tf_efficientnet_lite0", "num_classes": 3, "drop_rate": 0.2}),
        ("monai.networks.nets.DenseNet121", {"spatial_dims": 2, "in_channels": 3, "out_channels": 3,
                                             "block_config": [2, 2, 2, 2], "dropout_prob": 0.1}),
    ],
)  # fmt: skip
def test_networks_of_the_libraries_raise_no_alarm(target: str, arguments: dict[str, Value]) -> None:
    torch.manual_seed(1)
    found = check(build_network(target, arguments), count=4, labels=False)
    assert alarms(found) == set()
    assert found["training-mode"].level == "ok"
    assert found["repeatability"].level == "ok"
    assert "no batch norm with learned statistics" in found["normalisation"].evidence


@pytest.mark.parametrize("path", list(shipped_models().values()), ids=lambda path: path.name)
def test_shipped_models_raise_no_alarm_on_the_sample_pictures(path: Path) -> None:
    shipped = load_classifier(path)
    pictures_of = sorted((Path(__file__).parents[2] / "sample_data").glob("*.jpg"))[::4]
    shown = [shipped.preprocess.shown(np.asarray(Image.open(file).convert("RGB"))) for file in pictures_of]
    found = {one.check: one for one in check_model(shipped, torch.stack(shown).float() / 255)}
    assert alarms(found) == set()
    assert found["normalisation"].level == "ok"


@pytest.mark.parametrize(
    ("network", "check_name"),
    [
        (faulty.Healthy, None),
        (faulty.AveragesOverTheBatch, "batch-dependence"),
        (faulty.LiveDropout, "repeatability"),
        (faulty.BatchNormWithoutStatistics, "batch-dependence"),
        (lambda: faulty.Wrapped(nn.Sigmoid()), "outputs"),
    ],
)
def test_faults_show_in_compiled_networks_too(network: Callable[[], nn.Module], check_name: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript is old
        compiled = torch.jit.trace(network(), pictures(4)[0], check_trace=False)
    found = check(compiled)
    assert (check_name in alarms(found)) if check_name else not alarms(found)


def test_instance_norm_and_weight_standardisation_are_not_taken_for_batch_norm() -> None:
    network = nn.Sequential(
        StdConv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3)
    )
    assert alarms(check(network, labels=False)) == set()


def test_sleeping_dropout_left_in_training_mode_by_a_flag_alone_is_a_note() -> None:
    class Flagged(faulty.Healthy):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            self.unused.training = True
            return super().forward(x)

    assert check(Flagged())["training-mode"].level == "note"


def test_logarithms_of_probabilities_are_a_note() -> None:
    assert check(faulty.Wrapped(nn.LogSoftmax(1)))["outputs"].level == "note"


def test_outputs_between_0_and_1_without_a_sigmoid_are_a_note() -> None:
    class Squeezed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.5 + 0.5 * (x / (1 + x.abs()))

    assert check(faulty.Wrapped(Squeezed()))["outputs"].level == "note"


def test_outputs_that_are_not_finite_are_counted() -> None:
    class Broken(faulty.Healthy):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / (x.mean((1, 2, 3)) > x.mean() - 1e-3).float()[:, None]

    found = check(Broken())
    assert "NaN or infinite outputs" in found["gradients"].evidence
    assert not found["gradients"].passed


def test_the_effect_of_neighbours_is_measured() -> None:
    found = check(faulty.AveragesOverTheBatch())["batch-dependence"]
    assert "by less than 0.001 % with the place in the batch" in found.evidence
    assert "one image at a time" in found.consequence
    assert one_at_a_time((found,))
    place = check(faulty.KnowsItsPlace())["batch-dependence"].evidence
    assert "by 0 % of the largest output when the other images" in place


def test_a_network_that_needs_company_is_seen() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, faulty.SIDE), nn.BatchNorm2d(8, track_running_stats=False), nn.Flatten(), nn.Linear(8, 3)
    )
    images, _ = pictures(8)
    seen = batch_finding(observe(classifier(network), images))
    assert seen.level == "alarm"
    assert "by an unbounded share from alone" in seen.evidence


def test_random_outputs_are_not_called_dependent_on_the_batch() -> None:
    found = check(faulty.LiveDropout())["batch-dependence"]
    assert found.passed
    assert "two calls differ" in found.evidence


def test_a_network_that_takes_one_image_only_is_looked_at_one_by_one() -> None:
    found = check(faulty.OneAtATime())
    assert "takes one image only" in found["batch-dependence"].evidence
    assert found["batch-dependence"].level == "note"
    assert one_at_a_time(list(found.values()))
    assert alarms(found) == set()
    assert found["orientation"].level == "ok"


def test_one_image_is_enough_to_see_that_neighbours_count() -> None:
    assert alarms(check(faulty.AveragesOverTheBatch(), count=1)) == {"batch-dependence"}
    assert alarms(check(faulty.Healthy(), count=1)) == set()


def test_nothing_is_left_changed() -> None:
    network = faulty.TrainsItself()
    found = classifier(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    layer = found.intensity
    check_model(found, *pictures(12))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert found.intensity is layer


def test_checks_cost_at_most_about_forty_passes() -> None:
    network = faulty.Healthy()
    passes = 0

    def count(_module: nn.Module, _given: tuple[Tensor, ...]) -> None:
        nonlocal passes
        passes += 1

    network.convolution.register_forward_pre_hook(count)
    check_model(classifier(network), *pictures(16))
    assert passes <= 40


def test_wrong_arguments_are_named() -> None:
    images, labels = pictures(4)
    with pytest.raises(ValueError, match="expected \\(N,3,h,w\\)"):
        check_model(classifier(faulty.Healthy()), images[:0])
    with pytest.raises(ValueError, match="expected 4, one for each image, got 3"):
        check_model(classifier(faulty.Healthy()), images, labels[:3])


@pytest.mark.parametrize(
    ("correct", "n", "declared", "level"),
    [
        (30, 100, 0.8, "alarm"),
        (72, 100, 0.8, "ok"),  # inside the interval
        (740, 1000, 0.8, "ok"),  # outside the interval, but only 6 points below
        (19, 19, 0.8, "note"),
        (3, 19, 0.8, "note"),  # too few to say
        (4, 20, 0.8, "alarm"),
        (90, 100, 0.8, "ok"),
        (30, 100, None, "note"),
        (0, 0, 0.8, "note"),
    ],
)
def test_accuracy_is_held_against_the_declared_one(correct: int, n: int, declared: float | None, level: str) -> None:
    assert accuracy_finding(correct, n, declared).level == level


def test_accuracy_one_image_at_a_time_is_called_that() -> None:
    assert "labelled images are right, one image at a time" in accuracy_finding(4, 30, 0.9, one_at_a_time=True).evidence


def test_the_declared_accuracy_is_found_among_other_figures() -> None:
    assert declared_accuracy({"Accuracy": 0.8, "balanced accuracy": 0.5}) == 0.8
    assert declared_accuracy({"test_accuracy": 76.4}) == pytest.approx(0.764)
    assert declared_accuracy({"recall_mel": 0.6, "accuracy": 0}) is None


def test_the_declared_recalls_are_weighed_by_the_labels_given() -> None:
    declared = {"accuracy": 0.78, "test_recall_mel": 0.4, "test_recall_nv": 0.8}
    assert expected_accuracy(declared, ["mel", "nv"]) == pytest.approx(0.6)
    assert expected_accuracy(declared, ["mel", "nv", "nv", "nv"]) == pytest.approx(0.7)
    assert expected_accuracy(declared, ["mel", "bkl"]) == 0.78  # nothing is declared of bkl
    assert expected_accuracy(declared, []) == 0.78


def test_findings_are_put_in_the_order_of_a_report() -> None:
    found = check_model(classifier(faulty.Healthy()), *pictures(4))
    ordered = in_order((accuracy_finding(0, 0, None), *found[::-1]))
    assert [one.check for one in ordered] == list(TITLES)
