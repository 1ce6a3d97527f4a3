"""`escnn listen` at work: from a source to lines, clips and commands, until the sound ends or somebody ends it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from escnn.audio.channels import Samples
from escnn.audio.decoding import too_short
from escnn.cli.console import Console
from escnn.cli.live.display import Display
from escnn.cli.output import events
from escnn.detection.frame_scores import Recording
from escnn.detection.output.formats import recording_document
from escnn.errors import OutputError, Terminated
from escnn.inference.classifier import Classifier
from escnn.live.clips import Heard, LiveClips
from escnn.live.commands import CommandRunner
from escnn.live.detector import LiveDetector, LiveEvent
from escnn.live.formats import live_document
from escnn.live.pcm import LiveSound
from escnn.live.sources import LiveSource, Piece
from escnn.model.frames import EventSettings

WAIT_SECONDS = 0.2  # for sound; then the display is drawn, and a signal heeded
LOST_EVERY_SECONDS = 10.0  # lost sound is told of, at most
MOST_WARNINGS = 100  # that are kept: a day of a loose plug has more


@dataclass
class Session:
    """What is done with what is heard."""

    console: Console
    classifier: Classifier
    settings: EventSettings
    class_ids: list[int]
    thresholds: dict[int, float]
    write: Callable[[dict[str, Any]], None]
    provisional: bool = True
    provisional_score: float | None = None
    clips: LiveClips | None = None
    runner: CommandRunner | None = None
    run_on: tuple[str, ...] = ("final",)
    display: Display | None = None
    events: int = 0  # final ones
    lost_seconds: float = 0.0
    lost_clips: int = 0  # that could not be written
    notes: list[str] = field(default_factory=list)  # to be told once the display, which would hide them, is gone
    _next_id: int = 1
    _name: str = ""
    _detector: LiveDetector | None = None
    _sound: LiveSound | None = None
    _heard: Heard | None = None
    _offset: float = 0.0  # seconds from the start of the first sound to that of this one
    _began: datetime | None = None  # the first sound
    _began_at: float = 0.0  # the same, as `time.monotonic` counts
    _lost_told: tuple[float, float] = (0.0, 0.0)  # when, and how many seconds
    _warnings: list[str] = field(default_factory=list)

    def run(self, source: LiveSource, stopped: Callable[[], bool]) -> None:
        """Hear the source to its end, or until `stopped` says so; then tell what is left.

        Raises:
            AudioError: it came to its end before there was a sound to speak of.
            EscnnError: it cannot be had, or what is told cannot be written.
        """
        was_away, problem = False, None
        try:
            while not stopped():
                piece = source.next(WAIT_SECONDS)
                if source.is_away and not was_away:
                    self._end_sound()
                    self._warn(f"{source.name}: went away; waiting for it")
                was_away = source.is_away
                if piece is not None:
                    self._take(source, piece)
                if self.display is not None:
                    self.display.draw()
        except EOFError:
            frames = 0 if self._sound is None else self._sound.frames
            problem = too_short(source.name, frames, source.pcm.sample_rate)
        if problem is None:
            self._end_sound()
            self._look_back(source)
        recording = Recording(b"", source.name, seconds=0.0 if problem else self._seconds(), error=problem)
        recording.warnings = tuple(self._warnings)
        began = None if self._began is None else self._began.isoformat(timespec="milliseconds")
        fingerprint = events.fingerprint(
            self.classifier, self.settings, self.class_ids, (None, None, None), self.thresholds
        )
        self.write(recording_document(recording, self.events, self.classifier.card, fingerprint, began))
        self._sound = None  # a resampler that outlives Python complains on stderr
        if problem is not None:
            raise problem

    def _take(self, source: LiveSource, piece: Piece) -> None:
        rate = source.pcm.sample_rate
        if piece.is_new:
            self._begin_sound(source, len(piece.samples) / rate)
        if piece.lost:
            self._lost(piece.lost / rate)
        assert self._sound is not None  # noqa: S101 - the first piece is new
        self._heed(*self._sound.feed_block(piece.samples))

    def _begin_sound(self, source: LiveSource, seconds: float) -> None:
        now = time.monotonic() - seconds
        if self._began is None:
            self._began, self._began_at = datetime.now().astimezone() - timedelta(seconds=seconds), now
        else:
            self._warn(f"{source.name}: is back")
        self._offset = round(max(now - self._began_at, self._seconds()), 3) if self._sound is not None else 0.0
        rate = self.classifier.card.audio.sample_rate
        self._sound = LiveSound(source.pcm, rate)
        self._heard = Heard(rate) if self.clips is not None else None
        self._detector = LiveDetector(
            self.classifier,
            self.settings,
            self.class_ids,
            thresholds=self.thresholds,
            provisional=self.provisional,
            provisional_score=self.provisional_score,
            first_id=self._next_id,
        )
        self._name = source.name

    def _heed(self, samples: Samples, early: Samples | None) -> None:
        assert self._detector is not None  # noqa: S101 - a sound has begun
        if self._heard is not None:
            self._heard.add(samples)
        if self.display is not None:
            self.display.hear(samples if early is None else early, self._detector.latest)
        for found in self._detector.feed(samples, early):
            self._tell(found)
        self._next_id = self._detector.next_id

    def _end_sound(self) -> None:
        if self._detector is None or self._sound is None:
            return
        rest = self._sound.end()
        self._heed(rest, None if self._sound.is_direct else rest[:0])
        for found in self._detector.end(self._sound.seconds):
            self._tell(found)
        self._next_id = self._detector.next_id
        self._detector = None
        for text in self._sound.notes():
            self._note(self._name, text)

    def _tell(self, found: LiveEvent) -> None:
        document = live_document(self._name, found, self._began, self._offset)
        self.write(document)
        if self.display is not None:
            self.display.tell(document)
        if found.state == "final":
            self.events += 1
            if self.clips is not None and self._heard is not None:
                self._keep_clip(document)
        if self.runner is not None and found.state in self.run_on:
            self.runner.run(document)

    def _keep_clip(self, document: dict[str, Any]) -> None:
        assert self.clips is not None  # noqa: S101 - asked before
        assert self._heard is not None  # noqa: S101
        try:
            self.clips.write(self._heard, document, offset=self._offset)
        except OutputError as error:  # a full disk ends no listening, and is told once
            if not self.lost_clips:
                self.console.error(error)
            self.lost_clips += 1

    def _lost(self, seconds: float) -> None:
        self.lost_seconds += seconds
        now = time.monotonic()
        when, told = self._lost_told
        if not told or now - when > LOST_EVERY_SECONDS:
            self._lost_told = now, self.lost_seconds
            self._say(f"{self.lost_seconds:.1f} s of sound were lost so far: this machine is too slow, or too busy")

    def _seconds(self) -> float:
        return self._offset + (self._sound.seconds if self._sound is not None else 0.0)

    def _look_back(self, source: LiveSource) -> None:
        for text in source.notes:
            self._note(source.name, text)
        if self.lost_clips:
            self._note(source.name, f"{self.lost_clips} clip{'s' * (self.lost_clips != 1)} could not be written")
        if source.overruns:
            times = "once" if source.overruns == 1 else f"{source.overruns} times"
            text = f"{source.name}: the sound system lost some of the sound {times}"
            self._keep(_stamped(text))
            self.notes.append(text)

    def _note(self, name: str, text: str) -> None:
        """Something of a sound that is over, in the words of `detect`."""
        self._keep(text)
        self.notes.append(f"{name}: {text}")

    def _warn(self, text: str) -> None:
        self._keep(_stamped(text))
        self._say(text)

    def _keep(self, text: str) -> None:
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(text)

    def _say(self, text: str) -> None:
        if self.display is not None:
            self.display.note(text)
        else:
            self.console.warning(text)


def _stamped(text: str) -> str:
    return f"{datetime.now().astimezone().isoformat(timespec='seconds')}: {text}"


class Stop:
    """Whether a signal asked for the end; `reason` is what it would have raised."""

    def __init__(self) -> None:
        self.reason: KeyboardInterrupt | None = None

    def __call__(self) -> bool:
        """Whether it did."""
        return self.reason is not None

    def heed(self, number: int, _: object = None) -> None:
        """Take note of a signal; a second one does not wait."""
        again, self.reason = self.reason, KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
        if again is not None:
            raise self.reason


@contextmanager
def stopping() -> Iterator[Stop]:
    """While the block runs, Ctrl-C, SIGTERM and SIGHUP ask for the end and do not interrupt."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, stop.heed)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
