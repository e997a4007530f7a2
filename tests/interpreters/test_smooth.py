"""Closed forms, torch's own derivatives far from the kinks, and gradcheck in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from skinaudit.interpreters.smooth import SmoothedActivations, Smoothing
from tests.small_networks import small_network

Kind = Literal["smooth", "literal", "softplus"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Function = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "leaky relu": nn.LeakyReLU(0.2),
    "hardswish": nn.Hardswish(),
    "hardtanh": nn.Hardtanh(-0.5, 1.5),
    "hardsigmoid": nn.Hardsigmoid(),
}
PLACES_OF_KINKS = torch.tensor([-3.0, -0.5, 0.0, 1.5, 3.0, 6.0], dtype=torch.float64)


def statement(call: Callable[[Tensor], object]) -> Function:
    """An in-place call whose result nobody takes."""

    def run(z: Tensor) -> Tensor:
        z = z.clone()
        call(z)
        return z

    return run


def cloned(call: Function) -> Function:
    return lambda z: call(z.clone())


#: Every way networks call an activation, and the plain function it means.
CALLS: dict[str, tuple[Function, Function]] = {
    "nn.ReLU": (nn.ReLU(), functional.relu),
    "nn.ReLU(inplace)": (cloned(nn.ReLU(inplace=True)), functional.relu),
    "nn.ReLU(inplace) as a statement": (statement(nn.ReLU(inplace=True)), functional.relu),
    "F.relu": (functional.relu, functional.relu),
    "F.relu(input=)": (lambda z: functional.relu(input=z), functional.relu),
    "F.relu(z, True)": (statement(lambda z: functional.relu(z, True)), functional.relu),
    "torch.relu": (torch.relu, functional.relu),
    "torch.relu_": (statement(torch.relu_), functional.relu),
    "z.relu()": (lambda z: z.relu(), functional.relu),
    "z.relu_()": (cloned(lambda z: z.relu_()), functional.relu),
    "z.relu_() as a statement": (statement(lambda z: z.relu_()), functional.relu),
    "F.relu_": (statement(functional.relu_), functional.relu),
    "nn.ReLU6": (nn.ReLU6(), functional.relu6),
    "nn.ReLU6(inplace)": (cloned(nn.ReLU6(inplace=True)), functional.relu6),
    "F.relu6": (functional.relu6, functional.relu6),
    "F.hardtanh": (functional.hardtanh, functional.hardtanh),
    "F.hardtanh(z, low, high)": (lambda z: functional.hardtanh(z, -0.5, 2), lambda z: functional.hardtanh(z, -0.5, 2)),
    "F.hardtanh(z, low, high, True)": (
        statement(lambda z: functional.hardtanh(z, -0.5, 2, True)),
        lambda z: functional.hardtanh(z, -0.5, 2),
    ),
    "F.hardtanh_": (statement(functional.hardtanh_), functional.hardtanh),
    "nn.LeakyReLU(inplace)": (cloned(nn.LeakyReLU(0.1, inplace=True)), lambda z: functional.leaky_relu(z, 0.1)),
    "F.leaky_relu(z, slope)": (lambda z: functional.leaky_relu(z, 0.3), lambda z: functional.leaky_relu(z, 0.3)),
    "F.leaky_relu_": (statement(functional.leaky_relu_), functional.leaky_relu),
    "nn.Hardswish": (nn.Hardswish(), functional.hardswish),
    "nn.Hardswish(inplace)": (cloned(nn.Hardswish(inplace=True)), functional.hardswish),
    "F.hardswish(z, True)": (statement(lambda z: functional.hardswish(z, True)), functional.hardswish),
    "nn.Hardsigmoid(inplace)": (cloned(nn.Hardsigmoid(inplace=True)), functional.hardsigmoid),
}


def values(count: int = 41) -> Tensor:
    """Places from −4.11 to 7.13, none of them a kink."""
    z = torch.linspace(-4.11, 7.13, count, dtype=torch.float64)
    assert (z[:, None] - PLACES_OF_KINKS).abs().min() > 1e-3
    return z


def first_derivative(function: Function, z: Tensor, smoothing: Smoothing | None) -> tuple[Tensor, Tensor]:
    """Values and derivative, both with a graph to z."""
    if smoothing is None:
        result = function(z)
    else:
        with SmoothedActivations(smoothing):
            result = function(z)
    (derivative,) = torch.autograd.grad(result.sum(), z, create_graph=True)
    return result, derivative


@pytest.mark.parametrize("name", CALLS)
def test_every_way_to_call_an_activation_keeps_its_values_and_gets_a_smooth_derivative(name: str) -> None:
    call, plain = CALLS[name]
    sharp = Smoothing("smooth", tau=1e-10)
    z = values().requires_grad_()
    result, derivative = first_derivative(call, z, sharp)
    expected, exact = first_derivative(plain, z, None)
    assert torch.equal(result, expected)
    torch.testing.assert_close(derivative, exact, atol=1e-3, rtol=0)
    _, soft = first_derivative(call, z, Smoothing("smooth", tau=0.5))
    (second,) = torch.autograd.grad(soft.sum(), z)
    assert second.abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_approaches_the_exact_one_far_from_the_kinks(name: str, kind: Kind) -> None:
    z = values().requires_grad_()
    _, smooth = first_derivative(ACTIVATIONS[name], z, Smoothing(kind, tau=1e-10, beta=1e4))
    _, exact = first_derivative(ACTIVATIONS[name], z, None)
    torch.testing.assert_close(smooth, exact, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_exact_kind_keeps_first_derivatives_and_has_second_ones_of_the_smooth_kind(name: str) -> None:
    z = values().requires_grad_()
    _, exact = first_derivative(ACTIVATIONS[name], z, Smoothing("exact", tau=0.5))
    _, plain = first_derivative(ACTIVATIONS[name], z, None)
    torch.testing.assert_close(exact, plain, atol=1e-8, rtol=0)  # torch keeps one sixth in single precision
    (second,) = torch.autograd.grad(exact.sum(), z)
    if name != "hardswish":  # whose derivative is a product with the step, not a sum of steps
        _, smooth = first_derivative(ACTIVATIONS[name], z, Smoothing("smooth", tau=0.5))
        torch.testing.assert_close(second, torch.autograd.grad(smooth.sum(), z)[0])
    assert second.abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_smooth_derivative_can_be_differentiated(name: str, kind: Kind) -> None:
    activation, smoothing = ACTIVATIONS[name], Smoothing(kind, tau=0.01, beta=5.0)
    weights = torch.linspace(-1, 2, 41, dtype=torch.float64)

    def weighted_gradient(z: Tensor) -> Tensor:
        with SmoothedActivations(smoothing):
            total = (activation(z) * weights).sum()
        (gradient,) = torch.autograd.grad(total, z, create_graph=True)
        return gradient

    z = values().requires_grad_()
    assert torch.autograd.gradcheck(weighted_gradient, z)
    (second,) = torch.autograd.grad(weighted_gradient(z).square().sum(), z)
    assert second.abs().max() > 1e-3


def slope_of_step(z: Tensor, smoothing: Smoothing) -> Tensor:
    """dh/dz in closed form."""
    if smoothing.kind == "softplus":
        return smoothing.beta / (2 * torch.cosh(smoothing.beta * z / 2)) ** 2
    bell = smoothing.tau / (z**2 + smoothing.tau) ** 1.5
    return 0.5 * bell if smoothing.kind == "smooth" else bell


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivative_of_a_small_network_equals_its_closed_form(kind: Kind) -> None:
    """f = w₂·relu(W₁x): ∇f = W₁ᵀ(w₂∘h(W₁x)), and ∇(v·∇f) = W₁ᵀ(w₂∘W₁v∘dh/dz(W₁x))."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    second, v, point = (torch.randn(n, dtype=torch.float64, generator=generator) for n in (6, 4, 4))
    smoothing = Smoothing(kind, tau=0.3, beta=2.0)
    x = point.requires_grad_()
    with SmoothedActivations(smoothing):
        output = second @ torch.relu(first @ x)
    (gradient,) = torch.autograd.grad(output, x, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient @ v, x)
    z = (first @ x).detach()
    torch.testing.assert_close(gradient, first.T @ (second * smoothing.step(z)))
    torch.testing.assert_close(curvature, first.T @ (second * (first @ v) * slope_of_step(z, smoothing)))


