"""Windows of different requests go through the network together."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from escnn.inference.classifier import Classifier

Array = NDArray[np.float32]
WAIT_SECONDS = 0.003  # for company, where fewer than a batch are there


@dataclass(frozen=True)
class _Job:
    log_mels: Array  # (windows, mels, frames)
    scores: Future[Array] = field(default_factory=Future)


class Batcher:
    """Threads, one for each batch that the runtime computes at once, which take what was handed in as it came."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier, self._most = classifier, classifier.runtime.batch_windows
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"network-{number}", daemon=True)
            for number in range(classifier.runtime.parallel)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, log_mels: Array) -> Future[Array]:
        """The scores, (windows, classes), of log-mels, (windows, mels, frames), once they are there."""
        job = _Job(log_mels)
        self._waiting.put(job)
        return job.scores

    def stop(self) -> None:
        """Compute what was handed in, and end."""
        self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            jobs = self._with_company(job)
            self._compute([job for job in jobs if job.scores.set_running_or_notify_cancel()])
        self._waiting.put(None)  # for the next thread

    def _with_company(self, job: _Job) -> list[_Job]:
        """What is there or comes within `WAIT_SECONDS`, up to a batch."""
        jobs, count = [job], len(job.log_mels)
        until = time.perf_counter() + WAIT_SECONDS
        while count < self._most:
            try:
                more = self._waiting.get(timeout=max(0.0, until - time.perf_counter()))
            except queue.Empty:
                break
            if more is None:
                self._waiting.put(None)
                break
            jobs.append(more)
            count += len(more.log_mels)
        return jobs

    def _compute(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        try:
            scores = self._classifier.scores(np.concatenate([job.log_mels for job in jobs]))
            ends = np.cumsum([len(job.log_mels) for job in jobs])
            for job, part in zip(jobs, np.split(scores, ends[:-1]), strict=True):
                job.scores.set_result(part)
        except Exception as error:
            for job in jobs:
                if not job.scores.done():
                    job.scores.set_exception(error)
