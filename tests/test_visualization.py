from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import tone
from escnn.listening import Seen, listen
from escnn.prediction import Classifier, Failure
from escnn.sound_page import Choices, filter_sounds, sound_page
from PIL import Image

from escnn import explain, visualization
from escnn.audio import encode
from escnn.errors import UsageError
from escnn.report import ReportPage
from escnn.report.html import percent

Writer = Callable[..., Path]


@pytest.fixture(scope="module")
def classifier(small_model: Path) -> Classifier:
    return Classifier.load(small_model, device="cpu")


def noise(seconds: float, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.random.default_rng(0).standard_normal(round(seconds * 8_000))).clip(-1, 1).astype(np.float32)


def write(seen: Seen, classifier: Classifier, out: Path, layers: list[str] | None = None) -> str:
    chosen = visualization.choose_layers(classifier, layers)
    page = visualization.write(
        seen, classifier, out, Choices(chosen, top_k=3, channels=4, command=["visualize", "a b.wav"])
    )
    return page.read_text("utf-8")


def filled(seen: Seen, classifier: Classifier, choices: Choices) -> ReportPage:
    with ThreadPoolExecutor() as pool:
        return sound_page(seen, classifier, choices, filter_sounds(seen, classifier, pool))


def test_the_page_differs_between_runs_in_its_time_only(
    classifier: Classifier, write_sound: Writer, tmp_path: Path
) -> None:
    path = write_sound("a.wav", noise(0.5))
    pages = []
    for name in ("first", "second"):
        html = write(listen(classifier, path, "a.wav"), classifier, tmp_path / name)
        before, rest = html.split("<time", 1)
        pages.append(before + rest.split("</time>", 1)[1])
        assert html.count("<time") == 1
    assert pages[0] == pages[1]
    for picture in (tmp_path / "first").rglob("*.png"):
        other = tmp_path / "second" / picture.relative_to(tmp_path / "first")
        assert picture.read_bytes() == other.read_bytes()


