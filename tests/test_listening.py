import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_AUDIO, tone

from escnn.audio import load_audio
from escnn.errors import AudioError
from escnn.listening import SHOWN_WINDOWS, listen, most_telling
from escnn.prediction import Classifier

Writer = Callable[..., Path]


@pytest.fixture(scope="module")
def classifier(small_model: Path) -> Classifier:
    return Classifier.load(small_model, device="cpu")


def noise(seconds: float, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.random.default_rng(0).standard_normal(round(seconds * 8_000))).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.05, 0.5, 0.7, 3.3])
def test_what_is_shown_is_what_predict_says(classifier: Classifier, write_sound: Writer, seconds: float) -> None:
    path = write_sound("a.wav", noise(seconds))
    seen, predicted = listen(classifier, path, "a.wav"), classifier.predict(path)
    np.testing.assert_allclose(seen.prediction.scores, predicted.scores, atol=1e-5)
    assert seen.prediction.windows == predicted.windows
    assert seen.prediction.seconds == predicted.seconds
    assert seen.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_a_long_sound_the_window_that_speaks_most_for_the_best_class_is_shown(
    classifier: Classifier, write_sound: Writer
) -> None:
    path = write_sound(
        "a.wav", np.concatenate([noise(1.2, 0.01), tone(2_000, 0.5, 8_000), noise(0.63)]), subtype="FLOAT"
    )
    seen = listen(classifier, path, "a.wav")
    samples = load_audio(path).samples
    start = round(seen.start_seconds * 8_000)
    np.testing.assert_array_equal(seen.window.samples, samples[start : start + 4_000])
    best = int(seen.prediction.scores.argmax())
    starts = [0, 4_000, 8_000, 12_000, len(samples) - 4_000]
    by_window = classifier.scores(np.stack([samples[s : s + 4_000] for s in starts]))[:, best]
    assert start == starts[int(by_window.argmax())]


def test_the_maps_are_those_of_the_window_and_change_no_score(classifier: Classifier, write_sound: Writer) -> None:
    seen = listen(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    assert list(seen.maps)[:4] == ["conv1", "layer1.block0.conv", "layer1.block0.relu", "layer1"]
    assert seen.window.decibels.shape == (SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)
    last = seen.maps["layer2"]  # (channels, mels, frames)
    pooled = last.mean(axis=1).mean(axis=1) + last.mean(axis=1).max(axis=1)
    logits = classifier.network.classify.weight.detach().numpy() @ pooled
    logits = logits + classifier.network.classify.bias.detach().numpy()
    scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(scores, seen.prediction.scores, atol=1e-5)


def test_every_window_is_looked_at_once_and_the_telling_ones_are_explained(
    classifier: Classifier, write_sound: Writer
) -> None:
    path = write_sound("a.wav", np.concatenate([noise(0.5), tone(2_000, 0.5, 8_000), noise(0.25)]), subtype="FLOAT")
    seen = listen(classifier, path, "a.wav", explained=2)
    assert [glance.start_seconds for glance in seen.glances] == [0.0, 0.5, 0.75]
    assert sorted(seen.windows) == [0, 1, 2]
    np.testing.assert_allclose(
        np.mean([glance.scores for glance in seen.glances], 0), seen.prediction.scores, atol=1e-6
    )
    assert list(seen.window.explained) == seen.glances[seen.chosen].best(2)
    assert seen.window.evidence.shape == (2, SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)


def test_of_many_windows_those_are_kept_that_tell_most() -> None:
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.full(4, 0.3), size=60).astype(np.float32)
    chosen = int(scores[:, 2].argmin())
    kept = most_telling(scores, chosen)
    assert len(kept) == SHOWN_WINDOWS
    assert kept == sorted(kept)
    assert chosen in kept
    for label in set(scores.argmax(axis=1).tolist()):
        leading = [number for number in range(60) if scores[number].argmax() == label]
        assert max(leading, key=lambda number: scores[number].max()) in kept
    left = scores[[number for number in range(60) if number not in kept]].max()
    assert sum(scores[number].max() < left for number in kept) <= 5  # the chosen one, and one for each class


def test_what_is_no_sound_raises(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(AudioError):
        listen(classifier, tmp_path / "gone.wav", "gone.wav")
