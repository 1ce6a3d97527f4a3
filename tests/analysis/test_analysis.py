"""One sound, read once: what is shown is what `predict` says, of the windows that tell most."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_AUDIO, tone

from escnn.analysis.analysis import MOST_CLASSES_ELSEWHERE, THUMBNAIL, Analysis, analyze, best_classes
from escnn.analysis.kept_windows import SHOWN_WINDOWS
from escnn.audio.decoding import load_audio
from escnn.errors import AudioError, ModelError, UsageError
from escnn.inference.classifier import Classifier

Writer = Callable[..., Path]
SHAPE = (SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)


def noise(seconds: float, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.random.default_rng(0).standard_normal(round(seconds * 8_000))).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.05, 0.5, 0.7, 3.3])
def test_what_is_shown_is_what_predict_says(classifier: Classifier, write_sound: Writer, seconds: float) -> None:
    path = write_sound("a.wav", noise(seconds))
    analysis, predicted = analyze(path, classifier), classifier.predict(path)
    np.testing.assert_array_equal(analysis.prediction.window_scores, predicted.window_scores)
    np.testing.assert_array_equal(analysis.prediction.scores, predicted.scores)
    assert analysis.prediction.to_json() == predicted.to_json()
    assert analysis.prediction.window_starts == predicted.window_starts
    assert analysis.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert analysis.card == classifier.card


def test_path_bytes_and_array_are_the_same_analysis(classifier: Classifier, write_sound: Writer) -> None:
    samples = (32_767 * noise(1.3)).astype(np.int16)
    path = write_sound("a.wav", samples)
    of_path, of_bytes, of_array = (
        analyze(source, classifier, name="a") for source in (path, path.read_bytes(), (samples, 8_000))
    )
    for other in (of_bytes, of_array):
        np.testing.assert_array_equal(other.prediction.window_scores, of_path.prediction.window_scores)
        np.testing.assert_array_equal(other.detail.saliency, of_path.detail.saliency)
        assert (other.main, other.prediction.name) == (of_path.main, "a")
    assert of_bytes.sha256 == of_path.sha256
    assert (of_path.info.format, of_array.info.format) == ("WAV", "array")
    assert analyze(path, classifier).prediction.name == str(path)


@pytest.mark.skipif(os.name != "posix", reason="an open file can be removed on POSIX only")
def test_the_file_is_read_once(classifier: Classifier, write_sound: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound("a.wav", noise(9.0))
    content, real_open = path.read_bytes(), os.open

    def open_and_remove(name: Any, *arguments: Any) -> int:
        descriptor = real_open(name, *arguments)
        if name == path:
            path.unlink()  # who opens it once more finds nothing
        return descriptor

    monkeypatch.setattr(os, "open", open_and_remove)
    analysis = analyze(path, classifier)
    assert not path.exists()
    assert analysis.sha256 == hashlib.sha256(content).hexdigest()
    assert len(analysis.details) == SHOWN_WINDOWS < 18


def test_the_main_window_scores_highest_for_the_best_class(classifier: Classifier, write_sound: Writer) -> None:
    path = write_sound(
        "a.wav", np.concatenate([noise(1.2, 0.01), tone(2_000, 0.5, 8_000), noise(0.63)]), subtype="FLOAT"
    )
    analysis, samples = analyze(path, classifier), load_audio(path).samples
    starts = [0, 4_000, 8_000, 12_000, len(samples) - 4_000]
    start = round(analysis.start_seconds * 8_000)
    np.testing.assert_array_equal(analysis.detail.samples, samples[start : start + 4_000])
    best = int(analysis.prediction.scores.argmax())
    windows = np.stack([samples[s : s + 4_000] for s in starts])
    by_window = classifier.scores(classifier.runtime.log_mels(windows))[:, best]
    assert start == starts[int(by_window.argmax())]


def test_every_window_has_a_thumbnail_and_the_selected_ones_their_evidence(
    classifier: Classifier, write_sound: Writer
) -> None:
    path = write_sound("a.wav", np.concatenate([noise(0.5), tone(2_000, 0.5, 8_000), noise(0.25)]), subtype="FLOAT")
    analysis, samples = analyze(path, classifier, top_k=2), load_audio(path).samples
    assert analysis.prediction.window_starts == (0.0, 0.5, 0.75)
    assert analysis.thumbnails.shape == (3, THUMBNAIL[0], SMALL_AUDIO.frames)
    assert sorted(analysis.details) == [0, 1, 2]
    assert analysis.detail is analysis.details[analysis.main]
    assert analysis.detail.saliency.shape == (2, *SHAPE)
    for number, detail in analysis.details.items():
        start = round(analysis.prediction.window_starts[number] * 8_000)
        np.testing.assert_array_equal(detail.samples, samples[start : start + 4_000])
        assert detail.log_mel.shape == SHAPE
        count = 2 if number == analysis.main else MOST_CLASSES_ELSEWHERE
        assert list(detail.class_ids) == best_classes(analysis.prediction.window_scores[number], count)
        expected = classifier.runtime.saliency(detail.log_mel, detail.class_ids)
        np.testing.assert_allclose(detail.saliency, expected, atol=1e-5)


def test_the_feature_maps_and_the_deletion_are_those_of_the_main_window(
    classifier: Classifier, write_sound: Writer
) -> None:
    analysis = analyze(write_sound("a.wav", noise(2.1)), classifier)
    shown, runtime = analysis.detail, classifier.runtime
    assert tuple(analysis.feature_maps) == classifier.card.layers
    for layer, values in runtime.feature_maps(shown.log_mel).items():
        np.testing.assert_array_equal(analysis.feature_maps[layer], values)
    expected = runtime.deletion(shown.log_mel, shown.saliency[0], shown.class_ids[0])
    assert (analysis.score_without_saliency, analysis.score_without_random) == pytest.approx(expected)
    assert analysis.versions == runtime.versions


def asked_for(analysis: Analysis, label: str) -> list[bool]:
    class_id = analysis.prediction.labels.index(label)
    return [class_id in detail.class_ids for detail in analysis.details.values()]


def test_a_class_that_is_asked_for_is_explained_in_every_window(classifier: Classifier, write_sound: Writer) -> None:
    path = write_sound("a.wav", noise(0.5))
    worst = classifier.predict(path).top(3)[-1][0]
    assert not any(asked_for(analyze(path, classifier, top_k=1), worst))
    analysis = analyze(path, classifier, top_k=1, classes=[worst, worst])
    assert all(asked_for(analysis, worst))
    assert len(analysis.detail.class_ids) == 2
    with pytest.raises(UsageError, match="no class 'dgo'"):
        analyze(path, classifier, classes=["dgo"])


def test_what_is_no_sound_or_no_model_raises(classifier: Classifier, tmp_path: Path, clip: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        analyze(tmp_path / "gone.wav", classifier)
    with pytest.raises(ModelError, match="no such model"):
        analyze(clip, tmp_path / "gone.safetensors")


def test_without_a_model_the_bundled_one_is_asked(clip: Path) -> None:
    analysis = analyze(clip, device="cpu", top_k=1)
    assert analysis.card.name == "escnn-esc50"
    assert len(analysis.detail.class_ids) == 1
