"""The page about a whole fold or a whole cross-validation: one HTML file, offline, with script or without.

`render_evaluation` fills `evaluation.html.j2` with an `EvaluationPage` of plain values. Whatever follows from the clips
is counted here, so that no two numbers on the page can contradict each other.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from escnn.report.html import percent, render_page, spoken

LEVELS = 8  # shades of a cell of the confusion matrix
MOST_WRONG = 20  # clips in the list of the most confidently wrong
MOST_CONFUSED = 6  # pairs beside the verdict
Z95 = 1.959963984540054  # 97.5 % of a normal distribution lie below: two-sided 95 %
ABOUT_RIGHT = 0.02  # mean score and accuracy this close are called equal, however many clips there are
UNEVEN = 0.1  # calibration error from which equal means are not enough
LARGEST_DOT, SMALLEST_DOT = 16.0, 3.0  # pixels: radius of the fullest bin, and the least of any


@dataclass(frozen=True, slots=True)
class EvaluatedClip:
    """A clip and its answer. `true` and `predicted` are class ids; both scores are 0 to 1."""

    name: str
    true: int
    predicted: int
    score: float  # of the predicted class
    true_score: float  # of the true class; the same where both are one
    fold: int
    mp3: bytes | None = None  # its sound, to listen to


@dataclass(frozen=True, slots=True)
class FoldScore:
    """The model that held out this fold, measured on it; all but `fold` and `clips` are 0 to 1."""

    fold: int
    clips: int
    accuracy: float
    top5: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The clips whose score fell into one of equally wide bins: bin k of n holds k / n to (k + 1) / n."""

    mean_score: float  # 0 to 1; of no meaning without clips
    share_right: float  # 0 to 1; likewise
    count: int


@dataclass(frozen=True, slots=True)
class EpochScore:
    """One epoch of the training. Accuracies are 0 to 1; None: not looked at."""

    epoch: int  # from 1
    loss: float  # nats
    train_accuracy: float  # on altered and mixed clips
    held_out_accuracy: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """What was measured: one model, or one a fold, of which then nothing is told that only one of them has."""

    name: str
    parameters: int
    measured: str  # a sentence: on which clips, trained on which
    sha256: str | None = None
    trained_on_folds: Sequence[int] = ()
    epochs: int | None = None
    seed: int | None = None
    seconds: float | None = None  # how long the training took


@dataclass(frozen=True, slots=True)
class EvaluatedData:
    """The data set and the folds of it that were held out."""

    name: str
    sha256: str
    folds: Sequence[int]


@dataclass(frozen=True, slots=True)
class EvaluationPage:
    """Everything on the page; accuracy, confusion and all that is per class follow from `clips`.

    `labels` are indexed by the class ids of the clips, of which there is at least one; `bins` lie in order from score 0
    to score 1; `folds` and `curves` are empty where there is nothing to say.
    """

    title: str  # what was evaluated, such as "ESC-50, fold 5"
    labels: Sequence[str]
    clips: Sequence[EvaluatedClip]
    top5: float  # 0 to 1
    log_loss: float  # nats
    bins: Sequence[CalibrationBin]
    data: EvaluatedData
    model: EvaluatedModel
    versions: Sequence[tuple[str, str]]
    command: str
    created: datetime
    folds: Sequence[FoldScore] = ()
    curves: Sequence[EpochScore] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the confusion matrix that is not empty: `clips` are indices, the surest answer first."""

    true: int
    predicted: int
    clips: Sequence[int]
    of: int  # clips in its row

    @property
    def right(self) -> bool:
        """Whether it lies on the diagonal."""
        return self.true == self.predicted

    @property
    def share(self) -> float:
        """Share of its row, above 0 to 1."""
        return len(self.clips) / self.of

    @property
    def level(self) -> int:
        """The share as a shade, 1 to `LEVELS`."""
        return math.ceil(LEVELS * self.share - 1e-9)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How a class fared, 0 to 1; None: there is nothing to divide by."""

    id: int
    precision: float | None
    recall: float | None
    f1: float | None
    clips: int
    predicted: int
    rival: Cell | None  # where most of its missed clips went


