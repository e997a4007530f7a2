"""What a fit asks of the maps: of a class that is there a mask that carries it, of any other an empty one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from skinaudit.interpreters import rts_losses as losses
from skinaudit.interpreters.rts_substrate import blur, keep_masked, substrates

#: A class below this probability is not there.
_ABSENT = 0.1


@dataclass(frozen=True)
class Demand:
    """Weights and margins of the losses, and one weight for the selector's own evidence.

    The defaults are the published ones of the research code. ``order`` is ours: it weighs what the cells ahead of a
    random level carry, and what is left without them, so that the order of the cells means something, too.
    """

    area: float = losses.AREA_WEIGHT
    smoothness: float = losses.SMOOTHNESS_WEIGHT
    preserver: float = losses.PRESERVER_WEIGHT
    destroyer: float = losses.DESTROYER_WEIGHT
    evidence: float = 1.0
    preserver_margin: float = losses.PRESERVER_MARGIN
    destroyer_margin: float = losses.DESTROYER_MARGIN
    order: float = 0.0


#: Lets a mask be larger and asks for a meaning of its order. For a short refinement only (``rts_fit``): an area that
#: costs so little ends, after long, in masks of half the image, and from scratch in masks of the whole.
REFINED = Demand(area=3.0, destroyer=0.5, order=1.0)

#: Mean lead of the predicted class for which the published margins are taken as they are.
_TYPICAL_LEAD = 4.0


def scale_of(logits: Tensor) -> float:
    """Factor that brings the mean lead of the predicted class, over logits (N,K), to that of a typical network.

    The margins are leads in logits. A network that was taught to be unsure leads by little and would never reach them,
    so that only the price of the area is left and the masks end empty.
    """
    lead = losses.margin(logits, logits.argmax(1)).mean()
    return _TYPICAL_LEAD / max(float(lead), 1e-3)


#: Of a cut mask, what is taken away counts twice what is kept.
_CUT_DESTROYER = 2.0
#: Least and largest share of the cells ahead of a cut; drawn evenly between their logarithms.
_CUTS = (0.03, 0.5)


@dataclass(frozen=True)
class Drawn:
    """The class asked for of each image (N,), whether it is there (N,), and a seed for its replacement."""

    classes: Tensor
    present: Tensor
    seeds: list[int]

    @classmethod
    def draw(cls, logits: Tensor, absent_share: float, draws: np.random.Generator) -> Drawn:
        """Mostly the predicted class; for the rest one that the model does not see, the least likely if all are."""
        probabilities = logits.softmax(1).cpu()
        classes, present = logits.argmax(1).cpu(), torch.ones(len(logits), dtype=torch.bool)
        for row in range(len(logits)):
            wanted, choice = draws.random(2)
            if wanted >= absent_share:
                continue
            others = torch.where(probabilities[row] < _ABSENT)[0].tolist() or [int(probabilities[row].argmin())]
            classes[row], present[row] = others[int(choice * len(others))], False
        seeds = [int(seed) for seed in draws.integers(2**62, size=len(logits))]
        return cls(classes.to(logits.device), present.to(logits.device), seeds)


def demand_of(
    demand: Demand,
    classifier: nn.Module,
    x: Tensor,
    logits: Tensor,
    drawn: Drawn,
    maps: Tensor,
    evidence: Tensor,
    *,
    scale: float = 1.0,
    half: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of each image (N,), and its parts by name (without weight; NaN where a part does not apply).

    Args:
        demand: weights.
        classifier: frozen.
        x: images (N,3,H,W) in [0,1].
        logits: of x, (N,K).
        drawn: what is asked of each.
        maps: of the drawn classes, (N,h,w) in [0,1], with a graph to the generator.
        evidence: of every class, (N,K), likewise.
        scale: of the leads that are held against the margins (``scale_of``).
        half: the classifier judges masked images in bfloat16, which takes half the time where the processor has it.
    """
    parts = {
        "area": losses.area(maps),
        "smoothness": losses.total_variation(maps) / 2,
        "evidence": functional.cross_entropy(evidence, logits.argmax(1), reduction="none"),
        "preserver": torch.full_like(maps[:, 0, 0], torch.nan),
        "destroyer": torch.full_like(maps[:, 0, 0], torch.nan),
    }
    total = demand.area * parts["area"] + demand.smoothness * parts["smoothness"] + demand.evidence * parts["evidence"]
    rows = torch.where(drawn.present)[0]
    if len(rows):
        own = _Present(classifier, x[rows], drawn.classes[rows], [drawn.seeds[int(row)] for row in rows], scale, half)
        preserved, destroyed = own.margins(demand, maps[rows])
        asked = demand.preserver * preserved + demand.destroyer * destroyed
        if demand.order:
            asked = asked + demand.order * own.order(maps[rows])
        total = total.index_add(0, rows, asked)
        parts["preserver"] = parts["preserver"].index_copy(0, rows, preserved.detach())
        parts["destroyer"] = parts["destroyer"].index_copy(0, rows, destroyed.detach())
    return total, {name: values.detach() for name, values in parts.items()}


@dataclass(frozen=True)
class _Present:
    """Images (n,3,H,W) whose drawn class (n,) is there, and how masks of theirs are judged."""

    classifier: nn.Module
    x: Tensor
    classes: Tensor
    seeds: list[int]
    scale: float
    half: bool

    def margins(self, demand: Demand, masks: Tensor) -> tuple[Tensor, Tensor]:
        """What the masked part lacks, and what the rest has too much of; (n,) each."""
        replaced = substrates(self.x, self.seeds)
        kept, left = self._logits(masks, replaced, replaced)
        return (
            losses.preserver_margin(kept, self.classes, demand.preserver_margin),
            losses.destroyer_margin(left, self.classes, demand.destroyer_margin),
        )

    def order(self, masks: Tensor) -> Tensor:
        """The same of masks that are cut at a random level: kept in the blurred image, taken out of the mean colour."""
        least, most = _CUTS
        draws = [float(np.random.default_rng([seed, 1]).random()) for seed in self.seeds]
        cut = losses.cut(masks, least * (most / least) ** masks.new_tensor(draws))
        flat = self.x.mean((2, 3), keepdim=True).expand_as(self.x)
        kept, left = self._logits(cut, blur(self.x), flat)
        lacking = losses.preserver_margin(kept, self.classes, losses.DESTROYER_MARGIN)
        return lacking + _CUT_DESTROYER * losses.destroyer_margin(left, self.classes)

    def _logits(self, masks: Tensor, around: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled logits (n,K) of what masks keep, ``around`` in place of the rest; and of that rest, the reverse."""
        images = torch.cat([keep_masked(self.x, masks, around), keep_masked(self.x, 1 - masks, inside)])
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=self.half):
            kept, left = (self.scale * self.classifier(images).float()).chunk(2)
        return kept, left
