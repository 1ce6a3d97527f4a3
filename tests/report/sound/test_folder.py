from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import tone
from PIL import Image
from report.outline import HOSTILE, Outline

from escnn.analysis.analysis import Analysis, analyze
from escnn.errors import UsageError
from escnn.inference.classifier import Classifier
from escnn.inference.prediction import Failure
from escnn.report.html import percent
from escnn.report.sound.folder import save_sounds


def noise(seconds: float) -> np.ndarray:
    return (0.3 * np.random.default_rng(0).standard_normal(round(seconds * 8_000))).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def analysis(classifier: Classifier) -> Analysis:
    return analyze((noise(0.5), 8_000), classifier, name="a.wav")


@pytest.fixture(scope="module")
def saved(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "new" / "folder"
    assert analysis.save(folder, channels=4, top_k=2, command=["visualize", "a b.wav"]) == folder / "report.html"
    return folder


def test_a_folder_holds_page_prediction_and_a_picture_of_every_layer(analysis: Analysis, saved: Path) -> None:
    pictures = {path.relative_to(saved).as_posix() for path in saved.rglob("*.png") if "native" not in path.parts}
    layers = {f"feature-maps/{layer}.png" for layer in analysis.card.layers}
    assert pictures == {"waveform.png", "spectrogram.png", "evidence.png", *layers}
    for path in pictures:
        with Image.open(saved / path) as picture:
            assert picture.width > 500
    assert json.loads((saved / "prediction.json").read_text("utf-8")) == analysis.prediction.to_json(top_k=2)
    page = Outline((saved / "report.html").read_text("utf-8"))
    assert "escnn visualize 'a b.wav'" in page.text
    assert "The 2 best of 3 classes" in page.words


def test_a_native_map_has_a_pixel_for_every_value(analysis: Analysis, saved: Path) -> None:
    for layer, values in analysis.feature_maps.items():
        drawn = sorted((saved / "feature-maps" / "native" / layer).iterdir())
        assert len(drawn) == 5, "the mean and four channels"
        for path in drawn:
            with Image.open(path) as picture:
                assert (picture.height, picture.width) == values.shape[1:]


def test_what_is_saved_again_differs_in_its_time_only(analysis: Analysis, saved: Path, tmp_path: Path) -> None:
    analysis.save(tmp_path, channels=4, top_k=2, command=["visualize", "a b.wav"])
    files = {path.relative_to(saved): path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    pages = [re.sub(rb"<time.*?</time>", b"", each.pop(Path("report.html"))) for each in (files, again)]
    assert pages[0] == pages[1]
    assert files == again


def test_only_the_layers_asked_for_are_drawn_in_the_colours_asked_for(analysis: Analysis, tmp_path: Path) -> None:
    page = analysis.save(tmp_path, layers=["layer2.block0.relu", "conv1"], colormap="gray")
    drawn = [sorted(path.stem for path in (tmp_path / "feature-maps").glob("*.png"))]
    drawn.append(sorted(path.name for path in (tmp_path / "feature-maps" / "native").iterdir()))
    assert drawn == [["conv1", "layer2.block0.relu"]] * 2
    assert {part["data-name"] for part in Outline(page.read_text("utf-8")).all("article")} == set(drawn[0])
    with Image.open(tmp_path / "feature-maps" / "native" / "conv1" / "mean-over-channels.png") as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")), 2, 0)
    assert np.array_equal(red, green) and np.array_equal(red, blue)
    for wrong in ({"layers": ["conv9"]}, {"colormap": "virids"}):
        with pytest.raises(UsageError):
            analysis.save(tmp_path / "nothing", **wrong)
    assert not (tmp_path / "nothing").exists()


def test_arrays_become_a_page_without_a_command_and_a_frame_in_a_notebook(analysis: Analysis) -> None:
    html = analysis.to_html(layers=["conv1"], top_k=1, channels=2)
    outline = Outline(html)
    label, _, score = analysis.prediction.top(1)[0]
    assert f"Predicted class {label} " in outline.words
    assert percent(score) in outline.text
    assert "Command" not in outline.words
    assert [part["data-name"] for part in outline.all("article")] == ["conv1"]
    (frame,) = Outline(analysis._repr_html_()).all("iframe")
    assert f"Predicted class {label} " in Outline(str(frame["srcdoc"])).words
    assert Outline(str(frame["srcdoc"])).all("article") == [], "small enough for a notebook"


def test_every_window_of_a_long_sound_is_on_its_page_with_its_evidence(classifier: Classifier, tmp_path: Path) -> None:
    analysis = analyze((noise(1.6), 8_000), classifier, name="long.wav")
    page = Outline(analysis.save(tmp_path, layers=["conv1"]).read_text("utf-8"))
    spans = ("0.0–0.5 s", "0.5–1.0 s", "1.0–1.5 s", "1.1–1.6 s")
    assert all(page.words.count(span) >= 2 for span in spans), "as a chip and in the table"
    assert len(page.all("audio")) == 4 * (1 + 3), "of every window the sound, and the evidence for three classes"


def test_silence_that_was_added_is_said_once(classifier: Classifier) -> None:
    html = analyze((noise(0.1), 8_000), classifier).to_html(layers=[])
    assert Outline(html).words.count("silence was added") == 1
    assert "silence was added" not in analyze((noise(0.5), 8_000), classifier).to_html(layers=[])


def test_a_class_asked_for_is_shown_after_the_best(classifier: Classifier) -> None:
    sound = (noise(0.5), 8_000)
    label = analyze(sound, classifier).prediction.top(3)[-1][0]
    analysis = analyze(sound, classifier, classes=[label], top_k=1)
    shown = [
        str(pane["aria-label"]) for pane in Outline(analysis.to_html(layers=[])).all("svg") if "aria-label" in pane
    ]
    best = analysis.prediction.top(1)[0][0]
    assert [text.split(",")[0] for text in shown if "Evidence" in text] == [
        f"Evidence for {best}",
        f"Evidence for {label}",
    ]
    with pytest.raises(UsageError, match="no class 'midle'") as refused:
        analyze(sound, classifier, classes=["midle"])
    assert refused.value.hint == "did you mean middle?"


def test_several_sounds_get_a_folder_each_and_an_index(
    classifier: Classifier, write_sound: Callable[..., Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    out = tmp_path / "out"
    out.mkdir()
    paths = (write_sound("a.wav", noise(0.5)), broken, write_sound("a.flac", tone(1_000, 0.5, 8_000)))
    sources = [*((path, str(path)) for path in paths), ((noise(0.5), 8_000), HOSTILE[2])]
    results = list(save_sounds(classifier, sources, out, layers=["conv1"], command=["visualize"]))
    assert [isinstance(result, Failure) for result in results] == [False, True, False, False]
    index = Outline((out / "index.html").read_text("utf-8"))
    pages = [str(link["href"]) for link in index.all("a") if not str(link["href"]).startswith("#")]
    assert pages[:2] == ["./a/report.html", "./a-2/report.html"]
    folders = {path.name for path in out.iterdir()} - {"index.html"}
    assert len(folders) == len(pages) == 3
    assert {path.parent.name for path in out.glob("*/report.html")} == folders
    assert "broken.wav" in index.text
    assert "3 sounds" in index.words
