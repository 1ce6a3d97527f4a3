"""The same sound scores the same however it comes; what is no sound has its place among the results."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import SMALL_AUDIO, tone

from escnn.audio.decoding import load_audio
from escnn.audio.windows import cut_windows
from escnn.errors import AudioError, ModelError, UsageError
from escnn.inference.classifier import Classifier
from escnn.inference.onnx_runtime import OnnxRuntime
from escnn.inference.prediction import Failure, Prediction
from escnn.model.model_file import ModelFile, read_model
from escnn.network.runtime import TorchRuntime

Writer = Callable[..., Path]
CPU = torch.device("cpu")
WINDOWS = np.random.default_rng(0).uniform(-0.5, 0.5, (5, SMALL_AUDIO.window_samples)).astype(np.float32)
DATA = Path(__file__).parents[1] / "data"


def named(*paths: Path) -> list[tuple[Path, str]]:
    return [(path, str(path)) for path in paths]


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * 8_000)).astype(np.float32)


def test_a_clip_scores_the_same_alone_in_a_batch_as_flac_from_bytes_and_as_an_array(
    classifier: Classifier, write_sound: Writer
) -> None:
    samples = (noise(0.5) * 32_768).astype(np.int16)
    wav, flac = write_sound("a.wav", samples), write_sound("a.flac", samples)
    others = [write_sound(f"{n}.wav", noise(0.5, seed=n)) for n in range(1, 10)]
    alone = classifier.predict(wav).scores
    batch = list(classifier.predict_files(named(*others[:6], wav, *others[6:])))
    assert isinstance(batch[6], Prediction)
    np.testing.assert_allclose(batch[6].scores, alone, atol=1e-5)
    stereo = np.stack([samples, samples], axis=1)
    for source in (flac, wav.read_bytes(), (samples, 8_000), (samples / 32_768, 8_000.0), (stereo, 8_000)):
        np.testing.assert_array_equal(classifier.predict(source).scores, alone)
    assert not np.allclose(classifier.predict(others[0]).scores, alone, atol=1e-3)  # the model does tell sounds apart


def test_scores_with_augmentation_are_a_mean_in_which_the_plain_ones_count(small_model: Path) -> None:
    """With n ways, n times the mean of n less n - 1 times the mean of n - 1 is the score of the n-th way alone."""
    several = [Classifier.load(small_model, tta=tta) for tta in range(1, 6)]
    log_mels = several[0].runtime.log_mels(WINDOWS)
    means = [classifier.scores(log_mels) for classifier in several]
    alone = [means[0], *(n * means[n - 1] - (n - 1) * means[n - 2] for n in range(2, 6))]
    for number, scores in enumerate(alone):
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)
        assert all(not np.allclose(scores, other, atol=1e-4) for other in alone[:number])


def test_scores_that_are_no_numbers_are_an_error_and_not_quoted(small_model: Path) -> None:
    # Every weight is finite, so the file loads; what they add up to is not: a flipped exponent does that.
    model = read_model(small_model)
    weights = {**model.weights, "classify.weight": np.full((3, 16), 3e38, "f4")}
    hopeless = ModelFile(dataclasses.replace(model.card, sha256="hopeless"), weights)
    for runtime in (TorchRuntime(hopeless, CPU), OnnxRuntime(hopeless)):
        with pytest.raises(ModelError, match="no numbers"):
            Classifier(runtime).scores(runtime.log_mels(WINDOWS))


def test_no_clip_gets_the_augmentation_of_another(small_model: Path, write_sound: Writer) -> None:
    classifier = Classifier.load(small_model, device="cpu", tta=3)
    path = write_sound("a.wav", noise(0.5))
    *_, last = classifier.predict_files(named(*[write_sound(f"{n}.wav", noise(0.5, seed=n)) for n in range(5)], path))
    assert isinstance(last, Prediction)
    np.testing.assert_allclose(last.scores, classifier.predict(path).scores, atol=1e-5)


def test_a_long_sound_scores_the_mean_of_its_windows(classifier: Classifier, write_sound: Writer) -> None:
    path = write_sound("long.wav", np.concatenate([tone(300, 0.8, 8_000), noise(9.3)]))
    cut = np.stack(list(cut_windows([load_audio(path).samples], 4_000)))
    prediction = classifier.predict(path)
    assert prediction.window_starts == pytest.approx([*np.arange(0, 10, 0.5), 9.6])
    assert prediction.seconds == pytest.approx(10.1)
    np.testing.assert_allclose(prediction.window_scores, classifier.scores(classifier.runtime.log_mels(cut)), atol=1e-5)
    weights = [1.0] * 20 + [0.2]  # of the last window a fifth is new
    mean = np.average(prediction.window_scores, axis=0, weights=weights)
    np.testing.assert_allclose(prediction.scores, mean, atol=1e-6)


def test_a_window_can_begin_every_so_many_seconds(small_model: Path, write_sound: Writer) -> None:
    path = write_sound("long.wav", np.concatenate([tone(300, 0.8, 8_000), noise(1.27)]))  # 2.07 s
    overlapping = Classifier.load(small_model, hop_seconds=0.2)
    prediction = overlapping.predict(path)
    assert prediction.window_starts == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.57])
    samples = load_audio(path).samples
    cut = np.stack([samples[round(start * 8_000) :][:4_000] for start in prediction.window_starts])
    scores = overlapping.scores(overlapping.runtime.log_mels(cut))
    np.testing.assert_allclose(prediction.window_scores, scores, atol=1e-5)
    mean = np.average(prediction.window_scores, axis=0, weights=[1.0] * 8 + [0.85])
    np.testing.assert_allclose(prediction.scores, mean, atol=1e-6)


@pytest.mark.parametrize("hop_seconds", [0.0, -1.0, 0.09, 0.51, float("nan"), float("inf")])
def test_windows_neither_stand_apart_nor_come_without_end(small_model: Path, hop_seconds: float) -> None:
    with pytest.raises(UsageError, match=r"must be 0\.1 to 0\.5, the length of a window"):
        Classifier.load(small_model, hop_seconds=hop_seconds)


def test_results_come_in_order_with_failures_in_their_place(
    classifier: Classifier, write_sound: Writer, tmp_path: Path
) -> None:
    good = [write_sound(f"{n}.wav", noise(seconds, seed=n)) for n, seconds in enumerate((0.1, 9.0, 0.5, 3.0))]
    silent = write_sound("silent.wav", np.zeros(40_000))
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    order = [good[0], tmp_path / "missing.wav", good[1], silent, good[2], text, good[3]]
    results = list(classifier.predict_files(named(*order)))
    assert [result.name for result in results] == [str(path) for path in order]
    codes = [result.error.code if isinstance(result, Failure) else None for result in results]
    assert codes == [None, "missing", None, "silent", None, "not_audio", None]
    for result, path in zip(results, order, strict=True):
        if isinstance(result, Prediction):
            np.testing.assert_allclose(result.scores, classifier.predict(path).scores, atol=1e-5)


def test_ten_milliseconds_are_enough(classifier: Classifier, write_sound: Writer) -> None:
    prediction = classifier.predict(write_sound("short.wav", tone(440, 0.01, 8_000)))
    assert prediction.window_starts == (0.0,)
    assert prediction.seconds == 0.01


PEAKS = """
import sys
from pathlib import Path
from escnn.inference.classifier import Classifier

