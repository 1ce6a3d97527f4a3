"""`make fuzz COUNT=20000 SEED=0`: that many damaged files, a table of what became of them; the unexpected are kept."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

from fuzz import seeds
from fuzz.child import Child


def main() -> int:
    """Damage, read, count; 1 if anything came out that must not."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="damaged files in all")
    parser.add_argument(
        "--seed", type=int, default=0, help="of all of them; file n of a kind depends on it and n alone"
    )
    parser.add_argument("--only", nargs="*", metavar="KIND", help="these kinds of file, such as flac or model")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="folder for unexpected inputs")
    arguments = parser.parse_args()

    counts: dict[str, Counter[str]] = defaultdict(Counter)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Child(Path(folder)) as child:
        subjects = {**seeds.sounds(), **seeds.documents(), **seeds.weights(Path(folder))}
        if arguments.only:
            subjects = {kind: subjects[kind] for kind in arguments.only}
        for index in range(arguments.count):
            kind = list(subjects)[index % len(subjects)]
            number = index // len(subjects)
            content = subjects[kind].damaged(Random(f"{arguments.seed} {kind} {number}"))
            outcome = child.read(subjects[kind].reader, content)
            said = outcome.said if not outcome.trouble else f"unexpected: {outcome.said.removeprefix('unexpected ')}"
            counts[kind][said] += 1
            if outcome.trouble:
                keep(arguments.out / f"{kind}-{arguments.seed}-{number}", content, outcome.trouble)
            if sys.stderr.isatty() and index % 100 == 0:
                print(f"\r{index} of {arguments.count}", end="", file=sys.stderr)
    print(f"{arguments.count} damaged files, seed {arguments.seed}, {time.monotonic() - started:.0f} s\n")
    unexpected = 0
    for kind, outcomes in counts.items():
        print(f"{kind:14}{outcomes.total():7}")
        for said, count in sorted(outcomes.items()):
            print(f"    {said:28}{count:7}")
            unexpected += count * said.startswith("unexpected")
    print(f"\nunexpected: {unexpected}" + (f", kept in {arguments.out}" if unexpected else ""))
    return int(unexpected > 0)


def keep(target: Path, content: bytes, trouble: str) -> None:
    """Write an input beside what it did: `python -m fuzz.worker` reads it again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.with_name(target.name + ".txt").write_text(trouble + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
