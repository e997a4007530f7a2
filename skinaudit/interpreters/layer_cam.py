"""LayerCAM (Jiang et al., IEEE Transactions on Image Processing 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from skinaudit.interpreters.activation import ActivationMap


@dataclass(frozen=True)
class LayerCam(ActivationMap):
    """On the last layer alone: ReLU(Σ_k ReLU(∂z_c/∂a_kij)·a_kij), a weight for every place."""

    name: str = "layer-cam"

    def weighed(self, features: Tensor, gradient: Tensor) -> Tensor:
        """Σ_k ReLU(g_k)·a_k, (N,h,w)."""
        return (gradient.relu() * features).sum(1)
