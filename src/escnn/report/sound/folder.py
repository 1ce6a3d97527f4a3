"""Which files an analysed sound leaves: pictures, prediction and page; of several sounds a folder each and an index."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from escnn import files, names
from escnn.analysis.analysis import Analysis, analyze
from escnn.audio.decoding import Source
from escnn.audio.log_mel import mel_frequencies
from escnn.errors import AudioError
from escnn.inference.classifier import Classifier, OnProgress, Progress
from escnn.inference.prediction import Failure, Prediction
from escnn.report.html import display_label, moment
from escnn.report.index.page import IndexEntry, index_page
from escnn.report.pictures import images, spectrogram
from escnn.report.pictures.layer_sheet import layer_sheet
from escnn.report.sound.layers import DrawnLayer
from escnn.report.sound.page import filter_sounds, is_recording, sound_page, title


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
) -> Iterator[Prediction | Failure]:
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
        The prediction of each sound, once its folder is written, or why it could not be read.
    """
    entries: list[IndexEntry] = []
    failures: list[Failure] = []
    # Not written through, even where `out` may hold something: a link leads elsewhere, a file is somebody's.
    taken = {"index.html", *(names.same_name(entry.name) for entry in out.iterdir() if not _is_own_folder(entry))}
    for number, (source, name) in enumerate(sources):

        def advance(progress: Progress, number: int = number) -> None:
            if on_progress:
                on_progress(dataclasses.replace(progress, sounds=number))

        try:
            analysis = analyze(source, classifier, name=name, classes=classes, top_k=top_k, on_progress=advance)
        except AudioError as error:
            failures.append(Failure(name, error, classifier.card))
            yield failures[-1]
            continue
        folder = names.folder_name(Path(title(name)).stem, taken)
        taken.add(names.same_name(folder))
        analysis.save(out / folder, top_k=top_k, **options)
        log_mel = analysis.detail.log_mel
        picture = images.feature_map(log_mel, images.decibel_limits(log_mel), images.SPECTROGRAM_COLORS)
        entries.append(IndexEntry(analysis.prediction, f"{folder}/report.html", images.png_bytes(picture)))
        yield analysis.prediction
    command = options.get("command", ())
    versions = classifier.runtime.versions
    page = index_page(entries, failures, classifier.card, versions, top_k=top_k, command=command)
    files.write_text(out / "index.html", page)


def _is_own_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink()
