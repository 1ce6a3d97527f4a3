"""What the page of a recording says first: how many events, which most often, how loud, or why there is nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from escnn.analysis.recording.recording import RecordingAnalysis
from escnn.report.html import display_label, percent

# Sounds that go on and on: they are counted, and folded away at first.
BACKGROUNDS = frozenset({"rain", "wind", "sea waves", "crackling fire", "crickets", "insects"})
MANY_EVENTS, MANY_PER_MINUTE = 5_000, 60.0  # so many are more than anybody looks through
HANDFUL = 200  # that somebody does


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: a heading, a sentence that goes on from it, and more of them."""

    heading: str
    lead: str
    more: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Heading and lead in a line."""
        return f"{self.heading}; {self.lead}"


def is_background(label: str) -> bool:
    """Whether a class is folded away at first."""
    return display_label(label) in BACKGROUNDS


def by_count(counts: Mapping[int, int]) -> list[int]:
    """Class ids, the most frequent first."""
    return sorted(counts, key=lambda class_id: (-counts[class_id], class_id))


def duration(seconds: float) -> str:
    """How long something lasts, as people say it: "1 h 10 min", "4 min 5 s", "12 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}\u00a0s" if seconds < 10 else f"{whole}\u00a0s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}\u00a0min" + (f" {rest}\u00a0s" if rest and minutes < 10 else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}\u00a0h" + (f" {minutes}\u00a0min" if minutes else "")


def position(seconds: float, of_seconds: float, decimals: int = 0) -> str:
    """A moment of a recording of so many seconds: h:mm:ss where it is an hour or longer, else m:ss."""
    units = int(seconds * 10**decimals + 1e-6)  # cut off, as a clock does
    whole, part = divmod(units, 10**decimals)
    minutes, rest = divmod(whole, 60)
    text = f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if of_seconds >= 3600 else f"{minutes}:{rest:02}"
    return f"{text}.{part:0{decimals}}" if decimals else text


def counted(number: int, what: str) -> str:
    """ "1 event", "144 events", "20,000 events"."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def named(label: str) -> str:
    """A label within a sentence; one that is written from right to left leaves the sentence alone."""
    return f"\u2068{display_label(label)}\u2069"


def verdict(analysis: RecordingAnalysis, heard: int) -> Verdict:
    """The words for what was found; so many of the events can be heard on the page."""
    counts, long = analysis.found.counts, duration(analysis.seconds)
    total = sum(counts.values())
    if not total:
        return _nothing(analysis)
    more = [*_asked_for(analysis), *_audible(analysis, total, heard)]
    if len(counts) == 1:
        return _one_class(analysis, total, more)
    classes, events = counted(len(counts), "class"), counted(total, "event")
    heading = f"{classes}, {events} in {long}"
    lead = _lead(analysis)
    if total >= MANY_EVENTS or total / max(analysis.seconds / 60, 1) >= MANY_PER_MINUTE:
        more = [_too_many(analysis, total), *more]
    return Verdict(heading, lead, (*_backgrounds(analysis), *more))


def said(analysis: RecordingAnalysis) -> str:
    """What was found, in a line for a terminal."""
    return verdict(analysis, 0).sentence.translate({ord(mark): None for mark in "\u2068\u2069"})


def _lead(analysis: RecordingAnalysis) -> str:
    counts = analysis.found.counts
    labels = analysis.card.labels
    often = next((k for k in by_count(counts) if not is_background(labels[k])), by_count(counts)[0])
    loudest = _loudest(analysis)
    at = position(analysis.events[loudest].peak, analysis.seconds)
    return (
        f"most often {named(labels[often])} ({counts[often]:,}), "
        f"loudest {named(analysis.events[loudest].label)} at {at}."
    )


def _loudest(analysis: RecordingAnalysis) -> int:
    """The number of the loudest event; of those as loud, the surest; no background where there is anything else."""
    events = analysis.events
    numbers = [k for k, event in enumerate(events) if not is_background(event.label)] or range(len(events))
    return max(numbers, key=lambda k: (analysis.levels[k], events[k].score))


def _nothing(analysis: RecordingAnalysis) -> Verdict:
    found = analysis.found
    least = found.settings.onset_score
    lead = f"in {duration(analysis.seconds)} no class reached a score of {percent(least)}."
    more = list(_asked_for(analysis))
    if found.highest is not None and not found.class_ids and found.highest.score >= 0.05:
        high = found.highest
        label, at = named(analysis.card.labels[high.class_id]), position(high.seconds, analysis.seconds)
        more.append(f"Closest came {label} with {percent(high.score)} at {at}.")
        if high.score < least:
            more.append(f"escnn detect --min-score {max(0.01, int(100 * high.score) / 100):g} looks further down.")
    return Verdict("Nothing found", lead, tuple(more))


def _one_class(analysis: RecordingAnalysis, total: int, more: Sequence[str]) -> Verdict:
    events, long = analysis.events, duration(analysis.seconds)
    label = display_label(events[0].label)
    surest = max(events, key=lambda event: event.score)
    at = position(surest.peak, analysis.seconds)
    if total == 1:
        return Verdict(
            f"\u2068{label}\u2069, once", f"at {at}, with a score of {percent(surest.score)}; nothing else in {long}."
        )
    loudest = position(events[_loudest(analysis)].peak, analysis.seconds)
    lead = f"and no other class in {long}; surest at {at}, loudest at {loudest}."
    if total >= MANY_EVENTS:
        more = [_too_many(analysis, total), *more]
    return Verdict(f"\u2068{label}\u2069, {total:,} times", lead, tuple(more))


def _too_many(analysis: RecordingAnalysis, total: int) -> str:
    every = analysis.seconds / total
    apart = f"{every:.1f} seconds" if every < 10 else duration(every)
    scores = sorted((event.score for event in analysis.events), reverse=True)
    return (
        f"That is one every {apart}, more than anybody listens to: raise the score below. "
        f"The {HANDFUL} surest have {percent(scores[HANDFUL - 1])} or more."
        if len(scores) > HANDFUL
        else f"That is one every {apart}."
    )


def _backgrounds(analysis: RecordingAnalysis) -> list[str]:
    counts, labels = analysis.found.counts, analysis.card.labels
    found = [f"{named(labels[k])} ({counts[k]:,})" for k in by_count(counts) if is_background(labels[k])]
    if not found or len(found) == len(counts):
        return []
    return [f"Backgrounds, folded away at first: {', '.join(found)}."]


def _asked_for(analysis: RecordingAnalysis) -> list[str]:
    if not analysis.found.class_ids:
        return []
    asked = ", ".join(named(analysis.card.labels[class_id]) for class_id in analysis.found.class_ids)
    return [f"Asked for: {asked}."]


def _audible(analysis: RecordingAnalysis, total: int, heard: int) -> list[str]:
    left_out = total - len(analysis.events)
    if heard == total:
        return []
    said = [f"{heard:,} can be heard on this page, the surest of every class; the others are listed with their times."]
    if left_out:
        said.append(f"Only the surest {len(analysis.events):,} are listed.")
    return said
