"""Grad-CAM (Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skinaudit.interpreters.activation import ActivationMap


@dataclass(frozen=True)
class GradCam(ActivationMap):
    """Equations 1 and 2: ReLU(Σ_k w_k·a_k) with w_k = Σ_ij ∂z_c/∂a_kij (their 1/Z cancels in min-max)."""

    name: str = "grad-cam"

    def weighed(self, features: Tensor, gradient: Tensor) -> Tensor:
        """Σ_k w_k·a_k, (N,h,w)."""
        return torch.einsum("nchw,nc->nhw", features, gradient.sum((2, 3)))
