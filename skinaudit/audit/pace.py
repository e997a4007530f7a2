"""How long a pass of the model takes on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch

from skinaudit.audit.plan import search_shape, shapes
from skinaudit.audit.survey import Specimen
from skinaudit.audit.workbench import Workbench


def seconds_per_pass(bench: Workbench, attacked: Sequence[Specimen]) -> float:
    """Time of one image's forward pass and input gradient, measured on a full batch of this run.

    Where batches of several shapes are used, by the shape that takes longest for an image. Where photographs are
    changed in their own size, with what a step takes on one of mean size.
    """
    alone = max(_seconds(bench, size) for size in {search_shape(bench.config, None), *shapes(bench.config).values()})
    if not bench.config.threat.full_resolution:
        return alone
    side = round(math.sqrt(sum((one.width or 1) * (one.height or 1) for one in attacked) / max(1, len(attacked))))
    return alone + bench.entry.seconds_per_step(side, bench.device)


def _seconds(bench: Workbench, size: int) -> float:
    x = torch.from_numpy(np.random.default_rng(0).random((size, 3, *bench.classifier.input_size), dtype=np.float32))
    x = x.to(bench.device)
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        leaf = x.clone().requires_grad_()
        torch.autograd.grad(bench.classifier(leaf).logsumexp(1).sum(), leaf)[0].sum().item()
        times.append(time.perf_counter() - begun)
    # The first one warms up. The second slowest of the others keeps the forecast an upper bound on a busy machine; the
    # slowest may have met a hiccup.
    return sorted(times[1:])[-2] / size
