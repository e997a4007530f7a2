"""Labelled photographs of a training folder, in memory as uint8."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Split:
    pixels: Tensor  # (N,3,S,S) uint8, width before height as MONAI's LoadImage gives them
    labels: Tensor  # (N,)


def read_rows(data: Path) -> list[dict[str, str]]:
    with (data / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read_pixels(files: list[Path]) -> Tensor:
    arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 2, 1).contiguous()


def find_image(folder: Path, name: str) -> Path:
    return next(path for path in (folder / f"{name}.jpg", folder / f"{name}.png") if path.exists())


def load(rows: list[dict[str, str]], folder: Path, classes: Sequence[str]) -> Split:
    pixels = read_pixels([find_image(folder, row["image"]) for row in rows])
    return Split(pixels, torch.tensor([classes.index(row["dx"]) for row in rows]))