@dataclass(frozen=True, slots=True)
class Line:
    """A curve over the epochs; places are shares of the plot, x to the right, y upwards."""

    key: str
    name: str
    points: Sequence[tuple[float, float]]
    last: float

    @property
    def path(self) -> str:
        """As points of an SVG polyline in a box of 1000 x 1000, y downwards."""
        return " ".join(f"{1000 * x:.1f},{1000 * (1 - y):.1f}" for x, y in self.points)


@dataclass(frozen=True, slots=True)
class Curves:
    """The training as two plots with one axis of epochs; a tick is a label and its place."""

    accuracy: Sequence[Line]
    loss: Line
    loss_top: float
    loss_ticks: Sequence[tuple[str, float]]
    epoch_ticks: Sequence[tuple[str, float]]
    description: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A bin of the reliability diagram that holds clips: its edges and the `height` of its count, 0 to 1."""

    bin: CalibrationBin
    low: float  # where the bin begins
    high: float
    height: float
    radius: float  # pixels


def render_evaluation(page: EvaluationPage) -> str:
    """The page as HTML that can be encoded as UTF-8. Equal pages give equal text: only `created` tells runs apart."""
    cells = confusion_cells(page.clips)
    wrong = most_confidently_wrong(page.clips)
    right = sum(clip.true == clip.predicted for clip in page.clips)
    rows = class_rows(len(page.labels), cells)
    return render_page(
        "evaluation.html.j2",
        styles=["style.css", "evaluation.css"],
        scripts=["evaluation.js"],
        page=page,
        right=right,
        accuracy=right / len(page.clips),
        interval=wilson_interval(right, len(page.clips)),
        macro_f1=macro_f1(rows),
        words=in_words(page.labels, cells, rows),
        cells={(cell.true, cell.predicted): cell for cell in cells},
        confused=[cell for cell in cells if not cell.right],
        named_right=sorted((cell for cell in cells if cell.right), key=lambda cell: cell.true),
        rows=rows,
        order=side_by_side(len(page.labels), cells),
        density=_density(len(page.labels)),
        most_confused=MOST_CONFUSED,
        wrong=wrong,
        place_of={clip: place for place, clip in enumerate(wrong, 1)},
        spread=fold_spread(page.folds),
        curves=training_curves(page.curves) if page.curves else None,
        dots=reliability_dots(page.bins),
        calibration_error=calibration_error(page.bins),
        calibration=calibration_in_words(page.bins),
        levels=LEVELS,
        duration=duration,
        chance_loss=math.log(len(page.labels)),
    )


def wilson_interval(right: int, clips: int) -> tuple[float, float]:
    """The shares that go with `right` of `clips` at 95 % confidence (E. B. Wilson, 1927)."""
    share, square = right / clips, Z95**2 / clips
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def confusion_cells(clips: Sequence[EvaluatedClip]) -> list[Cell]:
    """The cells that hold clips, the fullest first, then in the order of the classes."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    totals: dict[int, int] = defaultdict(int)
    for index, clip in enumerate(clips):
        found[clip.true, clip.predicted].append(index)
        totals[clip.true] += 1
    cells = [
        Cell(true, predicted, sorted(inside, key=lambda index: -clips[index].score), totals[true])
        for (true, predicted), inside in found.items()
    ]
    return sorted(cells, key=lambda cell: (-len(cell.clips), cell.true, cell.predicted))


def class_rows(classes: int, cells: Sequence[Cell]) -> list[ClassRow]:
    """A row a class, the lowest recall first, those without clips last."""
    clips, predicted, hits = [0] * classes, [0] * classes, [0] * classes
    rivals: dict[int, Cell] = {}
    for cell in cells:  # the fullest first
        clips[cell.true] += len(cell.clips)
        predicted[cell.predicted] += len(cell.clips)
        if cell.right:
            hits[cell.true] = len(cell.clips)
        else:
            rivals.setdefault(cell.true, cell)
    rows = [
        ClassRow(
            id=index,
            precision=hits[index] / predicted[index] if predicted[index] else None,
            recall=hits[index] / clips[index] if clips[index] else None,
            f1=2 * hits[index] / (clips[index] + predicted[index]) if clips[index] else None,
            clips=clips[index],
            predicted=predicted[index],
            rival=rivals.get(index),
        )
        for index in range(classes)
    ]
    return sorted(rows, key=lambda row: (2.0 if row.recall is None else row.recall, row.id))


