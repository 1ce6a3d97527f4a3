"""The pages in a real browser: headless Chromium, where there is one. Files are opened from disk, as users do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from playwright.sync_api import Browser, Page, Request, Route, sync_playwright
from typer.testing import CliRunner

from escnn.cli import app

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None and os.environ.get("CI"):
    pytest.fail("no Chromium: on Debian, apt-get install chromium", pytrace=False)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open pages in: install Debian's chromium")

HOSTILE = (
    "<img src=x onerror=window.run=1>\"'&amp; \u202e\U0001f415 <script>window.run=1<!--"  # a file cannot have a slash
)
ALLOWED = {"minor", "moderate", None}  # impacts of axe-core that do not fail a test


class Watched:
    """A page in the browser, with everything that it said or asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def open(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--autoplay-policy=no-user-gesture-required", "--no-sandbox", "--disable-gpu"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Watched(context.new_page())
    context.close()


@pytest.fixture(scope="module")
def pages(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of every kind: one window, several windows, several sounds."""
    folder = tmp_path_factory.mktemp("pages")
    noise = np.random.default_rng(0).standard_normal(4_000).astype(np.float32) * 0.3
    recording = np.concatenate([tone(400, 0.5, 8_000), noise, tone(3_000, 0.5, 8_000)])
    for name, samples in {"one": recording[:4_000], "long": recording}.items():
        soundfile.write(folder / f"{name}.wav", samples, 8_000)
    shutil.copy(folder / "one.wav", folder / f"{HOSTILE}.wav")
    run(small_model, "visualize", folder / "one.wav", "--out", folder / "one")
    run(small_model, "visualize", folder / "long.wav", "--out", folder / "long")
    run(small_model, "visualize", *sorted(folder.glob("*.wav")), "--layers", "conv1", "--out", folder / "all")
    hostile = next(path for path in (folder / "all").iterdir() if "onerror" in path.name)
    return {
        "one window": folder / "one" / "report.html",
        "long recording": folder / "long" / "report.html",
        "several sounds": folder / "all" / "index.html",
        "hostile name": hostile / "report.html",
    }


KINDS = ["one window", "long recording", "several sounds", "hostile name"]


def run(model: Path, *arguments: object) -> None:
    command = [*map(str, arguments), "--model", str(model), "--device", "cpu", "-q"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_asks_for_nothing_and_says_nothing(watched: Watched, pages: dict[str, Path], kind: str) -> None:
    page = watched.open(pages[kind])
    page.wait_for_timeout(200)
    assert watched.requests == [page.url]
    assert watched.errors == []
    assert page.evaluate("window.run") is None
    assert page.locator("h1").is_visible()


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_blocks_whatever_is_injected(watched: Watched, pages: dict[str, Path], kind: str) -> None:
    page = watched.open(pages[kind])
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.run = 1";
            const image = document.createElement("img");
            image.src = "http://localhost:9/pixel.png";
            image.setAttribute("onerror", "window.run = 2");
            document.body.append(script, image);
        }"""
    )
    wait_until(page, lambda: any("Content Security Policy" in error for error in watched.errors))
    page.wait_for_timeout(200)
    assert page.evaluate("window.run") is None
    assert not [url for url in watched.requests if url.startswith("http") and "pixel" not in url]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [360, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_accessible_and_fits(
    browser: Browser, pages: dict[str, Path], kind: str, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True
    )
    page = context.new_page()
    page.goto(pages[kind].as_uri())
    page.evaluate("for (const list of document.querySelectorAll('details')) list.open = true")
    found = Axe().run(page)
    serious = [
        f"{violation['id']}: {violation['help']}: {violation['nodes'][0]['html'][:200]}"
        for violation in found.response["violations"]
        if violation["impact"] not in ALLOWED
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_read_without_script(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages[kind].as_uri())
    assert page.locator("h1").is_visible()
    assert page.locator("table").first.is_visible()
    if kind == "one window":
        assert page.locator("audio.original").is_visible()
        assert not page.locator(".scripted").first.is_visible()
        other = page.locator(".classes > label").nth(1)
        other.click()
        assert page.locator(".reason").nth(1).is_visible()
        assert not page.locator(".reason").nth(0).is_visible()
    context.close()


def wait_until(page: Page, so: Callable[[], bool]) -> None:
    """Playwright's own waiting evaluates strings in the page, which its policy forbids."""
    for _ in range(100):
        if so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("waited for 5 seconds")


def played(page: Page) -> float:
    """Where the play-head of the chosen view stands, as a share of the sound."""
    return float(page.evaluate("getComputedStyle(document.querySelector('.view')).getPropertyValue('--played')"))


def heard(page: Page) -> float:
    """Where the original of the chosen view stands, as a share of the sound."""
    audio = "document.querySelector('audio.original')"
    return float(page.evaluate(f"{audio}.currentTime / document.querySelector('.view').dataset.seconds"))


def test_the_play_head_moves_while_the_sound_plays(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    assert played(page) == 0
    assert not page.locator(".playhead").first.is_visible()
    page.evaluate("document.querySelector('audio.original').play()")
    wait_until(page, lambda: played(page) > 0.3)
    page.evaluate("document.querySelector('audio.original').pause()")
    wait_until(page, lambda: played(page) == heard(page))
    for number in range(2):  # over the waveform and the spectrogram, and over the evidence
        plot, head = page.locator(".plot:visible").nth(number), page.locator(".plot:visible .playhead").nth(number)
        across, line = plot.bounding_box(), head.bounding_box()
        assert across is not None
        assert line is not None
        assert (line["x"] - across["x"]) / across["width"] == pytest.approx(played(page), abs=0.01)
    assert watched.errors == []


def test_a_click_in_a_picture_seeks(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["one window"])
    plot = page.locator(".plot").first
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20)
    page.mouse.down()
    assert heard(page) == pytest.approx(0.75, abs=0.02)
    assert played(page) == pytest.approx(0.75, abs=0.02)
    page.mouse.up()
    wait_until(page, lambda: heard(page) > 0.76)  # let go, and it plays from there
    page.evaluate("document.querySelector('audio.original').pause()")
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert heard(page) == pytest.approx(0.2, abs=0.01)
    assert plot.get_attribute("aria-valuenow") == "0.10"


@pytest.mark.parametrize("kind", ["one window", "long recording"])
def test_every_player_seeks_to_every_moment(watched: Watched, pages: dict[str, Path], kind: str) -> None:
    page = watched.open(pages[kind])
    for audio in page.locator("audio").all():
        audio.evaluate("audio => { audio.preload = 'auto' }")
        wait_until(page, lambda audio=audio: audio.evaluate("audio => audio.readyState") > 0)
        for share in np.linspace(0.03, 0.99, 17):
            audio.evaluate("(audio, share) => { audio.currentTime = share * audio.duration }", share)
            wait_until(page, lambda audio=audio: not audio.evaluate("audio => audio.seeking"))


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
        return pane.locator(".overlay image").get_attribute("href"), pane.locator(".spoke").get_attribute("src")

    first = shown()
    page.locator(".classes > label").nth(1).click()
    second = shown()
    assert first[0] != second[0]
    assert first[1] != second[1]
    strength = page.locator(".strength input")
    strength.fill("20")
    assert (
        float(page.evaluate("getComputedStyle(document.querySelector('.reason:not([hidden]) .overlay')).opacity"))
        == 0.2
    )


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
    page = watched.open(pages["long recording"])
    assert page.locator(".windows > label").count() == 3
    for number in (0, 2):
        page.locator(".windows > label").nth(number).click()
        view = page.locator(".view:visible")
        assert view.count() == 1
        assert float(view.get_attribute("data-start") or -1) == pytest.approx(0.5 * number)
        view.locator("audio.original").evaluate("audio => audio.play()")
        wait_until(page, lambda view=view: view.locator("audio.original").evaluate("audio => audio.currentTime") > 0.05)
    playing = "[...document.querySelectorAll('audio')].filter(audio => !audio.paused).length"
    wait_until(page, lambda: page.evaluate(playing) <= 1)
    assert watched.errors == []


def test_the_index_leads_to_every_page(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["several sounds"])
    links = page.locator("main a[href$='report.html']")
    addresses = sorted({str(link.get_attribute("href")) for link in links.all()})
    assert len(addresses) == 3
    for address in addresses:
        watched.open(pages["several sounds"])
        page.locator(f"main a[href='{address}']").first.click()
        page.wait_for_load_state()
        assert page.locator("#verdict").is_visible()
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
