"""What the commands on labelled photographs share: their options, and what they leave behind."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.tables import fill


def options(description: str | None, table: str) -> argparse.ArgumentParser:
    """A parser for model, photographs, work folder and document; ``table`` is the marker that is filled by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle folder with drift thresholds")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--labels", type=Path, required=True, help="CSV: image,dx or the one-hot form of ISIC")
    parser.add_argument("--work", type=Path, required=True, help="folder for results so far")
    parser.add_argument("--interpreters", default="cam,grad", help="with commas: cam,grad,rts,mask-fast")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", default=table, help="its marker in the document")
    parser.add_argument("--write", type=Path, help="put the table between its markers in this document")
    return parser


def leave(
    arguments: argparse.Namespace,
    name: str,
    text: str,
    facts: Mapping[str, str],
    settings: Mapping[str, str],
    cases: Sequence[Case],
    **more: object,
) -> None:
    """Print the Markdown, keep it and everything behind it in the work folder, and fill the document if asked."""
    content = {"machine": facts, "settings": settings, **more, "cases": [one.model_dump() for one in cases]}
    (arguments.work / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    (arguments.work / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if arguments.write:
        fill(arguments.write, arguments.table, text)
    print(text)
