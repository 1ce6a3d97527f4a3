"""What `escnn serve` stands on this machine, beside `escnn predict` on the same clips.

    python benchmarks/serve.py            measure, print, write benchmarks/serve.json; about ten minutes
    python benchmarks/serve.py REQUESTS   with so many requests for the memory in place of 20,000

The clips are those of `benchmarks/inference.py`, 0.44 MB each; client and server share the machine's cores.
"""

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from inference import ESCNN, USERS, cost, make_clips

FIGURES = Path(__file__).parent / "serve.json"
REQUESTS, CONCURRENCY, LONG = 2_000, 32, 20_000
SLOW_CLIENTS = 1_000


@dataclass
class Load:
    """What became of some requests."""

    seconds: list[float] = field(default_factory=list)  # of those that were answered with 200
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0  # of those that were refused
    wall: float = 0.0

    def figures(self) -> dict[str, Any]:
        """In numbers."""
        ordered = sorted(self.seconds)
        return {
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "answered_per_second": round(len(ordered) / self.wall, 1),
            "median_ms": round(1000 * statistics.median(ordered)),
            "p99_ms": round(1000 * ordered[int(0.99 * (len(ordered) - 1))]),
        }


class Client:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer."""
        if self._streams is None or self._streams[0].at_eof():  # idle for too long: the server has let it go
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            writer.close()
            self._streams = None
        return int(head[0].split()[1]), headers


def request_of(path: Path) -> bytes:
    """A clip as a request."""
    body = path.read_bytes()
    lines = ("POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: audio/wav", f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


async def one(client: Client, request: bytes, load: Load) -> None:
    """Send a request and note what becomes of it."""
    started = time.perf_counter()
    status, headers = await client.post(request)
    load.statuses[status] += 1
    if status == 200:
        load.seconds.append(time.perf_counter() - started)
    elif "retry-after" not in headers:
        load.without_retry_after += 1


async def closed_loop(port: int, requests: list[bytes], count: int, concurrency: int) -> Load:
    """So many at once, each followed by the next; in threads, which take next to nothing of the server's cores."""
    return await asyncio.to_thread(_closed_loop, port, requests, count, concurrency)


def _closed_loop(port: int, requests: list[bytes], count: int, concurrency: int) -> Load:
    load, left, lock = Load(), iter(range(count)), threading.Lock()

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                started = time.perf_counter()
                connection.sendall(requests[number % len(requests)])
                status = int(answers.readline().split()[1])
                headers = dict(line.lower().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
                answers.read(int(headers[b"content-length"]))
                with lock:
                    load.statuses[status] += 1
                    load.seconds.append(time.perf_counter() - started)

    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        for done in [pool.submit(work) for _ in range(concurrency)]:
            done.result()
    load.wall = time.perf_counter() - started
    return load


async def open_loop(port: int, requests: list[bytes], per_second: float, seconds: float) -> Load:
    """So many a second, whether or not the ones before are answered."""
    load, idle, tasks = Load(), [Client(port) for _ in range(8)], []

    async def work(number: int) -> None:
        client = idle.pop() if idle else Client(port)
        await one(client, requests[number % len(requests)], load)
        idle.append(client)

    started = time.perf_counter()
    for number in range(round(per_second * seconds)):
        await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(work(number)))
    await asyncio.gather(*tasks)
    load.wall = time.perf_counter() - started
    return load


async def slow_clients(port: int, request: bytes) -> Counter[str]:
    """Many clients that send a byte a second, and what they are told once a server's patience ends."""
    told: Counter[str] = Counter()

    async def creep() -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request[:200])
            for place in range(200, 260):
                writer.write(request[place : place + 1])
                await asyncio.sleep(1)
                if reader.at_eof() or reader._buffer:  # type: ignore[attr-defined]
                    break
            told[(await reader.read(12)).decode()[9:] or "closed"] += 1
            writer.close()
        except OSError:
            told["closed"] += 1

    await asyncio.gather(*(creep() for _ in range(SLOW_CLIENTS)))
    return told


def memory_mb(process: int) -> float:
    """What a process and its children hold, in their own."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    pages = [Path(f"/proc/{pid}/statm").read_text().split() for pid in (str(process), *children)]
    return sum(int(resident) - int(shared) for _, resident, shared, *_ in pages) * 4096 / 1e6


@asynccontextmanager
async def server(*options: str) -> AsyncIterator[tuple[int, int, float]]:
    """A server: its port, its process, and the seconds until it was ready."""
    started = time.perf_counter()
    process = subprocess.Popen([*ESCNN, "serve", "--port", "0", *options], stderr=subprocess.PIPE, text=True, env=USERS)
    assert process.stderr is not None
    line = process.stderr.readline()
    ready = time.perf_counter() - started
    try:
        yield int(line.split(":")[2].split(";")[0]), process.pid, ready
    finally:
        process.terminate()
        process.wait()


async def main() -> None:
    """Measure everything."""
    long = int(sys.argv[1]) if sys.argv[1:] else LONG
    figures: dict[str, Any] = {}

    def note(**more: Any) -> None:
        figures.update(more)
        print(json.dumps(more, indent=2), flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = make_clips(folder, REQUESTS)
        requests = [request_of(path) for path in sorted((folder / "clips").iterdir())]
        rounds = []
        for number in range(3):
            alone = cost([*ESCNN, "predict", str(clips), "--out", str(folder / f"{number}.jsonl")])
            async with server() as (port, _, ready):
                load = await closed_loop(port, requests, REQUESTS, CONCURRENCY)
            rounds.append((REQUESTS / alone.seconds, load, ready))
        rounds.sort(key=lambda one: one[1].wall)
        predict, load, _ = rounds[1]
        highest = REQUESTS / load.wall
        note(
            ready_seconds=round(statistics.median(ready for *_, ready in rounds), 2),
            predict_clips_per_second=round(predict, 1),
            at_concurrency_32=load.figures(),
            of_predict=round(statistics.median(REQUESTS / load.wall / alone for alone, load, _ in rounds), 2),
        )
        async with server() as (port, process, _):
            await closed_loop(port, requests, 200, 8)
            note(at_70_percent=(await open_loop(port, requests, 0.7 * highest, 30)).figures())
            storm = await open_loop(port, requests, 10 * highest, 3)
            note(at_ten_times=storm.figures() | {"refused_without_retry_after": storm.without_retry_after})
        async with server() as (port, process, _):
            held = []
            for _ in range(10):
                await closed_loop(port, requests, long // 10, CONCURRENCY)
                held.append(round(memory_mb(process)))
            note(memory_mb={"requests": long, "after_each_tenth": held})
        async with server("--timeout-seconds", "20") as (port, process, _):
            await closed_loop(port, requests, 100, 8)
            before = memory_mb(process)
            told = asyncio.create_task(slow_clients(port, requests[0]))
            await asyncio.sleep(10)
            during = await closed_loop(port, requests, 100, 4)
            note(
                slow_clients={
                    "told": dict(await told),
                    "others_meanwhile": during.figures(),
                    "memory_mb": [round(before), round(memory_mb(process))],
                }
            )
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
