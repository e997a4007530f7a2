"""ADV² on several maps at once: the worst case of a clinic that shows more than one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skinaudit.attacks.adv2 import Evaluation, Goal, Objective, State
from skinaudit.attacks.objectives import objective_for
from skinaudit.interpreters.base import Interpreter
from skinaudit.interpreters.gradient_map import GradientMap

#: Scale of the map loss of gradient maps, whose squared distances are smaller: as the first λ of their own attack.
_GRADIENT_SCALE = 2.5


@dataclass(frozen=True)
class JointObjective:
    """ℓ_prd + λ·mean_g(s_g·ℓ_int,g): one class loss and every interpreter's map loss, each with its own scale s_g.

    ``parts`` are the objectives of the single interpreters, in the order of the goal's maps; ``scales`` their s_g.
    The state is that of all parts, one after the other.
    """

    parts: Sequence[Objective]
    scales: Sequence[float]
    matches_map: bool = True

    def start(self, x0: Tensor, goal: Goal) -> State:
        """The states of all parts, and before them how many tensors each has, (N,G)."""
        states = [part.start(x0, self._only(goal, place)) for place, part in enumerate(self.parts)]
        counts = torch.tensor([[len(state) for state in states]], device=x0.device).expand(len(x0), -1).contiguous()
        return (counts, *(tensor for state in states for tensor in state))

    def evaluate(self, x: Tensor, weight: Tensor, goal: Goal, state: State) -> Evaluation:
        """Each part with its own map; the mean of their gradients holds the class loss once."""
        counts, *tensors = state
        rest = iter(tensors)
        found = []
        for place, part in enumerate(self.parts):
            mine = tuple(next(rest) for _ in range(int(counts[0, place])))
            found.append(part.evaluate(x, weight * self.scales[place], self._only(goal, place), mine))
        return Evaluation(
            gradient=torch.stack([one.gradient for one in found]).mean(0),
            class_loss=found[0].class_loss,
            map_loss=torch.stack([one.map_loss for one in found]).mean(0),
            map_distance=torch.cat([one.map_distance for one in found], 1),
            map_overlap=torch.cat([one.map_overlap for one in found], 1),
            logits=found[0].logits,
            state=(counts, *(tensor for one in found for tensor in one.state)),
        )

    @staticmethod
    def _only(goal: Goal, place: int) -> Goal:
        return Goal(goal.target_class, (goal.target_maps[place],))


def joint_objective(classifier: nn.Module, interpreters: Sequence[Interpreter]) -> JointObjective:
    """The objective that matches the maps of all these interpreters, in their order."""
    return JointObjective(
        [objective_for("adv2", classifier, one) for one in interpreters],
        [_GRADIENT_SCALE if isinstance(one, GradientMap) else 1.0 for one in interpreters],
    )