def macro_f1(rows: Sequence[ClassRow]) -> float:
    """Mean F1 of the classes that have clips."""
    return statistics.fmean(row.f1 for row in rows if row.f1 is not None)


def most_confidently_wrong(clips: Sequence[EvaluatedClip]) -> list[int]:
    """Indices of the wrong answers with the highest scores, highest first."""
    wrong = [index for index, clip in enumerate(clips) if clip.true != clip.predicted]
    return sorted(wrong, key=lambda index: -clips[index].score)[:MOST_WRONG]


def side_by_side(classes: int, cells: Sequence[Cell]) -> list[int]:
    """Class ids so ordered that classes often taken for each other are neighbours.

    Average linkage on the mean of both shares: the two closest groups are joined, facing each other with the ends that
    are most alike, until no two groups were ever confused. The largest groups come first.
    """
    alike: NDArray[np.float64] = np.zeros((classes, classes))
    for cell in cells:
        if not cell.right:
            alike[cell.true, cell.predicted] += cell.share / 2
            alike[cell.predicted, cell.true] += cell.share / 2
    linkage = alike.copy()
    groups = [[index] for index in range(classes)]
    while classes and linkage.max() > 0:
        one, other = map(int, np.unravel_index(linkage.argmax(), linkage.shape))
        sizes = len(groups[one]), len(groups[other])
        joined = (sizes[0] * linkage[one] + sizes[1] * linkage[other]) / sum(sizes)
        linkage[one], linkage[:, one] = joined, joined
        linkage[other], linkage[:, other], linkage[one, one] = 0, 0, 0
        groups[one], groups[other] = _face_to_face(groups[one], groups[other], alike), []
    return [index for group in sorted(groups, key=lambda group: -len(group)) for index in group]


def _face_to_face(one: list[int], other: list[int], alike: NDArray[np.float64]) -> list[int]:
    ways = [(left, right) for left in (one, one[::-1]) for right in (other, other[::-1])]
    left, right = max(ways, key=lambda way: alike[way[0][-1], way[1][0]])
    return left + right


def in_words(labels: Sequence[str], cells: Sequence[Cell], rows: Sequence[ClassRow]) -> str:
    """What it gets right and wrong, in a sentence or two; labels stand between Unicode isolates."""
    heard = [row for row in rows if row.clips]
    perfect = sum(row.recall == 1 for row in heard)
    worst = heard[0]
    if perfect == len(heard):
        return "It names every one of them right."
    flawless = (
        f"It names every clip of {perfect} of the {len(heard)} classes right."
        if perfect
        else f"None of the {len(heard)} classes is without a mistake."
    )
    hits = round((worst.recall or 0) * worst.clips)
    hardest = f"Hardest is {_isolated(labels[worst.id])}: {hits} of {worst.clips} right."
    pair = next(cell for cell in cells if not cell.right)
    often = (
        f"Its most frequent mistake: {_isolated(labels[pair.true])} taken for {_isolated(labels[pair.predicted])}, "
        f"{len(pair.clips)} of {pair.of} clips."
    )
    return f"{flawless} {hardest} {often}"


def _isolated(label: str) -> str:
    return f"\u2068{spoken(label)}\u2069"


