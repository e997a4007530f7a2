"""Where the change enters: on the pixels that the model is shown, or on the photograph before it is resized."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from skinaudit.attacks.flow import Flow
from skinaudit.attacks.perturbation import LInf, Perturbation, round_to_8_bit
from skinaudit.attacks.photograph import OnPhotograph
from skinaudit.config import Norm

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from skinaudit.classifier.preprocess import Preprocess
    from skinaudit.config import ThreatModel


@dataclass(frozen=True)
class Entry:
    """The attacker's pictures (3,H,W) uint8 in model orientation, and what the model gets of them."""

    preprocess: Preprocess
    threat: ThreatModel

    def picture(self, pixels: np.ndarray) -> Tensor:
        """What the attacker starts from, of decoded pixels (H,W,3) uint8 as the photograph lies."""
        if self.threat.full_resolution:
            return self.preprocess.from_display(torch.tensor(pixels).permute(2, 0, 1)).contiguous()
        return self.preprocess.shown(pixels)

    def seen(self, picture: Tensor) -> Tensor:
        """What the model gets of a picture: (3,h,w) in 0…255.

        Of a full-size picture the floats that MONAI's own reader and geometry give, as in a deployed system; else the
        8-bit pixels themselves.
        """
        if self.threat.full_resolution:
            return self.preprocess.geometry(self.preprocess.to_display(picture).permute(1, 2, 0).contiguous().numpy())
        return picture

    def perturbation(self) -> Perturbation:
        """The changes that are allowed."""
        threat = self.threat
        inner: Perturbation = Flow(threat.flow_limit) if threat.norm is Norm.FLOW else LInf(threat.epsilon_levels)
        return OnPhotograph(inner, self.preprocess.differentiable) if threat.full_resolution else inner

    def seconds_per_step(self, side: int, device: torch.device) -> float:
        """Time of one step on a square photograph of that many pixels a side, without the network."""
        change, x0 = self.perturbation(), torch.full((1, 3, side, side), 0.5, device=device)
        z = change.start(x0)
        times = []
        for _ in range(2):  # the first one warms up
            begun = time.perf_counter()
            seen = change.seen(round_to_8_bit(change.apply(x0, z)))
            velocity = change.pull_back(x0, z, torch.ones_like(seen))
            z = change.step(x0, z, change.direction(velocity), torch.ones(1, device=device))
            z.sum().item()
            times.append(time.perf_counter() - begun)
        return times[-1]


def at_8_bits(seen: Tensor) -> Tensor:
    """What the model gets (3,h,w) in 0…255 as a picture can hold it: uint8."""
    return seen if seen.dtype == torch.uint8 else seen.round().clamp(0, 255).to(torch.uint8)
