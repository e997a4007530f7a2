"""An RTS whose generator has seeded random weights: everything but knowledge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skinaudit.interpreters.rts import Rts, blank_generator, features_of


def random_rts(network: nn.Module, x: Tensor, seed: int = 0) -> Rts:
    """RTS of a network, standardised on images x (N,3,H,W); every class has a map of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = blank_generator(network, x[:1])
    with torch.no_grad():
        generator.measure(features_of(network, x)[1])
        generator.last.weight *= 10
    return Rts(network, generator.eval().requires_grad_(requires_grad=False))
