from __future__ import annotations

import io
import tracemalloc
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SMALL_AUDIO, random_model, tone
from report.outline import Outline

from escnn.analysis.recording import recording as recording_module
from escnn.analysis.recording.recording import Found, analyze_recording, lasts_longer, revisit
from escnn.audio.decoding import load_audio
from escnn.detection.detections import detect
from escnn.detection.detector import Event
from escnn.errors import AudioError
from escnn.inference.classifier import Classifier
from escnn.model.architecture import ModelConfig
from escnn.model.model_file import write_model

RATE = 8_000
LOW_SCORE = {"onset_score": 0.1, "merge_seconds": 0.0}  # what a network with random weights says


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    rng = np.random.default_rng(0)
    made = 0.01 * rng.standard_normal(30 * RATE).astype(np.float32)
    made[10 * RATE : 11 * RATE] += tone(700, 1.0, RATE, amplitude=0.4)
    return made


def found_of(events: list[Event], classifier: Classifier, seconds: float = 30.0) -> Found:
    counts = {class_id: sum(event.class_id == class_id for event in events) for class_id in range(3)}
    return Found("a.wav", seconds, tuple(events), counts, classifier.card.events)


def test_it_finds_what_detect_finds(classifier: Classifier, sound: np.ndarray) -> None:
    analysis = analyze_recording((sound, RATE), classifier, name="a.wav", **LOW_SCORE)
    detections = detect((sound, RATE), classifier, **LOW_SCORE)
    assert analysis.events == detections.events
    assert len(analysis.events) == 3
    assert analysis.seconds == 30.0
    assert analysis.counts == {"low": 1, "middle": 1, "high": 1}
    one = analyze_recording((sound, RATE), classifier, classes=["high"], **LOW_SCORE)
    assert {event.label for event in one.events} == {"high"}
    assert one.found.class_ids == (2,)


def test_an_excerpt_is_the_sound_of_its_time_made_as_loud_as_is_said(classifier: Classifier, sound: np.ndarray) -> None:
    event = Event(10.0, 11.0, 10.5, "middle", 1, 0.9)
    others = [Event(10.0, 11.0, 10.5, label, class_id, 0.5) for class_id, label in ((0, "low"), (2, "high"))]
    faint = Event(20.0, 20.5, 20.2, "low", 0, 0.8)
    analysis = revisit((sound, RATE), found_of([event, *others, faint], classifier), classifier)
    loud, quiet = analysis.excerpts
    assert (loud.span.start, loud.span.end) == (9.5, 11.5)
    samples, rate = soundfile.read(io.BytesIO(loud.sound), dtype="float32")
    resampled = load_audio((sound[round(9.5 * RATE) : round(11.5 * RATE)], RATE), rate).samples
    count = min(len(samples), len(resampled))
    assert count / rate == pytest.approx(2.0, abs=0.1)
    gain = 10 ** (loud.gain_db / 20)
    assert np.abs(sound[9 * RATE : 12 * RATE]).max() * gain == pytest.approx(0.5, rel=0.01)
    assert np.corrcoef(samples[:count], resampled[:count])[0, 1] > 0.98
    assert np.abs(samples).max() == pytest.approx(0.5, rel=0.1)
    assert 10 < quiet.gain_db <= 30
    assert analysis.levels[0] == pytest.approx(20 * np.log10(0.4 / np.sqrt(2)), abs=0.3)
    assert analysis.levels[-1] == pytest.approx(-40, abs=1.5)
    assert set(loud.evidence) == {0, 1, 2}
    assert max(cells.max() for cells in loud.evidence.values()) == 1.0
    assert all(cells.max() in (0.0, 1.0) for cells in loud.evidence.values())
    assert analysis.surest is not None
    first = round(analysis.surest.start * RATE)
    assert np.array_equal(analysis.surest.samples, sound[first : first + SMALL_AUDIO.window_samples])
    assert analysis.surest.start == pytest.approx(10.25)


