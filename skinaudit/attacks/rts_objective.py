"""ADV² on RTS: class, map and the selector's evidence from one shared pass (Zhang et al., USENIX Security 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from skinaudit.attacks.adv2 import Evaluation, Goal, State, Stateless, distances
from skinaudit.interpreters.rts import Rts

#: Weight of the cross entropy of the selector's evidence (published setting).
ENCODER_WEIGHT = 0.1


@dataclass(frozen=True)
class RtsObjective(Stateless):
    """ℓ_prd + λ·mean squared map distance + 0.1·cross entropy of the evidence, all to the wanted class.

    The selector opens the map of a class as far as the features speak for it, so its evidence must move as well.
    """

    interpreter: Rts
    matches_map: bool = True

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """One forward pass for logits, map and evidence, one backward pass for all three losses."""
        del state
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            logits, maps, evidence = self.interpreter.with_evidence(leaf, goal.target_class)
            class_loss = functional.cross_entropy(logits, goal.target_class, reduction="none")
            encoder_loss = functional.cross_entropy(evidence, goal.target_class, reduction="none")
            map_loss = (maps - goal.target_map).square().mean((1, 2))
            total = class_loss + ENCODER_WEIGHT * encoder_loss + weight * map_loss
            (gradient,) = torch.autograd.grad(total.sum(), leaf)
        distance, overlap = distances(maps.detach(), goal.target_map)
        return Evaluation(gradient, class_loss.detach(), map_loss.detach(), distance, overlap, logits.detach())
