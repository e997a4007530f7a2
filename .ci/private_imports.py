"""Refuses imports of another package's private names: `from skinaudit.attacks.loop import _step` outside `attacks`.

A package here is a folder of `skinaudit/` (or a single module beside them, such as `config`). Ruff's own rule for
private imports allows everything below one root package, so this file draws the line one level deeper.

    python .ci/private_imports.py [ROOT]

Prints one line for each offence and exits 1 if there is one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "skinaudit"


def is_private(name: str) -> bool:
    """``_name`` is private; ``__version__`` is not."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def room(module: tuple[str, ...]) -> str:
    """The part of the house that a dotted module belongs to: ``("skinaudit", "attacks", "loop")`` -> ``attacks``."""
    return module[1] if len(module) > 1 else ""


def imported(tree: ast.AST, module: tuple[str, ...], is_package: bool) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield line and full dotted path of everything that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base: tuple[str, ...] = ()
            if node.level:
                up = node.level - 1 if is_package else node.level
                base = module[: len(module) - up]
            base += tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield node.lineno, (*base, alias.name)


def offences(path: Path, root: Path) -> Iterator[str]:
    """Yield one printable line for each private import of a foreign room in one file."""
    is_package = path.name == "__init__.py"
    module = path.relative_to(root).with_suffix("").parts
    module = module[:-1] if is_package else module
    for line, target in imported(ast.parse(path.read_text(encoding="utf-8"), str(path)), module, is_package):
        if target[0] != PACKAGE or room(target) == room(module):
            continue
        if any(is_private(part) for part in target):
            where = f"{path.relative_to(root)}:{line}"
            yield f"{where}: imports {'.'.join(target)}, private to another package; make it public there or move it"


def main(root: Path) -> int:
    """Check every file of the package below ``root``; the exit code."""
    found = [line for path in sorted((root / PACKAGE).rglob("*.py")) for line in offences(path, root)]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
