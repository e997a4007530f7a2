"""Optical model: chromophore densities that absorb light, and scattering tissue that whitens it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.noise import Field, Size

BARE_SKIN = (0.925, 0.865, 0.845)
ABSORPTION = {
    "melanin": (0.56, 0.98, 1.28),
    "deep": (1.12, 0.92, 0.62),
    "blood": (0.16, 1.12, 0.86),
    "venous": (0.85, 1.75, 0.95),
    "keratin": (0.10, 0.32, 0.95),
}


@dataclass
class Tissue:
    """Pixel fields of absorbing densities plus one white scattering layer with its own tint.

    `skin_depth` is the melanin density of the healthy skin around; darker skin dims the white layer.
    """

    melanin: Field
    deep: Field
    blood: Field
    venous: Field
    keratin: Field
    white: Field
    white_tint: tuple[float, float, float] = (0.93, 0.87, 0.86)
    skin_depth: float = 0.0

    @classmethod
    def empty(cls, size: Size) -> Self:
        """Tissue without any pigment."""
        blank = [np.zeros(size, dtype=np.float32) for _ in range(6)]
        return cls(blank[0], blank[1], blank[2], blank[3], blank[4], blank[5])

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.melanin.shape[0], self.melanin.shape[1]

    def whiten(self, amount: NDArray[np.floating[Any]]) -> None:
        """Add scattering (scale, scar, veil) over what is already there; amount is an opacity."""
        opacity = np.clip(amount, 0.0, 0.97)
        self.white = np.asarray(1.0 - (1.0 - self.white) * (1.0 - opacity), dtype=np.float32)

    def bleach(self, amount: NDArray[np.floating[Any]]) -> None:
        """Take away epidermal melanin where amount approaches 1."""
        self.melanin = np.asarray(self.melanin * (1.0 - np.clip(amount, 0.0, 1.0)), dtype=np.float32)

    def render(self) -> Field:
        """Reflected light (H, W, 3): multiplicative absorption per channel, then scattering."""
        out = np.empty((*self.size, 3), dtype=np.float32)
        glow = 1.0 - 0.30 * np.clip(self.skin_depth, 0.0, 1.5)
        for channel in range(3):
            density = np.zeros(self.size, dtype=np.float32)
            for name, colour in ABSORPTION.items():
                density += np.float32(colour[channel]) * np.maximum(getattr(self, name), 0.0)
            light = np.float32(BARE_SKIN[channel]) * np.exp(-density)
            out[..., channel] = light + self.white * (self.white_tint[channel] * glow - light)
        return out