def test_every_layer_has_its_picture(classifier: Classifier, write_sound: Writer, tmp_path: Path) -> None:
    seen = listen(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    html = write(seen, classifier, tmp_path)
    for layer in seen.maps:
        with Image.open(tmp_path / "feature-maps" / f"{layer}.png") as picture:
            assert picture.width > 500
        assert layer in html


def test_only_the_layers_asked_for_are_drawn(classifier: Classifier, write_sound: Writer, tmp_path: Path) -> None:
    seen = listen(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    html = write(seen, classifier, tmp_path, ["layer2.block0.relu", "conv1"])
    pictures = sorted(path.stem for path in (tmp_path / "feature-maps").glob("*.png"))
    assert pictures == ["conv1", "layer2.block0.relu"]
    assert "layer2.block0.relu" in html
    assert "layer1.block0" not in html


def test_a_page_says_that_silence_was_added_or_which_part_is_shown(
    classifier: Classifier, write_sound: Writer, tmp_path: Path
) -> None:
    short = listen(classifier, write_sound("short.wav", noise(0.1)), "short.wav")
    assert "silence was added" in write(short, classifier, tmp_path / "short")
    whole = listen(classifier, write_sound("whole.wav", noise(0.5)), "whole.wav")
    assert "silence was added" not in write(whole, classifier, tmp_path / "whole")
    long = listen(classifier, write_sound("long.wav", noise(3.0)), "long.wav")
    assert f"{long.start_seconds:.1f}" in write(long, classifier, tmp_path / "long")


def test_a_hostile_name_is_text_on_the_page(classifier: Classifier, write_sound: Writer, tmp_path: Path) -> None:
    path = write_sound("a.wav", noise(0.5))
    seen = listen(classifier, path, 'x"><script>alert(1)<\\script> \udce9 \U0001f415.wav')
    html = write(seen, classifier, tmp_path)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_a_native_map_has_a_pixel_for_every_value(classifier: Classifier, write_sound: Writer, tmp_path: Path) -> None:
    seen = listen(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    write(seen, classifier, tmp_path)
    for layer, values in seen.maps.items():
        drawn = sorted((tmp_path / "feature-maps" / "native" / layer).iterdir())
        assert len(drawn) == 5, layer  # the mean and four channels
        for path in drawn:
            with Image.open(path) as picture:
                assert (picture.height, picture.width) == values.shape[1:]


def test_every_window_of_a_long_sound_is_on_the_page(
    classifier: Classifier, write_sound: Writer, tmp_path: Path
) -> None:
    seen = listen(classifier, write_sound("a.wav", noise(1.6)), "a.wav")
    page = filled(seen, classifier, Choices(["conv1"]))
    assert [window.start_seconds for window in page.windows] == pytest.approx([0.0, 0.5, 1.0, 1.1])
    shown = [number for number, window in enumerate(page.windows) if window.sound is None]
    assert shown == [page.shown_window] == [seen.chosen]
    for window in page.windows:
        assert window.scores[0].score >= window.scores[1].score
    html = write(seen, classifier, tmp_path)
    assert html.count("<audio") == 4 * (1 + 3)  # of every window the sound, and what spoke for each of three classes


def test_every_class_plays_what_spoke_for_it_in_its_own_window(classifier: Classifier, write_sound: Writer) -> None:
    seen = listen(classifier, write_sound("a.wav", noise(1.6)), "a.wav")
    page = filled(seen, classifier, Choices(["conv1"]))
    config, frequencies = classifier.card.audio, classifier.log_mel.mel_frequencies()
    for number, heard in seen.windows.items():
        why = page.why if number == seen.chosen else page.windows[number].why
        assert why is not None
        sounds = [explain.filter_sound(heard.samples, marked, config, frequencies) for marked in heard.evidence]
        assert [view.encoded for view in why.classes] == [encode(sound, config.sample_rate, "MP3") for sound in sounds]


def test_a_class_asked_for_is_explained_after_the_best(classifier: Classifier, write_sound: Writer) -> None:
    path = write_sound("a.wav", noise(0.5))
    worst = listen(classifier, path, "a.wav").glances[0].best(3)[-1]
    label = classifier.card.labels[worst]
    asked = visualization.find_classes(classifier, [label])
    seen = listen(classifier, path, "a.wav", explained=1, asked=asked)
    page = filled(seen, classifier, Choices(["conv1"], top_k=1, asked=asked))
    assert page.why is not None
    assert [view.label for view in page.why.classes][1:] == [label]


def test_the_sentence_under_why_gives_the_measured_scores(classifier: Classifier, write_sound: Writer) -> None:
    seen = listen(classifier, write_sound("a.wav", noise(0.5)), "a.wav")
    page = filled(seen, classifier, Choices(["conv1"]))
    assert page.why is not None
    for score in (seen.prediction.top(1)[0][2], *seen.deletion):
        assert percent(score) in page.why.evidence


def test_a_class_that_is_not_there_is_refused_with_a_likely_one(classifier: Classifier) -> None:
    assert visualization.find_classes(classifier, ["middle", "low"]) == [1, 0]
    with pytest.raises(UsageError, match="no class 'midle'") as refused:
        visualization.find_classes(classifier, ["midle"])
    assert refused.value.hint == "did you mean middle?"


def test_several_sounds_get_a_folder_each_and_an_index(
    classifier: Classifier, write_sound: Writer, tmp_path: Path
) -> None:
    first, second = write_sound("a.wav", noise(0.5)), write_sound("a.flac", tone(1_000, 0.5, 8_000))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    out = tmp_path / "out"
    out.mkdir()
    choices = Choices(["conv1"])
    sources = [(path, str(path)) for path in (first, broken, second)]
    results = list(visualization.write_several(classifier, sources, out, choices))
    assert [isinstance(result, Failure) for result in results] == [False, True, False]
    assert sorted(path.name for path in out.iterdir()) == ["a", "a-2", "index.html"]
    html = (out / "index.html").read_text("utf-8")
    for name in ("./a/report.html", "./a-2/report.html"):
        assert f'href="{name}"' in html
        assert (out / name).is_file()
    assert "broken.wav" in html


@pytest.mark.real
def test_a_page_about_a_real_clip_is_small_enough_to_send(real_data: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(device="cpu")
    clip = sorted((real_data / "audio").iterdir())[3]
    seen = listen(classifier, clip, clip.name)
    page = visualization.write(seen, classifier, tmp_path, Choices(list(seen.maps)))
    assert page.stat().st_size < 3_000_000