def fold_spread(folds: Sequence[FoldScore]) -> dict[str, tuple[float, float]] | None:
    """Mean and standard deviation (n - 1) of each figure over the folds; None for fewer than two."""
    if len(folds) < 2:
        return None
    figures = {name: [getattr(fold, name) for fold in folds] for name in ("accuracy", "top5", "macro_f1")}
    return {name: (statistics.fmean(values), statistics.stdev(values)) for name, values in figures.items()}


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error (C. Guo et al., 2017): mean gap between score and share right, by clips."""
    clips = sum(part.count for part in bins)
    return sum(part.count * abs(part.mean_score - part.share_right) for part in bins) / clips


def calibration_in_words(bins: Sequence[CalibrationBin]) -> tuple[str, str]:
    """Whether it is too sure or too modest: a few words, and a sentence with the numbers behind them.

    What chance may do to the share right counts as equal.
    """
    clips = sum(part.count for part in bins)
    score = sum(part.count * part.mean_score for part in bins) / clips
    right = sum(part.count * part.share_right for part in bins) / clips
    chance = Z95 * math.sqrt(right * (1 - right) / clips)
    numbers = f"its answers score {percent(score)} on average, and {percent(right)} of them are right"
    if abs(score - right) > max(ABOUT_RIGHT, chance):
        if score > right:
            return "It is too sure of itself:", f"{numbers}."
        return "It is too modest:", f"{numbers}."
    if calibration_error(bins) > UNEVEN:
        return (
            "Right on average, but not in each bin:",
            f"{numbers}, yet some scores promise too much and some too little.",
        )
    return "Its scores are about right:", f"{numbers}."


def reliability_dots(bins: Sequence[CalibrationBin]) -> list[Dot]:
    """What the reliability diagram draws; the area of a dot is its share of the fullest bin's clips."""
    most = max(part.count for part in bins)
    return [
        Dot(
            part,
            low=place / len(bins),
            high=(place + 1) / len(bins),
            height=part.count / most,
            radius=max(LARGEST_DOT * math.sqrt(part.count / most), SMALLEST_DOT),
        )
        for place, part in enumerate(bins)
        if part.count
    ]


def training_curves(rows: Sequence[EpochScore]) -> Curves:
    """The training as lines within their plots."""
    first, last = rows[0].epoch, rows[-1].epoch
    loss_top, loss_ticks = axis_from_zero(max(row.loss for row in rows if math.isfinite(row.loss)))

    def place(epoch: int) -> float:
        return (epoch - first) / (last - first) if last > first else 0.5

    def line(key: str, name: str, values: Sequence[float | None], top: float) -> Line | None:
        seen = [(row.epoch, value) for row, value in zip(rows, values, strict=True) if value is not None]
        seen = [(epoch, value) for epoch, value in seen if math.isfinite(value)]
        return Line(key, name, [(place(epoch), value / top) for epoch, value in seen], seen[-1][1]) if seen else None

    accuracy = [
        line("held", "held-out fold", [row.held_out_accuracy for row in rows], 1),
        line("valid", "validation fold", [row.validation_accuracy for row in rows], 1),
        line("learnt", "clips it learns from", [row.train_accuracy for row in rows], 1),
    ]
    loss = line("loss", "loss", [row.loss for row in rows], loss_top)
    if loss is None:
        raise ValueError("no epoch has a finite loss")
    drawn = [each for each in accuracy if each]
    ends = ", ".join(f"{each.name} {percent(each.last)}" for each in drawn)
    return Curves(
        accuracy=drawn,
        loss=loss,
        loss_top=loss_top,
        loss_ticks=loss_ticks,
        epoch_ticks=[(str(epoch), place(epoch)) for epoch in _epochs_to_label(first, last)],
        description=f"Accuracy over epochs {first} to {last}. At the end: {ends}.",
    )


def axis_from_zero(highest: float) -> tuple[float, list[tuple[str, float]]]:
    """The top of an axis that begins at 0 and holds `highest`, and three to seven round ticks with their places."""
    if highest <= 0:
        return 1.0, [("0", 0.0), ("1", 1.0)]
    size = 10.0 ** math.floor(math.log10(highest))
    step = next(part * size for part in (0.2, 0.5, 1.0, 2.0) if highest <= 5 * part * size)
    count = math.ceil(highest / step - 1e-9)
    return count * step, [(f"{k * step:g}", k / count) for k in range(count + 1)]


def _epochs_to_label(first: int, last: int) -> list[int]:
    """The first, the last and round ones between that keep clear of both."""
    span = last - first
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if span / step <= 7)
    between = range(math.ceil(first / step) * step, last, step)
    inner = [epoch for epoch in between if epoch - first >= 0.6 * step and last - epoch >= 0.6 * step]
    return sorted({first, *inner, last})


def duration(seconds: float) -> str:
    """A length of time as one says it: 4320 is "1 h 12 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min" if minutes >= 60 else f"{minutes}\u00a0min"


def _density(classes: int) -> str:
    """How large the cells of the matrix can be, as the name of a CSS class."""
    return next((name for name, most in (("few", 8), ("some", 20)) if classes <= most), "many")