def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])  # kB

classifier = Classifier.load(sys.argv[1], device="cpu")
before = classifier.predict(sys.argv[2]) and peak()
prediction = classifier.predict(sys.argv[3])
print(len(prediction.window_starts), peak() - before, float(prediction.scores.sum()))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_memory_does_not_grow_with_length(small_model: Path, write_sound: Writer) -> None:
    """In a process of its own: the peak of this one may be from another test."""
    short, long = write_sound("short.wav", noise(10.0)), write_sound("long.flac", np.tile(noise(10.0), 90))
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, small_model, short, long], capture_output=True, text=True, check=True
    )
    windows, growth, total = map(float, done.stdout.split())
    assert windows == 1_800
    assert growth < 10_000  # kB; the quarter of an hour itself has 28,800
    assert total == pytest.approx(1.0, abs=1e-4)


def test_predict_raises_what_predict_files_reports(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        classifier.predict(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match=r"^take 7: .* no sound"):
        classifier.predict((np.zeros((1, 2, 3)), 8_000), name="take 7")


def test_classes_are_found_by_their_names(classifier: Classifier) -> None:
    assert classifier.class_ids(["high", "low", "high"]) == [2, 0, 2]
    bundled = Classifier.load(device="cpu")
    assert bundled.class_ids(["sea_waves", "sea waves"]) == [bundled.card.labels.index("sea_waves")] * 2
    with pytest.raises(UsageError, match="no class 'midle'") as caught:
        classifier.class_ids(["low", "midle"])
    assert caught.value.hint == "did you mean middle?"
    with pytest.raises(UsageError) as caught:
        bundled.class_ids(["qqq"])
    with pytest.raises(UsageError, match="no class 'qqq'") as few:
        classifier.class_ids(["qqq"])
    assert few.value.hint == "it has low, middle, high"
    assert caught.value.hint == "it has dog, rooster, pig, cow, frog, cat, hen, insects and 42 more"


def test_a_model_and_a_run_of_0_1_0_predict_as_0_1_0_did(write_sound: Writer, class_folders: Path) -> None:
    model = Classifier.load(DATA / "model-0.1.0.safetensors", device="cpu")
    scores = model.predict(write_sound("t.wav", tone(440, 0.5, 8_000))).scores
    np.testing.assert_allclose(scores, [0.5376676, 0.2903728, 0.1719597], atol=1e-5)
    run = Classifier.load(DATA / "run-0.1.0", device="cpu")
    written = (DATA / "run-0.1.0" / "evaluation" / "predictions.csv").read_text().splitlines()[1:]
    for row in written:
        clip, _, predicted, score, *_ = row.split(",")
        ((label, _, best),) = run.predict(class_folders / clip).top(1)
        assert label == predicted
        assert best == pytest.approx(float(score), abs=1e-5)


def test_opening_models_sounds_and_data_sets_does_not_start_torch(small_model: Path, class_folders: Path) -> None:
    code = (
        "import sys; import escnn.analysis.analysis, escnn.evaluation.protocol, escnn.data.features, escnn.runs.run\n"
        "import escnn.data.download\n"
        "from escnn.model.model_file import read_model; from escnn.data.sources import open_dataset\n"
        "read_model(sys.argv[1]); open_dataset(__import__('pathlib').Path(sys.argv[2]))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, small_model, class_folders], check=False).returncode == 0


@pytest.mark.real
def test_real_clips_score_the_same_however_they_come(real_data: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(device="cpu")
    clips = sorted((real_data / "audio").glob("*.wav"))[:: 1600 // 20][:20]
    batch = list(classifier.predict_files(named(*clips)))
    for clip, result in zip(clips, batch, strict=True):
        assert isinstance(result, Prediction)
        samples, rate = soundfile.read(clip, dtype="int16")
        soundfile.write(tmp_path / "a.flac", samples, rate)
        for other in (clip, clip.read_bytes(), tmp_path / "a.flac", (samples, rate)):
            np.testing.assert_allclose(classifier.predict(other).scores, result.scores, atol=1e-5)
