"""Which files an analysed sound leaves: pictures, prediction and page; of several sounds a folder each and an index."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from escnn import files, names
from escnn.analysis.analysis import Analysis, analyze
from escnn.analysis.recording.recording import (
    LONGEST_SOUND_SECONDS,
    RecordingAnalysis,
    analyze_recording,
    lasts_longer,
)
from escnn.audio.decoding import Source
from escnn.audio.log_mel import mel_frequencies
from escnn.detection.clock import start_time
from escnn.errors import AudioError
from escnn.inference.classifier import Classifier, OnProgress, Progress
from escnn.inference.prediction import Failure, Prediction
from escnn.report.html import display_label, moment
from escnn.report.index.page import IndexEntry, RecordingEntry, index_page
from escnn.report.pictures import images, spectrogram
from escnn.report.pictures.layer_sheet import layer_sheet
from escnn.report.recording.folder import save_recording, save_surest_event
from escnn.report.recording.words import by_count
from escnn.report.sound.layers import DrawnLayer
from escnn.report.sound.page import filter_sounds, is_recording, sound_page, title

TILE_COLUMNS = 400  # of the long-term spectrogram of a recording, in the page of all


def save_sound(
    analysis: Analysis,
    layers: Sequence[DrawnLayer],
    out: Path,
    *,
    top_k: int = 5,
    channels: int = 8,
    command: Sequence[str] = (),
) -> Path:
    """Write PNGs, ``prediction.json`` and ``report.html`` into the folder `out`; gives the path of the page.

    Args:
        analysis: of the sound.
        layers: to show, from `draw_layers`.
        out: the folder, made if it is not there.
        top_k: classes to name.
        channels: of every layer's strongest, on its sheet.
        command: as typed.
    """
    audio, detail = analysis.card.audio, analysis.detail
    name = title(analysis.prediction.name)
    if is_recording(analysis):
        end_seconds = analysis.start_seconds + audio.clip_seconds
        name += f", from {moment(analysis.start_seconds)} to {moment(end_seconds)}"
    best = display_label(analysis.card.labels[detail.class_ids[0]])
    frequencies, hop_seconds = mel_frequencies(audio), audio.hop_length / audio.sample_rate

    def save(path: str, picture: Image.Image) -> None:
        files.write_bytes(out / f"{path}.png", images.png_bytes(picture))

    def save_sheet(layer: DrawnLayer) -> None:
        maps, colors = analysis.feature_maps[layer.name], layer.mean.colors
        save(f"feature-maps/{layer.name}", layer_sheet(layer.name, maps, audio.clip_seconds, channels, colors))

    with ThreadPoolExecutor(max_workers=2) as pool:  # encoders of pictures and sounds run without Python's lock
        filtered = filter_sounds(analysis, pool)
        saving = [pool.submit(save_sheet, layer) for layer in layers]
        save("waveform", spectrogram.waveform(detail.samples, audio.sample_rate, name))
        save("spectrogram", spectrogram.spectrogram(detail.log_mel, frequencies, hop_seconds, name))
        if detail.saliency is not None:
            evidence = f"{name}: evidence for {best}"
            first = detail.saliency[0]
            save("evidence", spectrogram.saliency(detail.log_mel, first, frequencies, hop_seconds, evidence))
        page = sound_page(analysis, layers, top_k=top_k, command=command, filtered=filtered)
        for saved in saving:
            saved.result()
    for layer in layers:
        for drawn in (layer.mean, *layer.channels):  # mean-over-channels.png, channel-12.png: a pixel a value
            native = out / "feature-maps" / "native" / layer.name / f"{drawn.caption.replace(' ', '-')}.png"
            files.write_bytes(native, drawn.png)
    files.write_json(out / "prediction.json", analysis.prediction.to_json(top_k=top_k))
    files.write_text(out / "report.html", page)
    return out / "report.html"


def save_sounds(
    classifier: Classifier,
    sources: Iterable[tuple[Source, str]],
    out: Path,
    *,
    classes: Sequence[str] = (),
    top_k: int = 5,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Iterator[Prediction | RecordingAnalysis | Failure]:
    """Write a folder for every sound into `out`, and at the end ``index.html``, which compares them.

    Args:
        classifier: names them.
        sources: sounds as (source, name).
        out: a folder that is there.
        classes: labels to show the evidence for, beside the best.
        top_k: classes to name.
        on_progress: called after each batch of windows.
        options: of `Analysis.save`.

    Yields:
        The prediction of each sound, or, of a recording, what was found in it, once its folder is written; or why it
        could not be read.
    """
    entries: list[IndexEntry | RecordingEntry] = []
    failures: list[Failure] = []
    # Not written through, even where `out` may hold something: a link leads elsewhere, a file is somebody's.
    taken = {"index.html", *(names.same_name(entry.name) for entry in out.iterdir() if not _is_own_folder(entry))}
    for number, (source, name) in enumerate(sources):

        def advance(progress: Progress, number: int = number) -> None:
            if on_progress:
                on_progress(dataclasses.replace(progress, sounds=number))

        try:
            analysis = analyze_either(source, classifier, name, classes=classes, top_k=top_k, on_progress=advance)
        except AudioError as error:
            failures.append(Failure(name, error, classifier.card))
            yield failures[-1]
            continue
        folder = names.folder_name(Path(title(name)).stem, taken)
        taken.add(names.same_name(folder))
        save_either(analysis, out / folder, classifier, classes=classes, top_k=top_k, index="../index.html", **options)
        entries.append(_entry(analysis, f"{folder}/report.html"))
        yield analysis.prediction if isinstance(analysis, Analysis) else analysis
    command = options.get("command", ())
    versions = classifier.runtime.versions
    page = index_page(entries, failures, classifier.card, versions, top_k=top_k, command=command)
    files.write_text(out / "index.html", page)


def analyze_either(
    source: Source, classifier: Classifier, name: str, *, on_progress: OnProgress | None = None, **asked: Any
) -> Analysis | RecordingAnalysis:
    """A sound of up to `LONGEST_SOUND_SECONDS` with what was `asked` for, see `analyze`; a longer one as a recording.

    Raises:
        AudioError: there is no sound to be had from it.
    """
    if lasts_longer(source, LONGEST_SOUND_SECONDS, name):
        return analyze_recording(source, classifier, name=name, start=start_time(name), on_progress=on_progress)
    return analyze(source, classifier, name=name, on_progress=on_progress, **asked)


def save_either(
    analysis: Analysis | RecordingAnalysis,
    folder: Path,
    classifier: Classifier,
    *,
    classes: Sequence[str] = (),
    top_k: int = 5,
    index: str = "",
    **options: Any,
) -> Path:
    """Write the page, and the pictures: of a recording, those of its surest event. Gives the path of the page, which
    links to the `index` if it is of a recording.
    """
    if isinstance(analysis, Analysis):
        return analysis.save(folder, top_k=top_k, **options)
    page = save_recording(analysis, folder, command=options.get("command", ()), index=index)
    save_surest_event(analysis, folder, classifier, classes=classes, top_k=top_k, **options)
    return page


def _entry(analysis: Analysis | RecordingAnalysis, page: str) -> IndexEntry | RecordingEntry:
    if isinstance(analysis, Analysis):
        return IndexEntry(analysis.prediction, page, _small(analysis.detail.log_mel))
    found, labels = analysis.found, analysis.card.labels
    counts = tuple((labels[class_id], found.counts[class_id]) for class_id in by_count(found.counts))
    picture = _small(_narrow(analysis.long_term.decibels))
    return RecordingEntry(analysis.name, analysis.seconds, counts, found.warnings, page, picture)


def _small(decibels: NDArray[np.float32]) -> bytes:
    picture = images.feature_map(decibels, images.decibel_limits(decibels), images.SPECTROGRAM_COLORS)
    return images.png_bytes(picture)


def _narrow(decibels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest of neighbouring columns of (mels, columns), so that no more than `TILE_COLUMNS` are left."""
    step = -(-decibels.shape[1] // TILE_COLUMNS)
    narrow: NDArray[np.float32] = np.maximum.reduceat(decibels, np.arange(0, decibels.shape[1], step), axis=1)
    return narrow


def _is_own_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink()