def test_steps_have_the_published_values() -> None:
    z = torch.tensor([-1.0, 0.0, 1.0])
    root = 1 / 2**0.5
    assert Smoothing("smooth", tau=1.0).step(z).tolist() == pytest.approx([(1 - root) / 2, 0.5, (1 + root) / 2])
    assert Smoothing("literal", tau=1.0).step(z).tolist() == pytest.approx([1 - root, 0.0, root])
    assert Smoothing("softplus", beta=1.0).step(z).tolist() == pytest.approx([0.26894, 0.5, 0.73106], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.LeakyReLU, nn.SiLU])
def test_logits_stay_bit_identical(activation: type[nn.Module], kind: Kind) -> None:
    network = small_network(activation)
    x = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with SmoothedActivations(Smoothing(kind)):
        smoothed = network(x)
    assert torch.equal(smoothed, network(x))


@pytest.mark.parametrize("function", [functional.silu, functional.gelu, torch.tanh])
def test_smooth_activations_are_left_alone(function: Function) -> None:
    z = values().requires_grad_()
    _, inside = first_derivative(function, z, Smoothing(tau=1.0))
    _, outside = first_derivative(function, z, None)
    assert torch.equal(inside, outside)


def test_smoothing_is_gone_after_the_block_also_after_an_exception() -> None:
    z = values().requires_grad_()
    _, before = first_derivative(torch.relu, z, None)
    with SmoothedActivations(Smoothing(tau=1.0)):
        torch.relu(z)
    with pytest.raises(RuntimeError, match="shape"), SmoothedActivations(Smoothing(tau=1.0)):
        torch.relu(z) @ torch.ones(3, dtype=torch.float64).reshape(2, 2)
    _, after = first_derivative(torch.relu, z, None)
    assert torch.equal(before, after)
    assert not _get_current_function_mode_stack()


def test_a_tensor_without_gradient_takes_the_ordinary_way() -> None:
    with SmoothedActivations(Smoothing()):
        result = torch.relu(values())
    assert torch.equal(result, torch.relu(values()))
    assert result.grad_fn is None
