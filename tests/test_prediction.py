from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

from escnn.audio import load_audio, windows
from escnn.errors import AudioError, ModelError, UsageError
from escnn.prediction import Classifier, Failure, Prediction, choose_device, describe_model, to_document

Writer = Callable[..., Path]


@pytest.fixture(scope="module")
def classifier(small_model: Path) -> Classifier:
    return Classifier.load(small_model, device="cpu")


def named(*paths: Path) -> list[tuple[Path, str]]:
    return [(path, str(path)) for path in paths]


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * 8_000)).astype(np.float32)


def test_scores_add_up_to_one_and_are_sorted(classifier: Classifier, write_sound: Writer) -> None:
    prediction = classifier.predict(write_sound("a.wav", noise(0.5)))
    assert prediction.scores.sum() == pytest.approx(1.0, abs=1e-5)
    scores = [score for _, _, score in prediction.top(3)]
    assert scores == sorted(scores, reverse=True)
    assert [prediction.labels[index] for _, index, _ in prediction.top(3)] == [
        label for label, _, _ in prediction.top(3)
    ]


def test_the_same_clip_scores_the_same_alone_in_a_batch_as_flac_and_from_bytes(
    classifier: Classifier, write_sound: Writer
) -> None:
    samples = noise(0.5)
    wav, flac = write_sound("a.wav", samples), write_sound("a.flac", samples)
    others = [write_sound(f"{n}.wav", noise(0.5, seed=n)) for n in range(1, 40)]
    alone = classifier.predict(wav).scores
    batch = list(classifier.predict_files(named(*others[:7], wav, *others[7:])))
    assert isinstance(batch[7], Prediction)
    np.testing.assert_allclose(batch[7].scores, alone, atol=1e-5)
    np.testing.assert_allclose(classifier.predict(flac).scores, alone, atol=1e-5)
    np.testing.assert_allclose(classifier.predict(wav.read_bytes()).scores, alone, atol=1e-5)
    assert not np.allclose(classifier.predict(others[0]).scores, alone, atol=1e-3)  # the model does tell sounds apart


def test_more_views_are_the_mean_over_changed_pitch_and_speed(
    classifier: Classifier, small_model: Path, write_sound: Writer
) -> None:
    path = write_sound("a.wav", noise(0.5))
    plain = classifier.predict(path).scores
    several = Classifier.load(small_model, device="cpu", views=3).predict(path).scores
    assert several.sum() == pytest.approx(1.0, abs=1e-5)
    assert not np.allclose(several, plain, atol=1e-4)
    again = Classifier.load(small_model, device="cpu", views=3)
    batch = list(again.predict_files(named(*[write_sound(f"{n}.wav", noise(0.5, seed=n)) for n in range(5)], path)))
    assert isinstance(batch[-1], Prediction)
    np.testing.assert_allclose(batch[-1].scores, several, atol=1e-5)  # no clip gets the view of another
    for views in (0, 6):
        with pytest.raises(UsageError, match="views"):
            Classifier.load(small_model, device="cpu", views=views)


def test_a_long_sound_scores_the_mean_of_its_windows(classifier: Classifier, write_sound: Writer) -> None:
    path = write_sound("long.wav", np.concatenate([tone(300, 0.8, 8_000), noise(9.3)]))
    cut = np.stack(list(windows([load_audio(path).samples], 4_000)))
    expected = classifier.scores(cut).mean(axis=0)
    prediction = classifier.predict(path)
    assert prediction.windows == len(cut) == 21
    assert prediction.seconds == pytest.approx(10.1)
    np.testing.assert_allclose(prediction.scores, expected, atol=1e-5)


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


def test_ten_milliseconds_are_enough_and_ten_minutes_not_too_much(classifier: Classifier, write_sound: Writer) -> None:
    assert classifier.predict(write_sound("short.wav", tone(440, 0.01, 8_000))).windows == 1
    long = classifier.predict(write_sound("long.wav", tone(440, 600.0, 8_000)))
    assert long.windows == 1_200
    assert long.scores.sum() == pytest.approx(1.0, abs=1e-4)


def test_memory_does_not_grow_with_length(classifier: Classifier, write_sound: Writer) -> None:
    resource = pytest.importorskip("resource", reason="the resource module is POSIX only")
    path = write_sound("hour.flac", np.tile(noise(10.0), 360))
    classifier.predict(write_sound("warm.wav", noise(30.0)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert classifier.predict(path).windows == 7_200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; the hour itself has 115 MB


def test_predict_raises_what_predict_files_reports(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        classifier.predict(tmp_path / "missing.wav")


def test_documents_of_success_and_failure_have_the_same_keys(classifier: Classifier, write_sound: Writer) -> None:
    model = describe_model(classifier)
    results = list(classifier.predict_files(named(write_sound("a.wav", noise(0.5)), Path("missing.wav"))))
    good, failed = (to_document(result, model, top_k=2) for result in results)
    assert good.keys() == failed.keys()
    assert (good["status"], failed["status"]) == ("ok", "error")
    assert len(good["predictions"]) == 2
    assert good["duration_seconds"] == 0.5


def test_min_score_leaves_out_what_is_below(classifier: Classifier, write_sound: Writer) -> None:
    prediction = classifier.predict(write_sound("a.wav", noise(0.5)))
    middle = prediction.top(3)[1][2]
    assert len(prediction.top(3, min_score=middle)) == 2


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="toaster"):
        choose_device("toaster")
    assert choose_device("cpu").type == "cpu"


@pytest.mark.real
def test_real_clips_score_the_same_however_they_come(real_data: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(device="cpu")
    clips = sorted((real_data / "audio").glob("*.wav"))[:: 1600 // 20][:20]
    batch = list(classifier.predict_files(named(*clips)))
    for clip, result in zip(clips, batch, strict=True):
        assert isinstance(result, Prediction)
        samples, rate = soundfile.read(clip, dtype="int16")
        soundfile.write(tmp_path / "a.flac", samples, rate)
        for other in (clip, clip.read_bytes(), tmp_path / "a.flac"):
            np.testing.assert_allclose(classifier.predict(other).scores, result.scores, atol=1e-5)


def test_a_model_whose_scores_are_no_numbers_is_refused_not_quoted(small_model: Path, write_sound: Writer) -> None:
    # Every weight is finite, so the file loads; what they add up to is not: a flipped exponent does that.
    hopeless = Classifier.load(small_model, device="cpu")
    hopeless.network.classify.weight.data.fill_(3e38)
    with pytest.raises(ModelError, match="no numbers"):
        hopeless.predict(write_sound("a.wav", noise(0.5)))
