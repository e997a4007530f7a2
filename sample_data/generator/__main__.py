"""Command line: draw a labelled set of sample pictures into a folder."""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Sequence
from pathlib import Path

from sample_data.generator.classes import RECIPES, draw_lesion
from sample_data.generator.noise import Size
from sample_data.generator.output import squash, write_dicom, write_jpeg


def picture_size(text: str) -> Size:
    """Parse HEIGHTxWIDTH."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(int(match[1]), int(match[2])) < 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH with sides of at least 64")
    return int(match[1]), int(match[2])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.generator", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to (made when missing)")
    parser.add_argument("--per-class", type=int, default=2, help="pictures of each class")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture of each class")
    parser.add_argument("--extra", nargs="*", default=[], choices=sorted(RECIPES), help="classes that get one more")
    parser.add_argument("--size", type=picture_size, default=(450, 600), help="HEIGHTxWIDTH, 450x600 by default")
    parser.add_argument("--square", type=int, default=0, help="squash to a square of this side")
    parser.add_argument("--dicom", type=int, default=0, help="how many pictures to write as DICOM instead of JPEG")
    parser.add_argument("--quality", type=int, default=92, help="JPEG quality")
    return parser.parse_args(argv)


def plan(per_class: int, extra: Sequence[str]) -> list[tuple[str, int]]:
    """(class, running number from 1) of every picture, class by class."""
    return [(dx, number) for dx in sorted(RECIPES) for number in range(1, per_class + extra.count(dx) + 1)]


def dicom_picks(total: int, count: int) -> set[int]:
    """Evenly spread positions of the pictures that become DICOM files."""
    count = min(count, total)
    return {(2 * index + 1) * total // (2 * count) for index in range(count)}


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the pictures and write them with labels.csv."""
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = plan(args.per_class, args.extra)
    as_dicom = dicom_picks(len(pictures), args.dicom)
    rows: list[tuple[str, str]] = []
    for position, (dx, number) in enumerate(pictures):
        name = f"drawn_{dx}_{number:02d}"
        pixels = draw_lesion(dx, args.seed + number - 1, args.size)
        if args.square:
            pixels = squash(pixels, args.square)
        if position in as_dicom:
            write_dicom(args.out / f"{name}.dcm", pixels)
        else:
            write_jpeg(args.out / f"{name}.jpg", pixels, args.quality)
        rows.append((name, dx))
    with (args.out / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows([("image", "dx"), *rows])
    print(f"{len(rows)} pictures drawn into {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
