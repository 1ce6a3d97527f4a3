"""The page stands alone, keeps hostile names as text, and is the same for the same content."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from outline import Outline
from PIL import Image

from escnn import images
from escnn.report import (
    ClassScore,
    ColorScale,
    LayerView,
    MapView,
    ModelView,
    ReportPage,
    SoundView,
    SourceView,
    WhyClass,
    WhyView,
    WindowView,
    certainty,
    percent,
    render,
    time_ticks,
    waveform_path,
)

SCALE = ColorScale(0.0, 2.5, images.png_bytes(images.color_bar("viridis")))


def picture(height: int = 4, width: int = 7, seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).random((height, width))
    return images.png_bytes(images.feature_map(noise, (0, 1), "viridis"))


def layer(name: str, shape: tuple[int, int, int] = (8, 4, 7), shown: int = 3, inner: int = 0) -> LayerView:
    views = [MapView(f"channel {k}", picture(*shape[1:], k), SCALE, (0.5, 0.9)) for k in range(shown)]
    mean = MapView(f"mean over {shape[0]} channels", picture(*shape[1:], 99), SCALE, None)
    blocks = tuple(layer(f"{name}.block{k}.conv", shape, shown) for k in range(inner))
    return LayerView(name, "a residual block", shape, mean, views, None if shown == 2 else 12_345, blocks)


@pytest.fixture
def page() -> ReportPage:
    sound = SoundView(
        encoded=b"fLaC, as it were",
        start_seconds=0.0,
        seconds=5.0,
        envelope_low=[-0.1, -0.5, -0.2],
        envelope_high=[0.1, 0.25, 0.2],
        spectrogram_png=picture(16, 30),
        spectrogram_scale=ColorScale(-80.0, 0.0, SCALE.png),
        frames=30,
        hop_seconds=5 / 29,
        mel_frequencies_hz=[100.0, 1000.0, 10_000.0],
        frequency_ticks=[("100", 0.1), ("1k", 0.5)],
        peak=(0.5, 0.5),
    )
    return ReportPage(
        scores=(ClassScore("vacuum_cleaner", 0.81), ClassScore("washing_machine", 0.12), ClassScore("cat", 0.01)),
        sound=sound,
        layers=(layer("conv1"), layer("layer1", inner=2)),
        source=SourceView("clip.wav", "ab" * 32, 44_100, 2, 5.0),
        model=ModelView("default", "cd" * 32, 50, 2_718_322, 0.8575, "fold 5, trained on folds 1-4"),
        versions=(("escnn", "0.1.0"), ("torch", "2.14.1")),
        command="escnn visualize clip.wav --out report",
        created=datetime(2026, 11, 22, 17, 40, tzinfo=UTC),
    )


def evidence(seed: int, height: int = 16, width: int = 30) -> bytes:
    """A palette PNG that is transparent where nothing spoke."""
    shades = Image.fromarray((255 * np.random.default_rng(seed).random((height, width))).astype(np.uint8))
    shades.putpalette(bytes(range(256)) * 3)
    buffer = io.BytesIO()
    shades.save(buffer, "PNG", transparency=bytes(range(256)))
    return buffer.getvalue()


def reasons(*labels: str) -> WhyView:
    classes = [
        WhyClass(label, 0.5 / (k + 1), evidence(k), SCALE, (0.25, 0.9) if k == 0 else None, f"what {k}".encode())
        for k, label in enumerate(labels)
    ]
    return WhyView("masking", "Doe 2020", "It marks what spoke.", "The score falls from 81 % to 9 %.", classes)


@pytest.fixture
def full(page: ReportPage) -> ReportPage:
    """A minute of sound in four windows, of which the second is shown and the last can be chosen as well."""
    start_labels = ((0.0, "cat"), (20.0, "vacuum_cleaner"), (40.0, "vacuum_cleaner"), (55.0, "dog"))
    windows = [
        WindowView(start, 5.0, (ClassScore(label, 0.6), ClassScore("cat", 0.2)), picture(2, 6, k))
        for k, (start, label) in enumerate(start_labels)
    ]
    other = replace(page.sound, encoded=b"another", start_seconds=55.0, spectrogram_png=picture(16, 30, 5))
    windows[3] = replace(windows[3], sound=other, why=reasons("dog", "cat"))
    stage = replace(page.layers[0], receptive_seconds=0.4, receptive_hz=(512.0, 1_234.0), receptive_bands=2)
    return replace(
        page,
        sound=replace(page.sound, start_seconds=20.0, sample_rate=22_050),
        source=replace(page.source, seconds=60.0),
        why=reasons("vacuum_cleaner", "cat", "rooster"),
        layers=(stage, *page.layers[1:]),
        windows=windows,
        shown_window=1,
    )


@pytest.fixture(params=["page", "full"])
def any_page(request: pytest.FixtureRequest) -> ReportPage:
    found: ReportPage = request.getfixturevalue(request.param)
    return found


def test_the_policy_allows_exactly_the_style_and_script_there_are(any_page):
    outline = Outline(render(any_page))
    (policy,) = (meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        (content,) = outline.contents(tag)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "img-src data:;" in policy and "media-src data:;" in policy
    assert "base-uri 'none'" in policy and "form-action 'none'" in policy
    assert "unsafe" not in policy and "*" not in policy


def test_nothing_is_loaded_from_elsewhere(any_page):
    html = render(any_page)
    outline = Outline(html)
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "poster", "action", "data", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    assert "//" not in re.sub(r"data:[^\"]*", "", re.sub(r"(?s)<script>.*</script>|<style>.*</style>", "", html))
    assert not re.search(r"url\(|@import|https?:", outline.contents("style")[0])
    assert not re.search(r"fetch\(|XMLHttp|import\(|https?:", outline.contents("script")[0])


def test_no_inline_style_and_no_inline_handler(any_page):
    for tag, attributes in Outline(render(any_page)).elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


HOSTILE = [
    "<script>alert(1)</script>.wav",
    '"><img src=x onerror=alert(1)>.wav',
    "' onmouseover='alert(1)",
    "</title></style></script><h1>{{ 7 * 7 }}{% raw %}",
    "emoji 🐓 and \u202eright to left\u202c אבג",
    "&lt;b&gt; &amp;",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_are_text(page, name):
    ours = Outline(render(page))
    hostile = replace(
        page,
        scores=(ClassScore(name, 0.4), ClassScore(name, 0.35), ClassScore(name, 0.1)),
        source=replace(page.source, name=name),
        model=replace(page.model, name=name, measured=name),
        layers=tuple(replace(view, name=name, summary=name) for view in page.layers),
        warnings=(name,),
        versions=((name, name),) * 2,
        command=name,
    )
    theirs = Outline(render(hostile))
    assert name in theirs.text
    extra = {"ul", "li", "bdi"}  # the list with the one warning
    shape, expected = (
        [(tag, sorted(attributes)) for tag, attributes in outline.elements if tag not in extra]
        for outline in (theirs, ours)
    )
    assert shape == expected, "a name makes no element and no attribute"


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_the_reasons_and_the_timeline_are_text(full, name):
    def spoil(why: WhyView) -> WhyView:
        classes = [replace(view, label=name, media_type=name) for view in why.classes]
        return WhyView(name, name, name, name, classes)

    windows = [
        replace(
            window,
            scores=[ClassScore(name, answer.score) for answer in window.scores],
            sound=window.sound and replace(window.sound, media_type=name),
            why=window.why and spoil(window.why),
        )
        for window in full.windows
    ]
    ticks = [(name, height) for _, height in full.sound.frequency_ticks]
    sound = replace(full.sound, media_type=name, frequency_ticks=ticks)
    ours, theirs = (
        Outline(render(full)),
        Outline(render(replace(full, why=spoil(full.why), windows=windows, sound=sound))),
    )
    said = 4 * 2 + (2 + 2) * 2  # four windows with two answers each in the table; method, source and the two sentences
    assert theirs.text.count(name) >= said
    shape, expected = (
        [(tag, sorted(attributes)) for tag, attributes in outline.elements] for outline in (theirs, ours)
    )
    assert shape == expected, "a name makes no element and no attribute"


def test_a_name_that_is_not_utf8(page):
    html = render(replace(page, source=replace(page.source, name="caf\udce9.wav"), command="escnn 'caf\udce9.wav'"))
    html.encode("utf-8")
    assert "caf\\udce9.wav" in Outline(html).text


def test_the_same_content_gives_the_same_page_but_for_one_time(any_page):
    html, later = render(any_page), render(replace(any_page, created=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)))
    assert html == render(any_page)
    assert html != later
    without_time = [re.sub(r"<time.*?</time>", "", text, count=1) for text in (html, later)]
    assert without_time[0] == without_time[1]
    assert len(Outline(html).all("time")) == 1
    assert Outline(later).all("time")[0]["datetime"] == "2031-01-02T03:04:05+00:00"


def test_structure_for_those_who_do_not_see_it(page):
    outline = Outline(render(page))
    assert outline.all("html")[0]["lang"] == "en"
    for tag in ("h1", "main", "nav", "table", "caption", "dialog", "audio"):
        assert len(outline.all(tag)) == 1, tag
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(below <= above + 1 for above, below in pairwise(levels)), "no level is skipped"
    assert all(heading.get("scope") in {"col", "row"} for heading in outline.all("th"))
    assert all("alt" in image for image in outline.all("img"))
    in_maps = [image["alt"] for image in outline.all("img") if (image["alt"] or "").startswith(("conv1", "layer1"))]
    assert "layer1.block0.conv, channel 0: highest at 2.5 s in the high frequencies, colours from 0 to 2.5." in in_maps
    assert len(in_maps) == 4 * 4
    assert all("aria-label" in drawing or drawing.get("aria-hidden") == "true" for drawing in outline.all("svg"))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [attributes.get("aria-labelledby") for _, attributes in outline.elements]
    assert {name for name in named if name} <= set(ids)
    assert {link["href"][1:] for link in outline.all("a")} <= set(ids), "every link leads somewhere"
    skip = next(attributes for tag, attributes in outline.elements if tag in {"a", "button", "input"})
    assert skip["href"] == "#main", "the first thing to reach is the skip link"


def test_pictures_and_sound_are_inside(page):
    outline = Outline(render(page))
    embedded = {
        base64.b64decode(value.split(",", 1)[1])
        for _, attributes in outline.elements
        for value in (attributes.get("src"), attributes.get("href"))
        if value and value.startswith("data:") and ";base64," in value
    }
    inner = page.layers[1].inner[1].channels[2].png
    assert {page.sound.encoded, page.sound.spectrogram_png, page.layers[0].mean.png, inner} <= embedded


def test_the_page_says_what_the_model_said(page):
    text = " ".join(Outline(render(page)).text.split())  # hard spaces become soft ones
    assert "The network hears vacuum cleaner" in text and "vacuum_cleaner" not in text
    assert "81.0 %" in text and "The 3 best of 50 classes" in text
    assert "2 718 322 parameters" in text and "ab" * 32 in text and "stereo" in text
    assert "85.8 %; fold 5, trained on folds 1-4" in text
    bars = [bar["width"] for bar in Outline(render(page)).all("rect") if bar.get("class") == "fill"]
    assert bars == ["81.00%", "12.00%", "1.00%"]


def test_an_excerpt_and_warnings_are_announced_and_otherwise_absent(page):
    assert "this page shows" not in render(page) and 'class="warnings"' not in render(page)
    excerpt = replace(
        page,
        sound=replace(page.sound, start_seconds=10.0),
        source=replace(page.source, seconds=60.0),
        warnings=("The recording is clipped.",),
    )
    text = " ".join(Outline(render(excerpt)).text.split())
    assert "this page shows seconds 10.0–15.0 out of 60.0" in text
    assert "The recording is clipped." in text


def test_the_page_without_its_optional_parts(page):
    bare = replace(
        page,
        scores=page.scores[:1],
        layers=(),
        model=replace(page.model, accuracy=None, measured=None),
        sound=replace(page.sound, peak=None, envelope_low=[0.0, 0.0], envelope_high=[0.0, 0.0], frequency_ticks=()),
        source=replace(page.source, channels=6),
        versions=(),
    )
    outline = Outline(render(bare))
    assert "Inside the network" not in outline.text and "The maps" not in outline.text
    assert outline.all("dialog") == [] and outline.all("details") == []
    assert "not known" in outline.text and "6 channels" in outline.text
    no_channels = replace(page, layers=(replace(page.layers[0], channels=()),))
    assert "strongest of" not in Outline(render(no_channels)).text


def test_a_network_of_37_layers_stays_below_3_megabytes(page):
    stages = (("conv1", (64, 32, 108), 0), ("layer1", (64, 32, 108), 6), ("layer2", (128, 16, 54), 8))
    stages += (("layer3", (256, 8, 27), 12), ("layer4", (512, 4, 14), 6))
    layers = [
        replace(layer(n, shape, 8), inner=[layer(f"{n}.{k}", shape, 5) for k in range(m)]) for n, shape, m in stages
    ]
    assert sum(1 + len(view.inner) for view in layers) == 37
    noise = np.random.default_rng(0).bytes(440_000)  # five seconds as 16-bit WAV
    sound = replace(page.sound, encoded=noise, spectrogram_png=picture(128, 431))
    assert len(render(replace(page, layers=layers, sound=sound)).encode()) < 3_000_000


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.97, 0.01], "Close to certain."),
        ([0.7, 0.2], "Fairly sure."),
        ([0.45, 0.1], "A leaning, no more."),
        ([0.48, 0.45], "It is torn."),
        ([0.12, 0.11], "It does not know."),
        ([0.9999], "Close to certain."),
    ],
)
def test_how_sure_it_is(scores, expected):
    verdict, sentence = certainty([ClassScore(f"class_{k}", score) for k, score in enumerate(scores)])
    assert verdict == expected
    assert len(scores) == 1 or "class 1" in sentence or "best guess" in sentence


@pytest.mark.parametrize(
    ("score", "text"),
    [(1.0, "100.0 %"), (0.99961, "> 99.9 %"), (0.931, "93.1 %"), (0.0004, "< 0.1 %"), (0.0, "0.0 %")],
)
def test_percentages_never_round_doubt_away(score, text):
    assert percent(score).replace("\u00a0", " ") == text


def test_the_waveform_touches_its_peak_and_stays_in_its_box():
    points = re.findall(r"(\d+) (-?[\d.]+)", waveform_path([-0.1, -0.5, 0.0], [0.1, 0.25, 0.2]))
    assert [int(x) for x, _ in points] == [0, 1, 2, 2, 1, 0], "there on top, back below"
    heights = [float(y) for _, y in points]
    assert min(heights) == 100 - 95 / 2 and max(heights) == 195, "louder below than above"
    assert "100.0" in waveform_path([0.0], [0.0]), "silence is a line in the middle"


def test_time_ticks_of_an_hour_are_a_handful():
    assert [float(label) for label, _ in time_ticks(0, 3600)] == [600.0 * k for k in range(7)]


def test_time_ticks_are_round_and_lie_where_they_say():
    assert time_ticks(0, 5) == [(str(k), k / 5) for k in range(6)]
    for start, seconds in ((10.0, 5.0), (12.3, 5.0), (0.0, 0.25), (3.0, 60.0), (0.0, 0.012)):
        ticks = time_ticks(start, seconds)
        assert 2 <= len(ticks) <= 8
        for label, place in ticks:
            assert float(label) == pytest.approx(start + place * seconds, rel=1e-5)
            assert -1e-6 <= place <= 1 + 1e-6


def words(html: str) -> str:
    """The text of a page with hard and narrow spaces made plain."""
    return " ".join(Outline(html).text.split())


def test_sections_are_there_when_there_is_something_to_say(page, full):
    bare, rich = Outline(render(page)), Outline(render(full))
    ids = [{attributes["id"] for _, attributes in outline.elements if "id" in attributes} for outline in (bare, rich)]
    assert not ids[0] & {"why", "recording"} and "each value hears" not in bare.text
    assert {"why", "recording", "listen", "listen-3", "why-3"} <= ids[1]
    assert not {"listen-0", "listen-2"} & ids[1], "a window without its sound has no view"
    links = [[link["href"] for link in outline.all("a")] for outline in (bare, rich)]
    assert not {"#why", "#recording"} & set(links[0]) and {"#why", "#recording"} <= set(links[1])
    only_why, one_window = replace(page, why=reasons("cat")), replace(full, windows=full.windows[:1], shown_window=0)
    assert "recording" not in {attributes.get("id") for _, attributes in Outline(render(only_why)).elements}
    assert "recording" not in {attributes.get("id") for _, attributes in Outline(render(one_window)).elements}
    no_classes = Outline(render(replace(page, why=replace(full.why, classes=()))))
    assert "why" not in {attributes.get("id") for _, attributes in no_classes.elements}


def test_controls_have_names_and_nothing_has_two_ids(full):
    outline = Outline(render(full))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1 and all(below <= above + 1 for above, below in pairwise(levels))
    labelled = {label.get("for") for label in outline.all("label")}
    radios = [field for field in outline.all("input") if field["type"] == "radio" and field["name"] != "scale"]
    assert {radio["id"] for radio in radios} <= labelled and len(radios) == 2 + 3 + 2
    checked = [radio["id"] for radio in radios if "checked" in radio]
    assert sorted(checked) == ["class-1", "class-3-1", "window-1"], (
        "one of each group, the best class, the shown window"
    )
    assert all(audio.get("aria-label") for audio in outline.all("audio")) and len(outline.all("audio")) == 2 + 3 + 2
    references = {attributes.get("href") for attributes in outline.all("use")}
    assert references == {"#spectrogram", "#spectrogram-3"} and {link[1:] for link in references} <= set(ids)
    assert {link["href"][1:] for link in outline.all("a")} <= set(ids)


def test_a_choice_needs_no_script_because_its_part_follows_its_label(full):
    order = [
        (tag, attributes.get("id") or attributes.get("for") or attributes.get("class"))
        for tag, attributes in Outline(render(full)).elements
        if tag in {"input", "label"} or "pane" in (attributes.get("class") or "").split()
    ]
    for chosen, part in (("class-2", "pane reason"), ("window-3", "view pane")):
        at = order.index(("input", chosen))
        assert order[at + 1] == ("label", chosen) and order[at + 2][1] == part
    css = (resources.files("escnn.report") / "sound.css").read_text(encoding="utf-8")
    assert re.search(r"\.tabs > \.pane \{ display: none;", css)
    assert re.search(r"\.tabs > input:checked \+ label \+ \.pane \{ display: block;", css)


def test_the_text_says_where_the_evidence_lies(full):
    html = render(full)
    # A quarter into five seconds that begin at 20 s, in the highest of three bands.
    assert "The evidence for vacuum cleaner is strongest at 21.2 s near 10 000 Hz, in the high frequencies" in words(
        html
    )
    assert "The evidence for rooster is the same everywhere" in words(html)
    ring = next(mark for mark in Outline(html).all("circle"))
    assert (ring["cx"], ring["cy"]) == ("25.00%", "10.00%"), "frequencies rise to the top"
    assert "The score falls from 81 % to 9 %." in words(html) and "masking: Doe 2020" in words(html)


def test_overlays_and_filtered_sounds_are_inside_and_the_spectrogram_only_once(full):
    html = render(full)
    for content, media_type in (
        (full.why.classes[2].overlay_png, "image/png"),
        (full.why.classes[2].encoded, "audio/wav"),
        (full.windows[3].sound.encoded, "audio/wav"),
        (full.sound.spectrogram_png, "image/png"),
    ):
        assert html.count(f"data:{media_type};base64,{base64.b64encode(content).decode()}") == 1
    vorbis = replace(full.why.classes[0], media_type="audio/ogg", encoded=b"OggS")
    ogg = render(replace(full, why=replace(full.why, classes=[vorbis])))
    assert f"data:audio/ogg;base64,{base64.b64encode(b'OggS').decode()}" in ogg


@pytest.mark.parametrize(
    ("rate", "source_rate", "channels", "bits", "said"),
    [
        (44_100, 44_100, 1, 16, "44 100 Hz, 16 bit, mono"),
        (44_100, 48_000, 1, 16, "44 100 Hz, 16 bit, mono: resampled from 48 000 Hz"),
        (44_100, 44_100, 2, 16, "44 100 Hz, 16 bit, mono: mixed from stereo"),
        (22_050, 96_000, 6, None, "22 050 Hz, mono: resampled from 96 000 Hz and mixed from 6 channels"),
    ],
)
def test_the_player_states_what_it_plays(page, rate, source_rate, channels, bits, said):
    sound = replace(page.sound, sample_rate=rate, bits=bits)
    source = replace(page.source, sample_rate=source_rate, channels=channels)
    html = render(replace(page, sound=sound, source=source))
    (line,) = re.findall(r'<p class="format">(.*?)</p>', html)
    assert " ".join(line.split()) == said
    assert 'class="format"' not in render(page), "not known, not said"


def test_what_a_layer_hears_is_said_and_outlined(full):
    html = render(full)
    assert "each value hears 0.4 s, 2 of 3 bands, 512–1 234 Hz in the middle" in words(html)
    outline = Outline(html)
    at = next(k for k, (_, attributes) in enumerate(outline.elements) if attributes.get("class") == "reach")
    outlined = outline.elements[at + 1][1]
    assert (outlined["x"], outlined["width"]) == ("46.00%", "8.00%"), "0.4 of 5 seconds, in the middle"
    assert (outlined["y"], outlined["height"]) == ("16.67%", "66.67%"), "2 of 3 bands"
    wide = replace(full.layers[0], receptive_seconds=7.0, receptive_bands=250, receptive_hz=None)
    assert "each value hears all 5 s, all bands" in words(render(replace(full, layers=(wide,))))


def test_the_timeline_is_true_to_time_and_is_a_table_too(full):
    html = render(full)
    bars = [bar for bar in Outline(html).all("rect") if "data-window" in bar]
    assert [bar["x"] for bar in bars] == ["0.00%", "33.33%", "66.67%", "91.67%"]
    assert {bar["width"] for bar in bars} == {"8.33%"}
    tones = [str(bar["class"]).split()[0] for bar in bars]
    assert tones == ["tone-1", "tone-0", "tone-0", "tone-2"], "a colour a class, the first for the most frequent"
    text = words(html)
    rows = [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in re.findall(r"(?s)<tr>.*?</tr>", html)]
    assert "40.0–45.0 s vacuum cleaner 60.0 % cat 20.0 %" in rows
    assert "heard in 4 windows: the scores are the mean over them" in text
    assert "without their sound: they are listed and cannot be chosen" in text
    assert "those of the most telling window, 20.0–25.0 s" in text
    listed = [*full.windows[:3], replace(full.windows[3], sound=None, why=None)]
    assert "Only the most telling window is on this page" in words(render(replace(full, windows=listed)))
    choosable = [replace(window, sound=full.sound) for window in full.windows]
    assert "cannot be chosen" not in words(render(replace(full, windows=choosable)))


def test_a_page_with_reasons_for_five_classes_and_17_layers_stays_below_3_megabytes(page):
    stages = (("conv1", (32, 64, 216), 0), ("layer1", (32, 64, 216), 3), ("layer2", (64, 32, 108), 3))
    stages += (("layer3", (128, 16, 54), 3), ("layer4", (256, 8, 27), 3))
    layers = [
        replace(layer(n, shape, 8), inner=[layer(f"{n}.{k}", shape, 4) for k in range(m)]) for n, shape, m in stages
    ]
    assert sum(1 + len(view.inner) for view in layers) == 17
    rng = np.random.default_rng(0)
    why = reasons("a", "b", "c", "d", "e")
    # Filtered sounds at 44.1 kHz: a siren in noise came to 65 to 145 kB each, the whole of it to 336 kB.
    y, x = np.mgrid[-1:1:128j, -1:1:431j]
    overlay = images.png_bytes(images.feature_map(np.exp(-3 * (x**2 + y**2)), (0, 1), "viridis"))
    why = replace(why, classes=[replace(view, overlay_png=overlay, encoded=rng.bytes(145_000)) for view in why.classes])
    sound = replace(page.sound, encoded=rng.bytes(336_000), spectrogram_png=picture(128, 431))
    assert len(render(replace(page, layers=layers, sound=sound, why=why)).encode()) < 3_000_000


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""

    def luminance(color: str) -> float:
        channels = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_its_ground_in_every_theme():
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
    sound = (resources.files("escnn.report") / "sound.css").read_text(encoding="utf-8")
    (chosen,) = re.findall(r"background: var\(--accent\); color: (#\w{6});", sound)
    assert contrast(chosen, night["accent"]) >= 4.5, "the class chosen"
