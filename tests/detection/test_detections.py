"""`escnn.detect` on sounds whose events are known, with a stand-in for the network that hears low and high tones."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import random_model
from detection.bands import AUDIO, FRAME, HIGH_HZ, LOW_HZ, RATE, Bands, planted

import escnn
from escnn.errors import AudioError, ModelError, UsageError
from escnn.inference.classifier import Classifier
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.model.frames import FrameHeadConfig, FrameRecord
from escnn.model.model_file import ModelFile


@pytest.fixture
def bands() -> Classifier:
    return Classifier(Bands())  # type: ignore[arg-type]


def spans(found: escnn.Detections) -> list[tuple[str, float, float]]:
    return [(event.label, event.start, event.end) for event in found.events]


def test_events_are_where_they_were_planted(bands: Classifier) -> None:
    found = escnn.detect((planted(12, (2, 3, LOW_HZ), (7, 9, HIGH_HZ)), RATE), bands)
    assert [event.label for event in found.events] == ["low", "high"]
    for event, (start, end) in zip(found.events, [(2, 3), (7, 9)], strict=True):
        assert event.start == pytest.approx(start, abs=FRAME)
        assert event.end == pytest.approx(end, abs=FRAME)
        assert event.start <= event.peak <= event.end
        assert event.label == found.model.labels[event.class_id]
        assert event.score == 1.0
    assert found.seconds == 12


@pytest.mark.parametrize("block_seconds", [2.0, 3.3, 40.0])
def test_events_at_both_ends_and_across_every_border_of_blocks(bands: Classifier, block_seconds: float) -> None:
    events = [(0.0, 0.5, LOW_HZ), *((t - 0.4, t + 0.4, HIGH_HZ) for t in range(2, 20, 2)), (19.5, 20.0, LOW_HZ)]
    found = escnn.detect((planted(20, *events), RATE), bands, block_seconds=block_seconds)
    high = [(event.start, event.end) for event in found.events if event.label == "high"]
    assert len(high) == 9
    for (start, end), middle in zip(high, range(2, 20, 2), strict=True):
        assert start == pytest.approx(middle - 0.4, abs=FRAME)
        assert end == pytest.approx(middle + 0.4, abs=FRAME)
    first, last = (event for event in found.events if event.label == "low")
    assert first.start == 0.0
    assert last.end == 20.0
    assert spans(found) == spans(escnn.detect((planted(20, *events), RATE), bands))


def test_ten_milliseconds_are_an_event_that_ends_with_them(bands: Classifier) -> None:
    found = escnn.detect((planted(0.01, (0, 0.01, LOW_HZ)), RATE), bands, onset_score=0.05)
    assert spans(found)[0] == ("low", 0.0, 0.01)
    assert found.seconds == 0.01


def test_silence_is_an_error_and_background_alone_is_no_event(bands: Classifier) -> None:
    with pytest.raises(AudioError, match="silent"):
        escnn.detect((np.zeros(5 * RATE, np.float32), RATE), bands)
    faint = np.random.default_rng(0).normal(0, 1e-4, 5 * RATE).astype(np.float32)
    found = escnn.detect((faint, RATE), bands)
    assert found.events == ()
    assert found.to_dataframe().empty
    assert list(found.to_dataframe().columns) == ["start", "end", "peak", "label", "class_id", "score"]


def test_a_stretch_that_is_no_number_is_silence_and_said(bands: Classifier) -> None:
    sound = planted(12, (1, 2, LOW_HZ), (9, 10, LOW_HZ))
    sound[4 * RATE : 6 * RATE] = np.nan
    found = escnn.detect((sound, RATE), bands)
    assert spans(found) == spans(escnn.detect((np.nan_to_num(sound), RATE), bands))
    assert len(found.events) == 2
    assert any("not finite" in warning for warning in found.warnings)


def test_two_classes_at_once_are_two_events(bands: Classifier) -> None:
    found = escnn.detect((planted(8, (2, 4, LOW_HZ), (3, 5, HIGH_HZ)), RATE), bands)
    low, high = found.events
    assert (low.label, high.label) == ("low", "high")
    assert low.end > high.start + 0.5


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 384_000])
def test_times_do_not_depend_on_the_rate_of_the_recording(bands: Classifier, tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, planted(10, (4, 5, LOW_HZ), rate=rate), rate)
    found = escnn.detect(path, bands)
    (event,) = found.events
    assert event.label == "low"
    assert (event.start, event.end) == (pytest.approx(4, abs=FRAME), pytest.approx(5, abs=FRAME))
    assert (found.name, found.seconds) == (str(path), 10)


def test_settings_are_those_of_the_model_unless_said_otherwise(bands: Classifier) -> None:
    sound = planted(10, (1, 2, LOW_HZ), (3, 4, LOW_HZ), (7, 7.1, LOW_HZ)), RATE
    assert len(escnn.detect(sound, bands, onset_score=0.2).events) == 3
    assert len(escnn.detect(sound, bands, onset_score=0.2, merge_seconds=1.5).events) == 2
    assert len(escnn.detect(sound, bands, onset_score=0.2, min_seconds=0.5).events) == 2
    assert escnn.detect(sound, bands).settings == bands.card.events
    with pytest.raises(UsageError, match="onset_score"):
        escnn.detect(sound, bands, onset_score=1.5)
    with pytest.raises(UsageError, match="known are onset_score"):
        escnn.detect(sound, bands, threshold=0.5)


def test_a_class_may_have_a_threshold_of_its_own(bands: Classifier) -> None:
    sound = planted(10, (1, 1.1, LOW_HZ), (3, 3.1, HIGH_HZ), (7, 8, LOW_HZ)), RATE
    low = {"onset_score": 0.2, "merge_seconds": 0.0}
    labels = [event.label for event in escnn.detect(sound, bands, **low).events]
    assert labels == ["low", "high", "low"]
    chosen = escnn.detect(sound, bands, **low, thresholds={"low": 0.95})
    assert [event.label for event in chosen.events] == ["high", "low"]
    with pytest.raises(UsageError, match="no class 'middle'"):
        escnn.detect(sound, bands, thresholds={"middle": 0.5})
    with pytest.raises(UsageError, match="threshold of low: 2 is no score"):
        escnn.detect(sound, bands, thresholds={"low": 2})


def test_the_scores_of_all_frames_are_given_if_asked_for(bands: Classifier) -> None:
    found = escnn.detect((planted(10, (4, 5, LOW_HZ)), RATE), bands, frame_scores=True, block_seconds=2.0)
    assert found.frame_scores is not None
    assert found.frame_scores.shape == (math.ceil((1 + 10 * RATE // AUDIO.hop_length) / 16), 2)
    assert found.frame_seconds == pytest.approx(FRAME)
    loud = np.flatnonzero(found.frame_scores[:, 0] > 0.5) * FRAME
    assert (loud.min(), loud.max()) == (pytest.approx(4, abs=FRAME), pytest.approx(5, abs=FRAME))
    assert escnn.detect((planted(3, (1, 2, LOW_HZ)), RATE), bands).frame_scores is None


def test_a_model_without_a_frame_head_is_read_all_the_same(small_model: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    found = escnn.detect((sound, 8_000), small_model, frame_scores=True)
    assert found.model.frames is None
    assert found.frame_scores is not None
    assert 0 < found.frame_scores.max() <= 1


def test_detection_takes_no_torch(small_model: Path) -> None:
    code = (
        "import sys, numpy, escnn\n"
        f"escnn.detect((numpy.random.default_rng(0).normal(0, 0.1, 20000), 8000), {str(small_model)!r})\n"
        "sys.exit(f'loaded torch' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("frames", [None, FrameRecord(FrameHeadConfig(channels=8, mixed=8))])
def test_a_model_with_absurd_weights_is_an_error_and_not_a_silent_night(frames: FrameRecord | None) -> None:
    model = random_model(frames=frames)
    absurd = ModelFile(model.card, {name: array * np.float32(1e30) for name, array in model.weights.items()})
    sound = np.random.default_rng(0).normal(0, 0.1, 20_000).astype(np.float32)
    with pytest.raises(ModelError, match="no numbers"):
        escnn.detect((sound, 8_000), Classifier(OnnxRuntime(absurd)))
