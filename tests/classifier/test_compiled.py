from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from skinaudit.classifier.compiled import ExportedNetwork, ScriptedNetwork
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.interpreters.base import InterpreterUnavailable
from skinaudit.interpreters.registry import build_interpreter
from tests.plain_models import exported, scripted
from tests.small_networks import small_network

IMAGES = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def loaded_script(path: Path) -> ScriptedNetwork:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ScriptedNetwork(torch.jit.load(str(path)))


@pytest.mark.parametrize(("batch", "dynamic"), [(1, False), (3, False), (2, True)])
def test_an_exported_network_takes_batches_of_any_size(batch: int, dynamic: bool, tmp_path: Path) -> None:
    network = small_network()
    path = exported(network, tmp_path / "a.pt2", batch=batch, dynamic=dynamic)
    program = ExportedNetwork(torch.export.load(path))
    for count in (1, 2, 3, 5):
        torch.testing.assert_close(program(IMAGES[:count]), network(IMAGES[:count]), atol=1e-4, rtol=1e-5)


def test_an_exported_network_stays_as_it_was_exported(tmp_path: Path) -> None:
    program = ExportedNetwork(torch.export.load(exported(small_network(), tmp_path / "a.pt2")))
    assert not nn.Sequential(program).train()[0].training


def test_gradients_pass_through_programs(tmp_path: Path) -> None:
    network = small_network()
    programs: list[nn.Module] = [
        loaded_script(scripted(network, tmp_path / "a.pt")),
        ExportedNetwork(torch.export.load(exported(network, tmp_path / "b.pt2"))),
    ]

    def gradient(of: nn.Module) -> torch.Tensor:
        x = IMAGES[:2].clone().requires_grad_()
        return torch.autograd.grad(of(x)[:, 0].sum(), x)[0]

    for program in programs:
        torch.testing.assert_close(gradient(program), gradient(network), atol=1e-5, rtol=1e-4)


def test_maps_of_an_exported_network_are_those_of_the_network(tmp_path: Path) -> None:
    network = small_network()
    path = exported(network, tmp_path / "a.pt2", batch=2, dynamic=True)
    program = ExportedNetwork(torch.export.load(path))
    classes = torch.tensor([0, 2])
    for name in ("cam", "grad"):
        ours, theirs = (build_interpreter(name, one, IMAGES[:1]) for one in (program, network))
        torch.testing.assert_close(
            ours.explain(IMAGES[:2], classes), theirs.explain(IMAGES[:2], classes), atol=1e-4, rtol=0
        )
        found, expected = (
            one.differentiable(IMAGES[:2].clone().requires_grad_(), classes)[1] for one in (ours, theirs)
        )
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_network_that_takes_its_images_in_parts_shows_no_features(tmp_path: Path) -> None:
    program = ExportedNetwork(torch.export.load(exported(small_network(), tmp_path / "a.pt2")))
    with pytest.raises(InterpreterUnavailable, match="takes its images in parts"):
        build_interpreter("cam", program, IMAGES[:1])


def test_derivatives_of_an_exported_network_are_smoothed_as_those_of_the_network(tmp_path: Path) -> None:
    network = small_network()
    program = ExportedNetwork(torch.export.load(exported(network, tmp_path / "a.pt2")))

    def curvature(of: nn.Module) -> torch.Tensor:
        x = IMAGES[:1].clone().requires_grad_()
        _, maps = build_interpreter("grad", of, x.detach()).differentiable(x, torch.tensor([1]))
        return torch.autograd.grad(maps.sum(), x)[0]

    assert float(curvature(network).abs().amax()) > 0
    torch.testing.assert_close(curvature(program), curvature(network), atol=1e-4, rtol=1e-3)


def test_a_scripted_network_gives_the_same_bits_from_the_first_call_on(tmp_path: Path) -> None:
    program = loaded_script(scripted(small_network(), tmp_path / "a.pt"))
    first, *later = [program(IMAGES) for _ in range(5)]
    assert all(torch.equal(first, one) for one in later)


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x + y).mean((2, 3))


def test_a_program_for_something_else_than_images_is_refused() -> None:
    with pytest.raises(ModelRefused, match="must take one tensor of images"):
        ExportedNetwork(torch.export.export(TwoInputs(), (IMAGES, IMAGES)))
    with pytest.raises(ModelRefused, match="must take one tensor of images"):
        ExportedNetwork(torch.export.export(nn.Linear(3, 2), (torch.rand(1, 3),)))
