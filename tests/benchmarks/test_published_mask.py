"""The published attack on MASK with tiny settings: what it may change, what it reaches, and that it can go on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.published_mask import MaskAttack, MaskAttackSettings, unit
from skinaudit.interpreters.mask import Mask, MaskSettings
from skinaudit.metrics.maps import l1
from tests.small_networks import images, small_network

TINY = MaskAttackSettings(warm_steps=12, joint_steps=8, solve_every=4, margin=-0.5)


def attack(rows: tuple[int, ...] = (0, 1, 2)) -> MaskAttack:
    network = small_network()
    interpreter = Mask(network, MaskSettings(iterations=20))
    x0 = images(3, height=40, width=48)[list(rows)].float() / 255
    source = network(x0).argmax(1)
    return MaskAttack(network, interpreter, TINY, x0, (source + 1) % 3, interpreter.explain(x0, source))


def test_settings_are_the_published_ones() -> None:
    assert MaskAttackSettings().steps == 1400
    assert dataclasses.astuple(MaskAttackSettings())[:4] == (0.031, 400, 1 / 255, 1000)


def test_attack_flips_the_class_inside_the_ball_and_brings_the_map_nearer_than_the_warm_start(tmp_path: Path) -> None:
    bilevel = attack()
    warm = dataclasses.replace(bilevel, settings=dataclasses.replace(TINY, joint_steps=0))
    before = warm.run(tmp_path / "warm.pt", "warm start").x
    found = bilevel.result(bilevel.run(tmp_path / "state.pt", "attack"))
    x = found.float() / 255
    assert found.dtype == torch.uint8
    assert ((x - bilevel.x0).abs() <= 0.031 + 0.5 / 255 + 1e-6).all()
    assert torch.equal(bilevel.classifier(x).argmax(1), bilevel.target)

    def distance(pixels: Tensor) -> Tensor:
        return l1(bilevel.interpreter.explain(pixels, bilevel.target), bilevel.target_map)

    assert distance(x).mean() < distance(before).mean()


def test_an_image_gets_the_same_whatever_its_neighbours(tmp_path: Path) -> None:
    together, alone = attack().run(tmp_path / "all.pt", "three"), attack((1,)).run(tmp_path / "one.pt", "one")
    torch.testing.assert_close(together.x[1], alone.x[0], atol=1e-3, rtol=0)


def test_an_interrupted_attack_ends_where_it_would_have(tmp_path: Path) -> None:
    bilevel = attack()
    whole = bilevel.run(tmp_path / "whole.pt", "whole")
    part = dataclasses.replace(bilevel, settings=dataclasses.replace(TINY, warm_steps=12, joint_steps=0))
    part.run(tmp_path / "part.pt", "part")
    rest = bilevel.run(tmp_path / "part.pt", "rest")
    assert torch.equal(rest.x, whole.x)
    assert torch.equal(rest.best, whole.best)


def test_unrolled_gradient_agrees_with_finite_differences() -> None:
    """Of the map after the unrolled steps; ReLU has no second derivative, but the product of mask and image has."""
    network = small_network(torch.nn.SiLU).double()
    interpreter = Mask(network, MaskSettings(iterations=20))
    x = images(1, height=40, width=48).double() / 255
    target = torch.tensor([1])
    bilevel = MaskAttack(network, interpreter, TINY, x, target, torch.zeros(1, 5, 6, dtype=torch.float64))
    inner = interpreter.solve(x, target, iterations=6)
    leaf = x.clone().requires_grad_()
    direction = unit(torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype) - 0.5)

    def value(pixels: Tensor) -> Tensor:
        return bilevel.unroll(pixels, inner).mask.square().sum()

    (gradient,) = torch.autograd.grad(value(leaf), leaf)
    numeric = (value(x + 1e-6 * direction) - value(x - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-3)


def test_a_margin_out_of_reach_leaves_every_map_step_at_length_zero(tmp_path: Path) -> None:
    bilevel = attack()
    assert 0 < bilevel.run(tmp_path / "near.pt", "near").moved <= 3 * TINY.joint_steps
    far = dataclasses.replace(bilevel, settings=dataclasses.replace(TINY, margin=-1e6))
    assert far.run(tmp_path / "far.pt", "far").moved == 0
