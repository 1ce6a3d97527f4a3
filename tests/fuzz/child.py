"""The parent's side: a child that reads damaged files, started anew when one of them ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import escnn

PATHS = (Path(escnn.__file__).parents[1], Path(__file__).parents[1])


@dataclass(frozen=True)
class Outcome:
    """What became of a damaged file; `trouble` says what must not be, and is empty where all is well."""

    said: str
    trouble: str = ""


class Child:
    """Reads files in a process of its own, in `folder`, where it may leave what it likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve() / "child"
        self.folder.mkdir()
        self._processes: dict[str, subprocess.Popen[str]] = {}  # by reader

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in list(self._processes):
            self._processes[reader].kill()  # it would take its time to put things away
            self._end(reader)

    def read(self, reader: str, content: bytes, cpu_seconds: float = 5.0) -> Outcome:
        """Have `content` read as a file; the end of the process is an outcome like any other."""
        path = self.folder / f"{reader}.file"
        path.write_bytes(content)
        process = self._processes.get(reader) or self._start(reader)
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps([reader, str(path), cpu_seconds]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if line:
            said, trouble = json.loads(line)
            return Outcome(said, trouble)
        code = self._end(reader)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        late = name in ("SIGPROF", "SIGALRM")
        return Outcome(f"unexpected {'hang' if late else name}", f"{name}\n{self._log(reader).read_text('utf-8')}")

    def _start(self, reader: str) -> subprocess.Popen[str]:
        search = os.pathsep.join([*map(str, PATHS), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.worker", reader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log(reader).open("w"),
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert process.stdout and process.stdout.readline() == "ready\n", self._log(reader).read_text("utf-8")
        self._processes[reader] = process
        return process

    def _end(self, reader: str) -> int:
        process = self._processes.pop(reader)
        process.communicate()  # closes its input, on which it ends
        return process.returncode

    def _log(self, reader: str) -> Path:
        return self.folder / f"{reader}.stderr"
