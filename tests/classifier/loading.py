"""Loads bundles in a process with little memory and says how each one ended: python -m tests.classifier.loading."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from skinaudit.classifier.classifier import load_classifier
from skinaudit.classifier.refusal import ModelRefused

#: What a load may take beside what the process has when it begins.
MOST_BYTES = 2 * 2**30


def main(harmless: Path, bundles: list[Path]) -> None:
    """Load a harmless bundle, then the others; write one JSON line for each: name, end, message, seconds, MB."""
    load_classifier(harmless)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for bundle in bundles:
        began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load_classifier(bundle)
            end, message = "loaded", ""
        except ModelRefused as error:
            end, message = "refused", str(error)
        except Exception as error:  # noqa: BLE001 - any end is an answer
            end, message = type(error).__name__, str(error)[:300]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        sys.stdout.write(json.dumps([bundle.name, end, message, time.process_time() - began, grown]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(place) for place in sys.argv[2:]])