def test_the_activation_of_a_class_adds_up_to_its_score(tmp_path: Path) -> None:
    write_model(tmp_path / "m.safetensors", random_model(ModelConfig(widths=(8, 16), depths=(1, 1), pooling="mean")))
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, SMALL_AUDIO.window_samples)).astype(np.float32)
    answers = []
    for runtime in ("onnx", "torch"):
        loaded = Classifier.load(tmp_path / "m.safetensors", runtime=runtime).runtime
        log_mel = loaded.log_mels(noise)
        activation = loaded.class_activation(log_mel[0], range(3))
        weights = random_model(ModelConfig(widths=(8, 16), depths=(1, 1), pooling="mean")).weights
        logits = activation.mean(axis=(1, 2)) + weights["classify.bias"]
        scores = np.exp(logits) / np.exp(logits).sum()
        assert scores == pytest.approx(loaded.scores(log_mel)[0], abs=1e-4)
        answers.append(loaded.class_activation(log_mel[0], [2]))
        assert answers[-1][0] == pytest.approx(activation[2], abs=1e-5)
    assert answers[0] == pytest.approx(answers[1], abs=1e-3)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(classifier: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def peak(minutes: int) -> int:
        path = tmp_path / f"{minutes}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(minutes * 60 * RATE), RATE)
        events = [Event(20.0 * k, 20.0 * k + 1, 20.0 * k + 0.5, "low", 0, 0.9) for k in range(12)]
        found = found_of(events, classifier, minutes * 60.0)
        tracemalloc.start()
        revisit(path, found, classifier)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(40) < peak(10) + 2_000_000, "4 kB a minute are the levels"


def test_what_is_gone_is_an_error_and_what_was_cut_short_is_left_out(
    classifier: Classifier, sound: np.ndarray, tmp_path: Path
) -> None:
    events = [Event(2.0, 3.0, 2.5, "low", 0, 0.9), Event(25.0, 26.0, 25.5, "low", 0, 0.95)]
    with pytest.raises(AudioError):
        revisit(tmp_path / "gone.wav", found_of(events, classifier), classifier)
    analysis = revisit((sound[: 10 * RATE], RATE), found_of(events, classifier), classifier)
    assert analysis.excerpt_of == (0, None)
    assert "0:02.0" in Outline(analysis.to_html()).text


def test_how_long_a_sound_is_is_read_and_not_believed(sound: np.ndarray) -> None:
    assert lasts_longer((sound, RATE), 29.9)
    assert not lasts_longer((sound, RATE), 30.0)
    content = io.BytesIO()
    soundfile.write(content, sound, RATE, format="WAV")
    streamed = bytearray(content.getvalue())
    streamed[40:44] = (2**32 - 1).to_bytes(4, "little")  # as a recorder that could not go back leaves it
    assert not lasts_longer(bytes(streamed), 60.0)
    with pytest.raises(AudioError):
        lasts_longer(b"no sound", 60.0)


def test_a_notebook_shows_it_and_it_saves_a_page(classifier: Classifier, sound: np.ndarray, tmp_path: Path) -> None:
    start = datetime(2024, 7, 2, 6, 44, 4)
    analysis = analyze_recording((sound, RATE), classifier, name="night.wav", start=start, **LOW_SCORE)
    page = analysis.save(tmp_path / "new", command=["detect", "a b.wav"])
    assert page == tmp_path / "new" / "report.html"
    assert "escnn detect 'a b.wav'" in Outline(page.read_text("utf-8")).text
    (frame,) = Outline(analysis._repr_html_()).all("iframe")
    assert "night.wav" in Outline(str(frame["srcdoc"])).text


def test_progress_is_told(classifier: Classifier, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_module, "TOLD_EVERY_SECONDS", 5.0)
    told: list[float] = []
    revisit((sound, RATE), found_of([], classifier), classifier, on_progress=lambda at: told.append(at.seconds))
    assert told == sorted(told)
    assert len(told) >= 4
