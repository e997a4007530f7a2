"""As many damaged files as one likes, of every format, through the decoding processes.

Usage: ``python -m benchmarks.mutations [--count 20000] [--seed 1] [--keep FOLDER]``

The table counts what became of them; the exit status is 1 when a decoder crashed, hung or ran out of memory. Such files
are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from skinaudit.images.decode import Picture
from skinaudit.images.workers import DecoderPool
from tests.mutations import mutants


def main() -> int:
    """Write, decode, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("mutations-that-broke-a-decoder"))
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    broken = 0
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, DecoderPool() as pool:
        paths = []
        for name, data in mutants(arguments.count, arguments.seed):
            paths.append(Path(folder) / name)
            paths[-1].write_bytes(data)
        for path, answer in zip(paths, pool.stream(paths), strict=True):
            said = "read" if isinstance(answer, Picture) else f"{answer.status}: {answer.reason}"
            counts[said] += 1
            if ": the decoder " in said:
                broken += 1
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / path.name).write_bytes(path.read_bytes())
                print(f"{path.name}: {said}")
    for said, count in counts.most_common():
        print(f"{count:7d}  {said}")
    print(f"{sum(counts.values())} files in {time.perf_counter() - begun:.0f} s, {broken} broke a decoder")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
