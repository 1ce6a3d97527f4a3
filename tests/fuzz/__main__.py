"""`make fuzz COUNT=20000 SEED=0`: that many damaged files, and that many whole commands with hostile inputs, names and
options; a table of what became of them. What ended as none may is kept; `--seed S --case N` runs one command again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from fuzz import seeds
from fuzz.child import Child
from fuzz.commands import CPU_SECONDS, command_of

Counts = dict[str, Counter[str]]


def main() -> int:
    """Damage, read, run, count; 1 if anything came out that must not."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=0, help="damaged files in all")
    parser.add_argument("--cases", type=int, default=0, help="whole commands in all")
    parser.add_argument("--case", type=int, help="run this one command of the seed")
    parser.add_argument("--seed", type=int, default=0, help="file n of a kind and case n depend on it and n alone")
    parser.add_argument("--only", nargs="*", metavar="KIND", help="these kinds, such as flac, model or predict")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="commands that run side by side")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="folder for unexpected inputs")
    arguments = parser.parse_args()
    started = time.monotonic()
    counts: Counts = defaultdict(Counter)
    if arguments.count:
        damaged_files(arguments, counts)
    if arguments.cases or arguments.case is not None:
        whole_commands(arguments, counts)
    tried = sum(outcomes.total() for outcomes in counts.values())
    print(f"{tried} cases, seed {arguments.seed}, {time.monotonic() - started:.0f} s\n")
    unexpected = 0
    for kind, outcomes in counts.items():
        print(f"{kind:14}{outcomes.total():7}")
        for said, count in sorted(outcomes.items()):
            print(f"    {said:28}{count:7}")
            unexpected += count * said.startswith("unexpected")
    print(f"\nunexpected: {unexpected}" + (f", kept in {arguments.out}" if unexpected else ""))
    return int(unexpected > 0)


def damaged_files(arguments: argparse.Namespace, counts: Counts) -> None:
    """Damaged files, each read by the function that reads such files."""
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
            tell(index, arguments.count)


def whole_commands(arguments: argparse.Namespace, counts: Counts) -> None:
    """Whole commands, in as many children as there are jobs; each child takes every n-th case."""
    cases = range(arguments.cases) if arguments.case is None else [arguments.case]
    cases = [number for number in cases if not arguments.only or command_of(number) in arguments.only]

    def run(job: int) -> None:
        with tempfile.TemporaryDirectory() as folder, Child(Path(folder)) as child:
            for number in cases[job :: arguments.jobs]:
                command = command_of(number)
                asked = json.dumps([arguments.seed, number]).encode()
                outcome = child.read("command", asked, CPU_SECONDS[command])
                counts[command][outcome.said.removeprefix(f"{command} ")] += 1
                if outcome.trouble:
                    print(f"--seed {arguments.seed} --case {number}: {outcome.said}\n{outcome.trouble}\n", flush=True)
                    keep(arguments.out / f"command-{arguments.seed}-{number}", asked, outcome.trouble)
                tell(number, arguments.cases)

    jobs = min(arguments.jobs, len(cases))
    with ThreadPoolExecutor(jobs) as pool:  # a thread waits for its child
        for done in [pool.submit(run, job) for job in range(jobs)]:
            done.result()


def tell(index: int, count: int) -> None:
    """How far it is, on a terminal."""
    if sys.stderr.isatty() and index % 100 == 0:
        print(f"\r{index} of {count}", end="", file=sys.stderr)


def keep(target: Path, content: bytes, trouble: str) -> None:
    """Write an input beside what it did: `python -m fuzz.worker` reads it again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.with_name(target.name + ".txt").write_text(trouble + "\n", "utf-8", "backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
