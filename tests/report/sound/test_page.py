"""The page stands alone, keeps hostile names as text, and says what the analysis found."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from report.colors import contrast
from report.outline import HOSTILE, Outline
from report.sound.made_up import ONE, SEVERAL, analysis_of, large_analysis, render, with_card, with_prediction

from escnn.analysis.analysis import Analysis
from escnn.analysis.filtered_sound import filter_sound
from escnn.audio.decoding import SoundInfo
from escnn.audio.encoding import encode
from escnn.report.pictures import images
from escnn.report.pictures.axes import waveform_path
from escnn.report.sound.layers import draw_layers
from escnn.report.sound.page import certainty


@pytest.fixture(scope="module")
def one() -> Analysis:
    return analysis_of(ONE)


@pytest.fixture(scope="module")
def recording() -> Analysis:
    """Two seconds in four windows, of which the third is listed only and the second is the main one."""
    analysis = analysis_of(SEVERAL)
    return replace(analysis, details={number: analysis.details[number] for number in (0, 1, 3)})


@pytest.fixture(scope="module", params=["one", "recording"])
def html(request: pytest.FixtureRequest) -> str:
    return render(request.getfixturevalue(request.param))


def words(analysis: Analysis, **options: object) -> str:
    return Outline(render(analysis, **options)).words


def test_nothing_is_loaded_and_only_its_own_style_and_script_can_run(html: str) -> None:
    outline = Outline(html)
    (policy,) = (meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        (content,) = outline.contents(tag)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in str(policy)
        assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|import\(", content)
    for part in ("default-src 'none'", "img-src data:;", "media-src data:;", "base-uri 'none'", "form-action 'none'"):
        assert part in str(policy)
    assert "unsafe" not in str(policy) and "*" not in str(policy)
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "poster", "action", "data", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
    assert "//" not in re.sub(r"data:[^\"]*", "", re.sub(r"(?s)<script>.*</script>|<style>.*</style>", "", html))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_are_text(recording: Analysis, name: str) -> None:
    def named(text: str) -> Outline:
        labels = (f"{text}0", f"{text}1", f"{text}2")
        analysis = with_card(recording, name=f"{text}3", labels=labels, score={"accuracy": 0.5, "measured": f"{text}4"})
        analysis = with_prediction(analysis, name=text, warnings=(f"{text}5",))
        return Outline(render(replace(analysis, versions={f"{text}6": "1"}), ["conv1"], command=[text]))

    theirs, ours = named(name), named("plain")
    for number in range(7):
        assert f"{name}{number}" in theirs.text
    shape, expected = ([(tag, sorted(attributes)) for tag, attributes in o.elements] for o in (theirs, ours))
    assert shape == expected, "a name makes no element and no attribute"


def test_a_name_that_is_not_utf8(one: Analysis) -> None:
    html = render(with_prediction(one, name="caf\udce9.wav"), command=["visualize", "caf\udce9.wav"])
    html.encode("utf-8")
    assert "caf\\udce9.wav" in Outline(html).text


def test_equal_analyses_give_equal_pages_but_for_one_time(one: Analysis) -> None:
    html, later = render(one), render(one, created=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert html == render(analysis_of(ONE))
    assert html != later
    assert re.sub(r"<time.*?</time>", "", html) == re.sub(r"<time.*?</time>", "", later)
    (time,) = Outline(later).all("time")
    assert time["datetime"] == "2031-01-02T03:04:05+00:00"


def test_structure_for_those_who_do_not_see_it(html: str) -> None:
    outline = Outline(html)
    assert outline.all("html")[0]["lang"] == "en"
    for tag in ("h1", "main", "nav", "dialog"):
        assert len(outline.all(tag)) == 1, tag
    assert len(outline.all("table")) == len(outline.all("caption"))
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(below <= above + 1 for above, below in pairwise(levels)), "no level is skipped"
    assert all(heading.get("scope") in {"col", "row"} for heading in outline.all("th"))
    assert all("alt" in image for image in outline.all("img"))
    assert all("aria-label" in drawing or drawing.get("aria-hidden") == "true" for drawing in outline.all("svg"))
    assert all(audio.get("aria-label") for audio in outline.all("audio"))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes.get("aria-labelledby") for _, attributes in outline.elements} - {None}
    links = {str(link["href"])[1:] for link in (*outline.all("a"), *outline.all("use"))}
    assert named | links <= set(ids), "every link leads somewhere"
    skip = next(attributes for tag, attributes in outline.elements if tag in {"a", "button", "input"})
    assert skip["href"] == "#main", "the first thing to reach is the skip link"


def test_a_map_is_described(one: Analysis) -> None:
    alts = [str(image["alt"]) for image in Outline(render(one)).all("img")]
    layers = [alt for alt in alts if alt.startswith(tuple(one.card.layers))]
    assert len(layers) == 7 * 4, "of each layer the mean and three channels"
    assert "layer1, channel 0: highest at 0.5 s in the high frequencies, colours from 0 to 2.5." in layers
    flat = replace(one, feature_maps={**one.feature_maps, "layer1": np.zeros((8, 4, 4), dtype=np.float32)})
    assert 'alt="layer1, mean over channels: the same value everywhere' in render(flat)


def test_every_choice_has_its_label_and_one_of_each_group_is_chosen(recording: Analysis) -> None:
    outline = Outline(render(recording))
    labelled = {label.get("for") for label in outline.all("label")}
    radios = [field for field in outline.all("input") if field["type"] == "radio" and field["name"] != "scale"]
    assert len(radios) == 3 + 3 * 3, "the windows, and the classes of each"
    assert {radio["id"] for radio in radios} <= labelled
    checked = {radio["id"] for radio in radios if "checked" in radio}
    assert checked == {"window-1", "class-1", "class-0-1", "class-3-1"}
    assert len(outline.all("audio")) == 3 + 3 * 3


def test_a_choice_needs_no_script_because_its_part_follows_its_label(recording: Analysis) -> None:
    order = [
        (tag, attributes.get("id") or attributes.get("for") or attributes.get("class"))
        for tag, attributes in Outline(render(recording)).elements
        if tag in {"input", "label"} or "pane" in (attributes.get("class") or "").split()
    ]
    for chosen, part in (("class-2", "pane reason"), ("window-3", "view pane")):
        at = order.index(("input", chosen))
        assert order[at + 1] == ("label", chosen)
        assert order[at + 2][1] == part
    css = (resources.files("escnn.report") / "sound" / "sound.css").read_text(encoding="utf-8")
    assert re.search(r"\.tabs > \.pane \{ display: none;", css)
    assert re.search(r"\.tabs > input:checked \+ label \+ \.pane \{ display: block;", css)


def test_pictures_and_sounds_are_inside_once(recording: Analysis) -> None:
    html, audio = render(recording), recording.card.audio
    (conv1,) = draw_layers(recording, ["conv1"], channels=3)
    expected = [("image/png", conv1.channels[2].png)]
    for number, detail in recording.details.items():
        kind = "WAV" if number == recording.main else "MP3"
        media_type = "audio/wav" if kind == "WAV" else "audio/mpeg"
        expected.append((media_type, encode(detail.samples, audio.sample_rate, kind)))
        log_mel = detail.log_mel
        picture = images.feature_map(log_mel, images.decibel_limits(log_mel), images.SPECTROGRAM_COLORS)
        expected.append(("image/png", images.png_bytes(picture)))
        for saliency in detail.saliency[:2]:  # the last is the same in every window
            overlay = images.overlay(saliency, images.saliency_limits(saliency))
            expected.append(("image/png", images.png_bytes(overlay)))
            filtered = filter_sound(detail.samples, saliency, audio)
            expected.append(("audio/mpeg", encode(filtered, audio.sample_rate, "MP3")))
    for media_type, content in expected:
        assert html.count(f"data:{media_type};base64,{base64.b64encode(content).decode()}") == 1


def test_the_page_says_what_the_model_said(one: Analysis) -> None:
    outline = Outline(render(one))
    assert "Predicted class vacuum cleaner" in outline.words
    assert "vacuum_cleaner" not in outline.text
    assert "In clip.wav." in outline.words
    assert "81.0 %" in outline.words
    assert "The 3 best of 3 classes" in outline.words
    assert f"{one.card.parameters:,} parameters, 3 classes".replace(",", "\u202f", 1) in outline.text
    for text in ("ab" * 32, "cd" * 32, "8 000 Hz, stereo", "escnn visualize clip.wav", "escnn 0.2.0, torch 2.14.1"):
        assert text in outline.words
    assert "85.8 %; on the 400 clips of fold 5, trained on folds 1, 2, 3, 4" in outline.words
    bars = [bar["width"] for bar in outline.all("rect") if bar.get("class") == "fill"]
    assert bars == ["81.00%", "18.50%", "0.50%"]
    assert [bar.get("class") for bar in Outline(render(one, top_k=2)).all("rect")].count("fill") == 2


def test_warnings_are_announced(one: Analysis) -> None:
    assert "Warnings" not in render(one)
    assert "The recording is clipped." in words(with_prediction(one, warnings=("The recording is clipped.",)))


def test_the_page_without_its_optional_parts(one: Analysis) -> None:
    silent = replace(one.detail, samples=np.zeros(4_000, dtype=np.float32), log_mel=np.full((32, 32), -80, np.float32))
    bare = replace(one, details={0: silent}, info=SoundInfo(8_000, 6, "WAV", "PCM_16"), versions={})
    outline = Outline(render(with_card(bare, score=None), layers=[], top_k=1, command=()))
    assert "Inside the network" not in outline.text and "The maps" not in outline.text
    assert outline.all("dialog") == [] and outline.all("details") == []
    assert "The best of 3 classes" in outline.words and "Accuracy not known" in outline.words
    assert "6 channels" in outline.words and "Command" not in outline.words
    assert any("equally loud everywhere" in str(drawing.get("aria-label")) for drawing in outline.all("svg"))
    assert "strongest of" in words(one) and "strongest of" not in words(one, channels=0)


def test_sections_are_there_when_there_is_something_to_say(one: Analysis, recording: Analysis) -> None:
    bare, rich = (Outline(render(analysis)) for analysis in (one, recording))
    ids = [{attributes.get("id") for _, attributes in outline.elements} for outline in (bare, rich)]
    links = [[link["href"] for link in outline.all("a")] for outline in (bare, rich)]
    assert "recording" not in ids[0] and "#recording" not in links[0]
    assert {"recording", "listen", "why", "listen-0", "why-0", "listen-3"} <= ids[1] and "#recording" in links[1]
    assert "listen-2" not in ids[1], "a window without its sound has no view"


def test_a_block_lies_inside_its_stage_and_alone_stands_for_itself(one: Analysis) -> None:
    assert words(one, layers=["layer1.block0.conv", "layer1"]).count("Inside layer1, block by block 1 layer") == 1
    alone = Outline(render(one, layers=["conv1", "layer1.block0.conv"]))
    assert [part["data-name"] for part in alone.all("article")] == ["conv1", "layer1.block0.conv"]
    assert "2 stages" in alone.words


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.97, 0.01], "Close to certain."),
        ([0.7, 0.2], "Fairly sure."),
        ([0.45, 0.1], "A weak preference."),
        ([0.48, 0.45], "Ambiguous."),
        ([0.12, 0.11], "No clear answer."),
        ([0.9999], "Close to certain."),
    ],
)
def test_how_sure_it_is(scores: list[float], expected: str) -> None:
    verdict, sentence = certainty([(f"class_{k}", score) for k, score in enumerate(scores)])
    assert verdict == expected
    assert len(scores) == 1 or "class 1" in sentence or "12.0\u00a0%" in sentence


def test_the_waveform_touches_its_peak_and_stays_in_its_box() -> None:
    points = re.findall(r"(\d+) (-?[\d.]+)", waveform_path([-0.1, -0.5, 0.0], [0.1, 0.25, 0.2]))
    assert [int(x) for x, _ in points] == [0, 1, 2, 2, 1, 0], "there on top, back below"
    heights = [float(y) for _, y in points]
    assert min(heights) == 100 - 95 / 2
    assert max(heights) == 195, "louder below than above"
    assert "100.0" in waveform_path([0.0], [0.0]), "silence is a line in the middle"


def test_the_text_says_where_the_evidence_lies(recording: Analysis) -> None:
    html = render(recording)
    # A quarter into half a second that begins at 0.5 s, in the third band from the top.
    said = "The evidence for vacuum cleaner is strongest at 0.6 s near 3 253 Hz, in the high frequencies (ring)."
    assert said in Outline(html).words
    assert "The evidence for cat is the same everywhere, so no moment and no band stands out." in Outline(html).words
    ring = next(mark for mark in Outline(html).all("circle") if mark["cx"] == "26.56%")
    assert ring["cy"] == "7.81%", "frequencies rise to the top"
    measured = "takes the score of vacuum cleaner from 60.0 % to 9.0 %; blanking a random fifth leaves 72.0 %."
    assert Outline(html).words.count(measured) == 1, "in the main window only"


def test_a_class_that_could_not_have_won_is_drawn_faintly_and_the_page_says_so(one: Analysis) -> None:
    html = render(one)
    panes = [pane["class"] for pane in Outline(html).all("figure") if "reason" in str(pane["class"])]
    assert panes == ["pane reason", "pane reason", "pane reason faint"]
    assert Outline(html).words.count("Its score is below 1 %, so its evidence is drawn faintly.") == 1


@pytest.mark.parametrize(
    ("rate", "channels", "said"),
    [
        (8_000, 1, "mono"),
        (48_000, 1, "mono: resampled from 48 000 Hz"),
        (8_000, 2, "mono: mixed from stereo"),
        (96_000, 6, "mono: resampled from 96 000 Hz and mixed from 6 channels"),
    ],
)
def test_the_player_states_what_it_plays(recording: Analysis, rate: int, channels: int, said: str) -> None:
    html = render(replace(recording, info=SoundInfo(rate, channels, "WAV", "PCM_16")), layers=[])
    lines = [" ".join(line.split()) for line in re.findall(r'<p class="format">(.*?)</p>', html)]
    assert lines == [f"8 000 Hz, {said}", f"8 000 Hz, 16 bit, {said}", f"8 000 Hz, {said}"], "an MP3 has no bits"


def test_the_receptive_field_is_said_and_outlined(one: Analysis) -> None:
    outline = Outline(render(one, layers=["conv1", "layer2"]))
    # 7 bands and frames: 6 hops of 128 samples and a transform of 256, at 8 kHz; half a second is 4,000 samples.
    assert "receptive field 0.128 s, 7 of 32 bands, 870–1 520 Hz in the middle" in outline.words
    assert "receptive field all 0.5 s, all bands, " in outline.words
    fields = [at for at, (_, attributes) in enumerate(outline.elements) if attributes.get("class") == "receptive-field"]
    conv1, layer2 = (outline.elements[at + 1][1] for at in fields)
    assert (conv1["x"], conv1["width"]) == ("37.20%", "25.60%"), "0.128 of 0.5 seconds, in the middle"
    assert (conv1["y"], conv1["height"]) == ("39.06%", "21.88%"), "7 of 32 bands"
    assert (layer2["x"], layer2["width"], layer2["height"]) == ("0.00%", "100.00%", "100.00%")


def test_the_timeline_is_true_to_time_and_is_a_table_too(recording: Analysis) -> None:
    html = render(recording)
    bars = [bar for bar in Outline(html).all("rect") if "data-window" in bar]
    assert [bar["x"] for bar in bars] == ["0.00%", "25.00%", "50.00%", "75.00%"]
    assert {bar["width"] for bar in bars} == {"25.00%"}
    assert [str(bar["class"]) for bar in bars] == ["tone-1", "tone-0 main", "tone-0", "tone-2"], "a colour a class"
    rows = [Outline(row).words for row in re.findall(r"(?s)<tr>.*?</tr>", html)]
    assert "0.5–1.0 s vacuum cleaner 60.0 % washing machine 30.0 %, cat 10.0 %" in rows
    said = Outline(html).words
    assert "2.0 s in 4 windows." in said and "the scores are the mean over 4 windows" in said
    assert "Those that tell most can be chosen; the others are in the table." in said
    assert "the main window, 0.5–1.0 s, whichever is chosen above: the one that scores highest for vacuum clean" in said
    assert "can be chosen" not in words(analysis_of(SEVERAL))


def test_the_last_window_overlaps_the_one_before_and_ends_with_the_sound(recording: Analysis) -> None:
    late = with_prediction(recording, seconds=1.6, window_starts=(0.0, 0.5, 1.0, 1.1))
    bars = [bar for bar in Outline(render(late, layers=[])).all("rect") if "data-window" in bar]
    assert [bar["x"] for bar in bars] == ["0.00%", "31.25%", "62.50%", "68.75%"]


def test_where_silence_was_left_out_the_timeline_is_empty(one: Analysis) -> None:
    html = render(with_prediction(one, seconds=20.0, window_starts=(10.0,)), layers=[])
    (bar,) = [bar for bar in Outline(html).all("rect") if "data-window" in bar]
    assert (bar["x"], bar["width"]) == ("50.00%", "2.50%")
    assert "20.0 s in 1 window." in Outline(html).words and "Listen from 10.0 s" in Outline(html).words


def test_times_from_a_minute_on_are_minutes_and_seconds(recording: Analysis) -> None:
    html = render(with_prediction(recording, seconds=65.0, window_starts=(0.0, 60.0, 61.0, 64.5)))
    said = Outline(html).words
    for text in ("0.0–0.5 s", "1:00.0–1:00.5", "1:04.5–1:05.0", "1:05.0 in 4 windows", "Listen from 1:00.0"):
        assert text in said
    assert "strongest at 1:00.1 near" in said and "Length 1:05.00" in said
    assert ">1:05" in html and not re.search(r"6\d(\.\d+)? s(econds)?\b", re.sub(r"data:[^\"]*", "", html))


def test_a_page_of_37_layers_stays_below_3_megabytes() -> None:
    analysis = large_analysis()
    assert len(analysis.card.layers) == 37
    assert len(render(analysis, channels=8).encode()) < 3_000_000


def test_text_stands_out_from_its_ground_in_every_theme() -> None:
    css = (resources.files("escnn.report") / "style.css").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--(\w+): (#\w{6});", rules))
        for rules in re.findall(r"\{([^{}]*--paper: #\w{6};[^{}]*)\}", css)
    ]
    assert len(themes) == 3, "light, dark and night"
    for colors in themes:
        for ground in ("paper", "card"):
            for text in ("ink", "quiet", "accent"):
                assert contrast(colors[text], colors[ground]) >= 4.5, (colors[text], colors[ground])
    night = themes[-1]
    assert min(contrast(night[text], night["line"]) for text in ("ink", "quiet")) >= 4.5, "the window chosen"
    sound = (resources.files("escnn.report") / "sound" / "sound.css").read_text(encoding="utf-8")
    (chosen,) = re.findall(r"background: var\(--accent\); color: (#\w{6});", sound)
    assert contrast(chosen, night["accent"]) >= 4.5, "the class chosen"
