"""Grad-CAM++ (Chattopadhyay et al., WACV 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skinaudit.interpreters.activation import ActivationMap

#: Smallest magnitude of α's denominator; features of ReLU never come near it, others may.
_POLE = 1e-2


@dataclass(frozen=True)
class GradCamPlusPlus(ActivationMap):
    """ReLU(Σ_k w_k·a_k) with w_k = Σ_ij α_kij·ReLU(g_kij), g = ∂z_c/∂a; α of equation 19, for the score exp(z_c).

    α_kij = g²/(2g² + Σ_ab a_kab·g³) = 1/(2 + g_kij·Σ_ab a_kab): g² is cancelled, so that small gradients need no
    constant in the denominator (pytorch-grad-cam adds 1e-6, which counts where |g| < 1e-3). The factor exp(z_c) of w is
    the same for a whole map and cancels in min-max.
    """

    name: str = "grad-cam++"

    def weighed(self, features: Tensor, gradient: Tensor) -> Tensor:
        """Σ_k w_k·a_k, (N,h,w)."""
        denominator = 2 + gradient * features.sum((2, 3), keepdim=True)
        away = torch.where(denominator < 0, -_POLE, _POLE)
        alpha = 1 / torch.where(denominator.abs() < _POLE, away, denominator)
        return torch.einsum("nchw,nc->nhw", features, (alpha * gradient.relu()).sum((2, 3)))
