"""Second derivatives for piecewise-linear activations: the forward stays exact, the derivative becomes smooth.

The gradient of a saliency map that is itself a gradient needs second derivatives, and those of ReLU are zero. Inside
the ``with`` block the derivative of ReLU, ReLU6, LeakyReLU, Hardtanh and Hardsigmoid is s₀ + Σ_j Δs_j·h(z − t_j) with
a smooth step h (Zhang et al. 2020, section on back-propagation guided interpreters), that of Hardswish alike. Smooth
activations (SiLU, GELU) need nothing; rarer ones with kinks (PReLU, ELU, clamp) keep their own derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.overrides import TorchFunctionMode

from skinaudit.classifier.features import without_overload

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Smoothing:
    """Which smooth step replaces the unit step in first derivatives.

    ``smooth``: ½(1 + z/√(z²+τ)). ``literal``: the published two-branch form, (1 + z/√(z²+τ)) below 0 and z/√(z²+τ)
    from 0 on. ``softplus``: the logistic function of βz. ``exact``: the unit step itself, which alone is differentiated
    as if it were ``smooth``: first derivatives stay what they are.
    """

    kind: Literal["smooth", "literal", "softplus", "exact"] = "smooth"
    tau: float = 1e-4
    beta: float = 30.0

    def step(self, z: Tensor) -> Tensor:
        """h(z), same shape as z."""
        if self.kind == "softplus":
            return torch.sigmoid(self.beta * z)
        ratio = z / torch.sqrt(z * z + self.tau)
        if self.kind == "smooth":
            return 0.5 * (1 + ratio)
        if self.kind == "exact":
            return (z > 0).to(z.dtype) + 0.5 * (ratio - ratio.detach())
        return torch.where(z < 0, 1 + ratio, ratio)


class _ExactForwardSmoothDerivative(torch.autograd.Function):
    """f(z) by the original kernel; the derivative by a function that can itself be differentiated."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, exact: Step, derivative: Step) -> Tensor:  # noqa: ANN401 - torch's own type
        ctx.save_for_backward(z)
        ctx.derivative = derivative
        return exact(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (z,) = ctx.saved_tensors
        return gradients[0] * ctx.derivative(z), None, None


def _kinks(smoothing: Smoothing, base: float, *jumps: tuple[float, float]) -> Step:
    """Derivative s₀ + Σ Δs·h(z − t) for kinks given as (t, Δs)."""

    def derivative(z: Tensor) -> Tensor:
        total = torch.full_like(z, base)
        for place, jump in jumps:
            total = total + jump * smoothing.step(z - place)
        return total

    return derivative


def _hardswish(smoothing: Smoothing) -> Step:
    def derivative(z: Tensor) -> Tensor:
        above, below = smoothing.step(z - 3), smoothing.step(z + 3)
        return below * (1 - above) * (2 * z + 3) / 6 + above

    return derivative


def _derivative(name: str, values: Mapping[str, float], smoothing: Smoothing) -> Step:
    """Smooth derivative of the activation of that function name."""
    match name:
        case "relu":
            return _kinks(smoothing, 0.0, (0.0, 1.0))
        case "relu6":
            return _kinks(smoothing, 0.0, (0.0, 1.0), (6.0, -1.0))
        case "hardtanh":
            low, high = values.get("min_val", -1.0), values.get("max_val", 1.0)
            return _kinks(smoothing, 0.0, (low, 1.0), (high, -1.0))
        case "leaky_relu":
            slope = values.get("negative_slope", 0.01)
            return _kinks(smoothing, slope, (0.0, 1.0 - slope))
        case "hardsigmoid":
            return _kinks(smoothing, 0.0, (-3.0, 1 / 6), (3.0, -1 / 6))
        case _:  # hardswish, the last of _FUNCTIONS
            return _hardswish(smoothing)


_POSITIONAL = {"hardtanh": ("min_val", "max_val", "inplace"), "leaky_relu": ("negative_slope", "inplace")}
_FUNCTIONS: dict[Callable[..., object], str] = {
    function: name
    for owner in (torch, functional, Tensor, torch.ops.aten, torch._C._nn)
    for name in ("relu", "relu_", "relu6", "relu6_", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_",
                 "hardsigmoid", "hardswish")
    if callable(function := getattr(owner, name, None))
}  # fmt: skip


class SmoothedActivations(TorchFunctionMode):
    """While it is entered, activations keep their values bit for bit and have smooth derivatives."""

    def __init__(self, smoothing: Smoothing) -> None:
        super().__init__()
        self._smoothing = smoothing

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        called = _FUNCTIONS.get(without_overload(func))
        if called is None:
            return func(*args, **(kwargs or {}))
        name = called.rstrip("_")
        values = dict(zip(("input", *_POSITIONAL.get(name, ("inplace",))), args, strict=False)) | dict(kwargs or {})
        z = values.pop("input")
        in_place = bool(values.pop("inplace", False)) or called != name
        if not z.requires_grad:
            return func(*args, **(kwargs or {}))
        derivative = _derivative(name, values, self._smoothing)
        plain = getattr(functional, name)
        # An in-place call may go on with its argument instead of the result, and backward needs what was there before.
        before = z.clone() if in_place else z
        result = _ExactForwardSmoothDerivative.apply(before, lambda value: plain(value, **values), derivative)
        return z.copy_(result) if in_place else result
