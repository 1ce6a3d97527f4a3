"""The page of a sound in a real browser."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route
from report.browser import Opener, Watched, assert_accessible, box_of, needs_chromium, wait_until, written
from report.outline import HOSTILE_NAME
from report.sound.made_up import ONE, SEVERAL, analysis_of, render, with_card, with_prediction

pytestmark = needs_chromium
KINDS = ["one window", "recording", "hostile"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One window; a minute and more, of which a window is listed only; hostile names everywhere; a notebook."""
    one, several = analysis_of(ONE), analysis_of(SEVERAL)
    recording = with_prediction(several, seconds=65.0, window_starts=(0.0, 60.0, 61.5, 64.5))
    hostile = with_card(one, name=HOSTILE_NAME, labels=tuple(f"{HOSTILE_NAME}{number}" for number in range(3)))
    html = {
        "one window": render(one),
        "recording": render(replace(recording, details={k: several.details[k] for k in (0, 1, 3)})),
        "hostile": render(
            with_prediction(hostile, name=HOSTILE_NAME, warnings=(HOSTILE_NAME,)), ["conv1"], command=[HOSTILE_NAME]
        ),
        "frame": render(one),
    }
    return written(html, tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_asks_for_nothing_and_says_nothing(watched: Watched, pages: dict[str, Path], kind: str) -> None:
    watched.open(pages[kind]).wait_for_timeout(200)
    watched.assert_asks_and_says_nothing()


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_accessible_and_fits(on_screens: Opener, pages: dict[str, Path], kind: str) -> None:
    assert_accessible(on_screens(pages[kind]))


def test_a_page_can_be_read_without_script(open_page: Opener, pages: dict[str, Path]) -> None:
    page = open_page(pages["one window"], java_script_enabled=False)
    assert page.locator("h1").is_visible()
    assert page.locator("table").first.is_visible()
    assert page.locator("audio.original").is_visible()
    assert not page.locator(".scripted").first.is_visible()
    page.locator(".classes > label").nth(1).click()
    assert page.locator(".reason").nth(1).is_visible()
    assert not page.locator(".reason").nth(0).is_visible()


@pytest.mark.parametrize("kind", ["one window", "recording"])
def test_the_contents_number_the_headings_as_they_are_numbered(
    watched: Watched, pages: dict[str, Path], kind: str
) -> None:
    page = watched.open(pages[kind])
    linked = [link.inner_text() for link in page.locator("nav a").all()]
    seen = [heading.inner_text() for heading in page.locator("h2:visible").all()]
    assert linked[0] == "Prediction", "which is the page's title and has no number"
    assert [text.split(" from ")[0] for text in seen] == linked[1:]
    assert all(box_of(heading)["height"] > 20 for heading in page.locator("h2:visible").all())
    content = "(selector => getComputedStyle(document.querySelector(selector), '::before').content)"
    assert page.evaluate(f"{content}('nav a[href=\"#verdict\"]')") == "none"
    assert page.evaluate(f"{content}('nav li:nth-child(2) a')") == "counter(link)"
    assert page.evaluate(f"{content}('h2')") == "counter(section)"


def test_the_labels_of_the_frequencies_stand_beside_their_lines(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    middles = "elements => elements.map(e => e.getBoundingClientRect()).map(box => (box.top + box.bottom) / 2)"
    labels = page.locator(".scope .frequency text")
    assert labels.evaluate_all(middles) == pytest.approx(page.locator(".spectrogram line").evaluate_all(middles), abs=2)
    plot = box_of(page.locator(".spectrogram"))
    assert all(right <= plot["x"] for right in labels.evaluate_all("e => e.map(l => l.getBoundingClientRect().right)"))


def played(page: Page) -> float:
    """Where the play-head of the first view stands, as a share of the sound."""
    return float(page.evaluate("getComputedStyle(document.querySelector('.view')).getPropertyValue('--played')"))


def original(page: Page) -> float:
    """Where the player of the first view stands, as a share of the sound."""
    audio = "document.querySelector('audio.original')"
    return float(page.evaluate(f"{audio}.currentTime / document.querySelector('.view').dataset.seconds"))


def test_the_play_head_moves_while_the_sound_plays(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    assert played(page) == 0
    assert not page.locator(".playhead").first.is_visible()
    page.evaluate("document.querySelector('audio.original').play()")
    wait_until(page, lambda: played(page) > 0.3)
    page.evaluate("document.querySelector('audio.original').pause()")
    wait_until(page, lambda: played(page) == original(page))
    for number in range(2):  # over the waveform and the spectrogram, and over the evidence
        plot, head = page.locator(".plot:visible").nth(number), page.locator(".plot:visible .playhead").nth(number)
        across, line = box_of(plot), box_of(head)
        assert (line["x"] - across["x"]) / across["width"] == pytest.approx(played(page), abs=0.01)
    assert watched.errors == []


def test_a_click_in_a_picture_seeks(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    plot = page.locator(".plot").first
    box = box_of(plot)
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20)
    page.mouse.down()
    assert original(page) == pytest.approx(0.75, abs=0.02)
    assert played(page) == pytest.approx(0.75, abs=0.02)
    page.mouse.up()
    wait_until(page, lambda: original(page) > 0.76)  # let go, and it plays from there
    page.evaluate("document.querySelector('audio.original').pause()")
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert original(page) == pytest.approx(0.2, abs=0.01)
    assert plot.get_attribute("aria-valuenow") == "0.10"
    assert page.locator(".readout").first.inner_text() == "0.10 s"


def test_the_readout_tells_minutes(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["recording"])
    plot = page.locator(".view:visible .plot").first
    plot.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".view:visible .readout").first.inner_text() == "1:00.10"


def test_every_kind_of_player_seeks_to_every_moment(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["recording"])
    players = page.locator("audio").all()[:5]  # all of a window, and the original of the main one
    kinds = [str(audio.get_attribute("src"))[:15] for audio in players]
    assert kinds == ["data:audio/mpeg"] * 4 + ["data:audio/wav;"]
    for audio in players:
        watched.assert_seeks(audio)


def test_the_original_and_the_evidence_take_turns(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    playing = "[...document.querySelectorAll('audio')].map(audio => !audio.paused)"
    page.evaluate("for (const audio of document.querySelectorAll('audio')) audio.loop = true")
    button = page.locator(".play-original:visible")
    button.click()
    wait_until(page, lambda: page.evaluate(playing) == [True, False, False, False])
    wait_until(page, lambda: button.inner_text() == "Pause the original")  # the event comes later
    page.locator(".reason:visible audio").evaluate("audio => audio.play()")
    wait_until(page, lambda: page.evaluate(playing) == [False, True, False, False])
    page.locator(".classes > label").nth(1).click()  # another class goes on playing
    wait_until(page, lambda: page.evaluate(playing) == [False, False, True, False])
    wait_until(page, lambda: page.locator(".play-original:visible").inner_text() == "Play the original")
    assert watched.errors == []


def test_a_map_opens_in_a_dialog_that_the_keyboard_walks_and_closes(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    first = page.locator("#network button.frame").first
    first.focus()
    page.keyboard.press("Enter")
    viewer = page.locator("dialog.viewer")
    assert viewer.is_visible()
    assert viewer.locator("#viewer-name").inner_text() == "conv1"
    caption = viewer.locator(".caption").inner_text()
    page.keyboard.press("ArrowRight")
    assert viewer.locator(".caption").inner_text() != caption
    page.keyboard.press("ArrowDown")
    assert viewer.locator("#viewer-name").inner_text() == "layer1"
    page.keyboard.press("Escape")
    assert not viewer.is_visible()
    focused = "document.activeElement.closest('.layer')?.dataset.name"
    wait_until(page, lambda: page.evaluate(focused) == "layer1")  # the map that was last seen, once the dialog is shut


def test_another_class_shows_another_overlay_and_another_sound(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])

    def shown() -> tuple[str | None, str | None]:
        pane = page.locator(".reason:visible")
        assert pane.count() == 1
        return pane.locator(".overlay image").get_attribute("href"), pane.locator("audio").get_attribute("src")

    def opacity() -> float:
        overlay = page.locator(".reason:visible .overlay")
        return float(overlay.evaluate("overlay => getComputedStyle(overlay).opacity"))

    first, faint = shown(), page.locator(".classes > label").nth(2)
    assert opacity() == 0.9
    faint.click()
    assert 0.2 < opacity() < 0.3, "it scores below 1 %"
    page.locator(".classes > label").nth(1).click()
    second = shown()
    assert first[0] != second[0]
    assert first[1] != second[1]
    page.locator(".strength input").fill("20")
    assert opacity() == 0.2
    faint.click()
    assert opacity() == pytest.approx(0.06)


def test_the_scale_of_the_maps_can_be_their_own(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    picture = page.locator(".map.channel .frame img").nth(1)
    shared = picture.get_attribute("src")
    page.locator(".scale input[value=map]").check()
    wait_until(page, lambda: picture.get_attribute("src") != shared)
    page.locator(".scale input[value=layer]").check()
    wait_until(page, lambda: picture.get_attribute("src") == shared)
    assert watched.errors == []


def test_choosing_a_window_shows_and_plays_that_window(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["recording"])
    assert page.locator(".windows > label").count() == 3
    assert page.locator(".chip").count() == 3, "the window that is listed only is in the table"
    for number, start in ((0, 0.0), (2, 64.5)):
        page.locator(".windows > label").nth(number).click()
        view = page.locator(".view:visible")
        assert view.count() == 1
        assert float(view.get_attribute("data-start") or -1) == start
        view.locator("audio.original").evaluate("audio => audio.play()")
        wait_until(page, lambda view=view: view.locator("audio.original").evaluate("audio => audio.currentTime") > 0.05)
    key = page.locator(".view:visible").get_attribute("data-key")
    links = page.locator("nav [data-part]")
    assert [link.get_attribute("href") for link in links.all()] == [f"#listen{key}", f"#why{key}"]
    playing = "[...document.querySelectorAll('audio')].filter(audio => !audio.paused).length"
    wait_until(page, lambda: page.evaluate(playing) <= 1)
    page.locator(".recording rect").nth(0).click()
    assert page.locator(".view:visible").get_attribute("data-start") == "0.0"
    assert watched.errors == []


def test_on_paper_it_is_black_on_white_without_players(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    page.emulate_media(media="print", color_scheme="dark")
    colors = "(style => [style.backgroundColor, style.color])(getComputedStyle(document.querySelector('.night')))"
    assert page.evaluate(colors) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert page.locator("audio:visible, button.scripted:visible, nav:visible").count() == 0
    assert page.locator(".spectrogram").is_visible()


def test_in_a_notebook_the_script_runs_and_links_lead_to_their_sections(
    watched: Watched, pages: dict[str, Path]
) -> None:
    page = watched.open(pages["frame"])
    frame = page.frames[1]
    frame.locator("nav a[href='#network']").click()
    wait_until(page, lambda: box_of(frame.locator("#network"))["y"] < 100)
    frame.locator("#network button.frame").first.click()
    assert frame.locator("dialog.viewer").is_visible()
    assert page.url == pages["frame"].as_uri()
    assert watched.errors == []


def test_a_request_would_be_noticed(watched: Watched, tmp_path: Path) -> None:
    """The watch itself: a page that fetches something and breaks is caught."""
    bad = tmp_path / "bad.html"
    bad.write_text("<h1>bad</h1><img src='http://localhost:9/pixel.png'><script>nothing.here()</script>", "utf-8")

    def refuse(route: Route) -> None:
        route.abort()

    watched.page.route("http://**", refuse)
    watched.open(bad)
    assert "http://localhost:9/pixel.png" in watched.requests
    assert any("nothing is not defined" in error for error in watched.errors)


@pytest.fixture(scope="module")
def two_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute in windows of half a second: 120 of them."""
    path = tmp_path_factory.mktemp("pages") / "minute.html"
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 120).tolist()
    analysis = analysis_of(scores)
    kept = {number: analysis.details[number] for number in sorted({analysis.main, *range(0, 120, 11)})}
    path.write_text(render(replace(analysis, details=kept), ["conv1"]), "utf-8")
    return path


@pytest.mark.parametrize("width", [320, 1280])
def test_the_bar_of_many_windows_has_colours(open_page: Opener, two_minutes: Path, width: int) -> None:
    """Hole 28: segments were narrower than the stroke between them, and the bar was black."""
    page = open_page(two_minutes, width, 800)
    bar = page.locator(".bar.recording")
    picture = np.asarray(Image.open(io.BytesIO(bar.screenshot())).convert("RGB"), dtype=int)
    middle = picture[len(picture) // 2]
    assert (middle.max(axis=1) > 120).mean() > 0.75, "the share of the bar that is not dark"


@pytest.mark.parametrize("width", [320, 1280])
def test_a_window_is_chosen_beside_what_it_shows(open_page: Opener, two_minutes: Path, width: int) -> None:
    """Hole 29: the page went to the first of all windows, thousands of pixels from the one that was pressed."""
    page = open_page(two_minutes, width, 800, reduced_motion="reduce")
    for label in (page.locator("label.chip").last, page.locator("label.chip").nth(3)):
        label.scroll_into_view_if_needed()
        before, box = page.evaluate("scrollY"), box_of(label)
        page.mouse.click(box["x"] + 20, box["y"] + 20)
        page.wait_for_timeout(100)
        assert abs(page.evaluate("scrollY") - before) < 200
        pane, chip = box_of(page.locator(".pane.view:visible")), box_of(label)
        assert pane["y"] - chip["y"] < 800, "in the same window of the browser, more or less"
