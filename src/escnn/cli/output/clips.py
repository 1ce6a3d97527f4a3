"""The clips that `escnn detect` cuts out, and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from escnn import files
from escnn.detection.output import clips
from escnn.detection.output.clips import Clip, ClipFolder
from escnn.errors import UsageError
from escnn.inference.classifier import Classifier


def check_clips(
    folder: Path | None,
    names: Sequence[str],
    listed: Iterable[str | Path],
    *,
    pictures: bool,
    force: bool,
    resume: bool,
) -> None:
    """Refuse, before any work is done, a folder that would be read, or that holds what is not ours.

    Raises:
        UsageError: pictures are asked for without clips, or the folder is among those that sounds are read from.
        OutputError: it holds something already, or cannot be written.
    """
    if folder is None:
        if pictures:
            raise UsageError("--spectrograms draws what --clips cuts out", hint="add --clips DIR")
        return
    place = folder.resolve()
    with suppress(OSError):  # names that are too long: opening them will say it
        folders = [Path(name).resolve() for name in names if Path(name).is_dir()]
        of_sounds = {Path(sound).resolve().parent for sound in listed}
        if place in of_sounds or any(place.is_relative_to(read) for read in folders):
            raise UsageError(f"--clips {folder}: sounds are read from there", hint="choose another folder")
    files.check_output_folder(folder, force=force or (resume and clips.is_ours(folder)), option="--clips")


def open_clips(
    folder: Path | None, before: Sequence[dict[str, Any]], classifier: Classifier, *, pictures: bool
) -> ClipFolder | None:
    """The folder, going on after the events of a journal; what an earlier command left in it is removed."""
    if folder is None:
        return None
    files.output_folder(folder, force=True)
    ended = clips.events_in(before)[0]
    if before:
        clips.check_going_on(folder, ended)
        clips.remove_half_written(folder)
    else:
        clips.remove_clips(folder)
    return ClipFolder(folder, len(ended), _drawing(classifier) if pictures else None)


def _drawing(classifier: Classifier) -> Callable[[Path, Clip], None]:
    """Draws the spectrogram of a clip beside it, as the network is shown it."""
    from escnn.audio.decoding import load_audio
    from escnn.audio.log_mel import mel_frequencies
    from escnn.errors import AudioError
    from escnn.report.html import display_label
    from escnn.report.pictures import images
    from escnn.report.pictures.spectrogram import spectrogram

    audio = classifier.card.audio
    frequencies, hop_seconds = mel_frequencies(audio), audio.hop_length / audio.sample_rate

    def draw(path: Path, clip: Clip) -> None:
        with suppress(AudioError):  # where a threshold is low, a clip may be silence
            log_mel = classifier.runtime.log_mels(load_audio(path, audio.sample_rate).samples[None])[0]
            title = f"{display_label(clip.event['label'])}, score {clip.event['score']:.2f}"
            picture = spectrogram(log_mel, frequencies, hop_seconds, title)
            files.write_bytes(path.with_suffix(".png"), images.png_bytes(picture))

    return draw
