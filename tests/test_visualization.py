import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_AUDIO, tone
from PIL import Image

from escnn import visualization
from escnn.audio import load_audio
from escnn.errors import AudioError
from escnn.prediction import Classifier

Writer = Callable[..., Path]


@pytest.fixture(scope="module")
def classifier(small_model: Path) -> Classifier:
    return Classifier.load(small_model, device="cpu")


def noise(seconds: float, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.random.default_rng(0).standard_normal(round(seconds * 8_000))).clip(-1, 1).astype(np.float32)


def write(seen: visualization.Seen, classifier: Classifier, out: Path, layers: list[str] | None = None) -> str:
    chosen = visualization.choose_layers(seen, layers)
    page = visualization.write(
        seen, classifier, out, layers=chosen, top_k=3, channels=4, colormap=None, command=["visualize", "a b.wav"]
    )
    return page.read_text("utf-8")


@pytest.mark.parametrize("seconds", [0.05, 0.5, 0.7, 3.3])
def test_what_is_shown_is_what_predict_says(classifier: Classifier, write_sound: Writer, seconds: float) -> None:
    path = write_sound("a.wav", noise(seconds))
    seen, predicted = visualization.look(classifier, path, "a.wav"), classifier.predict(path)
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
    seen = visualization.look(classifier, path, "a.wav")
    samples = load_audio(path).samples
    start = round(seen.start_seconds * 8_000)
    np.testing.assert_array_equal(seen.window, samples[start : start + 4_000])
    best = int(seen.prediction.scores.argmax())
    starts = [0, 4_000, 8_000, 12_000, len(samples) - 4_000]
    by_window = classifier.scores(np.stack([samples[s : s + 4_000] for s in starts]))[:, best]
    assert start == starts[int(by_window.argmax())]


def test_the_maps_are_those_of_the_window_and_change_no_score(classifier: Classifier, write_sound: Writer) -> None:
    seen = visualization.look(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    assert list(seen.maps)[:4] == ["conv1", "layer1.block0.conv", "layer1.block0.relu", "layer1"]
    assert seen.decibels.shape == (SMALL_AUDIO.n_mels, SMALL_AUDIO.frames)
    last = seen.maps["layer2"]  # (channels, mels, frames)
    pooled = last.mean(axis=1).mean(axis=1) + last.mean(axis=1).max(axis=1)
    logits = classifier.network.classify.weight.detach().numpy() @ pooled
    logits = logits + classifier.network.classify.bias.detach().numpy()
    scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(scores, seen.prediction.scores, atol=1e-5)


def test_the_page_differs_between_runs_in_its_time_only(
    classifier: Classifier, write_sound: Writer, tmp_path: Path
) -> None:
    path = write_sound("a.wav", noise(0.5))
    pages = []
    for name in ("first", "second"):
        html = write(visualization.look(classifier, path, "a.wav"), classifier, tmp_path / name)
        before, rest = html.split("<time", 1)
        pages.append(before + rest.split("</time>", 1)[1])
        assert html.count("<time") == 1
    assert pages[0] == pages[1]
    for picture in (tmp_path / "first").rglob("*.png"):
        other = tmp_path / "second" / picture.relative_to(tmp_path / "first")
        assert picture.read_bytes() == other.read_bytes()


def test_every_layer_has_its_picture(classifier: Classifier, write_sound: Writer, tmp_path: Path) -> None:
    seen = visualization.look(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    html = write(seen, classifier, tmp_path)
    for layer in seen.maps:
        with Image.open(tmp_path / "feature-maps" / f"{layer}.png") as picture:
            assert picture.width > 500
        assert layer in html


def test_only_the_layers_asked_for_are_drawn(classifier: Classifier, write_sound: Writer, tmp_path: Path) -> None:
    seen = visualization.look(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    html = write(seen, classifier, tmp_path, ["layer2.block0.relu", "conv1"])
    assert sorted(path.stem for path in (tmp_path / "feature-maps").iterdir()) == ["conv1", "layer2.block0.relu"]
    assert "layer2.block0.relu" in html
    assert "layer1.block0" not in html


def test_a_page_says_that_silence_was_added_or_which_part_is_shown(
    classifier: Classifier, write_sound: Writer, tmp_path: Path
) -> None:
    short = visualization.look(classifier, write_sound("short.wav", noise(0.1)), "short.wav")
    assert "silence was added" in write(short, classifier, tmp_path / "short")
    whole = visualization.look(classifier, write_sound("whole.wav", noise(0.5)), "whole.wav")
    assert "silence was added" not in write(whole, classifier, tmp_path / "whole")
    long = visualization.look(classifier, write_sound("long.wav", noise(3.0)), "long.wav")
    assert f"{long.start_seconds:.1f}" in write(long, classifier, tmp_path / "long")


def test_a_hostile_name_is_text_on_the_page(classifier: Classifier, write_sound: Writer, tmp_path: Path) -> None:
    path = write_sound("a.wav", noise(0.5))
    seen = visualization.look(classifier, path, 'x"><script>alert(1)<\\script> \udce9 \U0001f415.wav')
    html = write(seen, classifier, tmp_path)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_what_is_no_sound_raises(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(AudioError):
        visualization.look(classifier, tmp_path / "gone.wav", "gone.wav")


@pytest.mark.real
def test_a_page_about_a_real_clip_is_small_enough_to_send(real_data: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(device="cpu")
    clip = sorted((real_data / "audio").iterdir())[3]
    seen = visualization.look(classifier, clip, clip.name)
    page = visualization.write(
        seen, classifier, tmp_path, layers=list(seen.maps), top_k=5, channels=8, colormap=None, command=[]
    )
    assert page.stat().st_size < 3_000_000
