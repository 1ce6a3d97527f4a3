"""Show what the network hears: of one sound its pictures, feature maps and a page; of several, a page that compares."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import matplotlib
from PIL import Image

from escnn import checkpoint, files, images, plots, report
from escnn.audio import SoundSource
from escnn.errors import AudioError, UsageError
from escnn.listening import Seen, listen
from escnn.model import reaches
from escnn.prediction import Classifier, Failure, Prediction, describe_model, to_document
from escnn.report.html import spoken
from escnn.report.index import IndexClip, IndexFailure, IndexPage, render_index
from escnn.sound_page import Choices, filter_sounds, sound_page, title


def check_colormap(name: str | None) -> None:
    """Raise `UsageError` unless `name` is None or a colour map of matplotlib."""
    if name is not None and name not in matplotlib.colormaps:
        hint = _closest(name, matplotlib.colormaps) or "such as magma"
        raise UsageError(f"--colormap: matplotlib has no {name!r}", hint=hint)


def find_classes(classifier: Classifier, wanted: Sequence[str]) -> list[int]:
    """The ids of classes, named by their labels; a space will do for an underscore.

    Raises:
        UsageError: the model has no such class.
    """
    ids = {spoken(label): number for number, label in enumerate(classifier.card.labels)}
    for name in wanted:
        if spoken(name) not in ids:
            hint = _closest(spoken(name), ids) or f"it has {', '.join(list(ids)[:8])} and {max(0, len(ids) - 8)} more"
            raise UsageError(f"--class: the model has no class {name!r}", hint=hint)
    return [ids[spoken(name)] for name in wanted]


def choose_layers(classifier: Classifier, wanted: Sequence[str] | None) -> list[str]:
    """The layers to draw, in the network's order: all, or those in `wanted`.

    Raises:
        UsageError: the network has no such layer.
    """
    there = list(reaches(classifier.card.model))
    for name in wanted or ():
        if name not in there:
            hint = _closest(name, there) or f"there are {', '.join(there)}"
            raise UsageError(f"--layers: the network has no layer {name!r}", hint=hint)
    return [name for name in there if wanted is None or name in wanted]


def write(seen: Seen, classifier: Classifier, out: Path, choices: Choices) -> Path:
    """Write PNGs, ``prediction.json`` and ``report.html`` into the folder `out`; gives the path of the page."""
    config, window = classifier.card.audio, seen.window
    name = title(seen.prediction.name)
    if seen.prediction.windows > 1:
        name += f", from {seen.start_seconds:.1f} s to {seen.start_seconds + config.clip_seconds:.1f} s"
    hop_seconds, frequencies = config.hop_length / config.sample_rate, classifier.log_mel.mel_frequencies()
    best = spoken(classifier.card.labels[window.explained[0]])

    def save(path: str, picture: Image.Image) -> None:
        files.write_bytes(out / f"{path}.png", images.png_bytes(picture))

    def save_layer(layer: str) -> None:
        maps, seconds = seen.maps[layer], config.clip_seconds
        save(f"feature-maps/{layer}", images.layer(layer, maps, seconds, choices.channels, choices.colormap))

    with ThreadPoolExecutor(max_workers=2) as pool:  # encoders of pictures and sounds run without Python's lock
        filtered = filter_sounds(seen, classifier, pool)
        saving = [pool.submit(save_layer, layer) for layer in choices.layers]
        marked = window.evidence[0]
        save("waveform", plots.waveform(window.samples, config.sample_rate, name))
        save("spectrogram", plots.spectrogram(window.decibels, frequencies, hop_seconds, name))
        spoke = f"{name}: what spoke for {best}"
        save("evidence", plots.evidence(window.decibels, marked, frequencies, hop_seconds, spoke))
        page = sound_page(seen, classifier, choices, filtered)
        for saved in saving:
            saved.result()
    for view in (layer for stage in page.layers for layer in (stage, *stage.inner)):
        for drawn in (view.mean, *view.channels):  # mean-over-channels.png, channel-12.png: a pixel a value
            native = out / "feature-maps" / "native" / view.name / f"{drawn.caption.replace(' ', '-')}.png"
            files.write_bytes(native, drawn.png)
    document = to_document(seen.prediction, describe_model(classifier), top_k=choices.top_k)
    files.write_json(out / "prediction.json", document)
    files.write_text(out / "report.html", report.render(page))
    return out / "report.html"


def write_several(
    classifier: Classifier, sources: Iterable[tuple[SoundSource, str]], out: Path, choices: Choices
) -> Iterator[Prediction | Failure]:
    """Write a folder for every sound into `out`, and at the end ``index.html``, which compares them.

    Args:
        classifier: the one to listen.
        sources: sounds as (source, name).
        out: a folder that is there.
        choices: what to show of each.

    Yields:
        The prediction of each sound, once its folder is written, or why it could not be read.
    """
    clips: list[IndexClip] = []
    failures: list[IndexFailure] = []
    # Not written through, even with --force: a link leads elsewhere, a file is somebody's.
    taken = {"index.html", *(files.same_name(entry.name) for entry in out.iterdir() if not _is_own_folder(entry))}
    for source, name in sources:
        try:
            seen = listen(classifier, source, name, explained=choices.explained, asked=choices.asked)
        except AudioError as error:
            failures.append(IndexFailure(title(name), error.message, error.hint))
            yield Failure(name, error)
            continue
        folder = files.folder_name(Path(title(name)).stem, taken)
        taken.add(files.same_name(folder))
        (out / folder).mkdir(exist_ok=True)
        write(seen, classifier, out / folder, choices)
        clips.append(_index_clip(seen, folder, choices))
        yield seen.prediction
    page = IndexPage(
        clips=clips,
        failures=failures,
        model_name=classifier.card.name,
        model_sha256=classifier.sha256,
        versions=list(checkpoint.versions().items()),
        command=shlex.join(["escnn", *choices.command]),
        created=datetime.now(UTC).replace(microsecond=0),
    )
    files.write_text(out / "index.html", render_index(page))


def _index_clip(seen: Seen, folder: str, choices: Choices) -> IndexClip:
    decibels = seen.window.decibels
    picture = images.feature_map(decibels, images.decibel_limits(decibels), images.SPECTROGRAM_COLORS)
    return IndexClip(
        name=title(seen.prediction.name),
        page=f"{folder}/report.html",
        scores=[report.ClassScore(label, score) for label, _, score in seen.prediction.top(choices.top_k)],
        spectrogram_png=images.png_bytes(picture),
        seconds=seen.prediction.seconds,
        warnings=seen.prediction.warnings,
    )


def _is_own_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink()


def _closest(name: str, there: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name, list(there), n=1)
    return f"did you mean {close[0]}?" if close else None
