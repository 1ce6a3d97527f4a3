"""The page follows Chromium's fake microphone, into which a file with planted sounds is played."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect
from report.browser import Watched, assert_accessible, microphone, needs_chromium
from server.conftest import Running, running

from escnn.audio.demo_sounds import RATE, synthesized

pytestmark = needs_chromium
SILENT, SECONDS = 6.0, 30.0  # before the planted siren, and in all
SIREN = 4.0  # seconds of it


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faint noise, in which a siren begins after `SILENT` seconds."""
    path = tmp_path_factory.mktemp("planted") / "planted.wav"
    samples = 0.0005 * np.random.default_rng(0).standard_normal(round(SECONDS * RATE))
    siren = 0.4 * synthesized("siren")[: round(SIREN * RATE)]
    samples[round(SILENT * RATE) :][: len(siren)] += siren
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def bundled() -> Iterator[Running]:
    """A server of the bundled model."""
    with running("--stream-idle-seconds", 3, "--streams", 2) as one:
        yield one


@pytest.fixture
def hearing(browser: Browser, planted: Path) -> Iterator[Callable[[str], Watched]]:
    """Open a page in a browser whose microphone plays the file, from the moment that it is asked for."""
    with microphone(browser, f"{planted}%noloop") as started:

        def open_page(url: str) -> Watched:
            context = started.new_context(permissions=["microphone"], viewport={"width": 1280, "height": 900})
            watched = Watched(context.new_page())
            watched.page.goto(url)
            return watched

        yield open_page


def follow(page: Page) -> list[dict[str, Any]]:
    """Begin; gives the lines that come, as they come."""
    lines: list[dict[str, Any]] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda data: lines.append(json.loads(data))),
    )
    page.get_by_role("button", name="Follow the microphone").click()
    expect(page.locator("#live")).to_be_visible(timeout=15_000)
    return lines


def seconds_of(text: str) -> float:
    minutes, _, seconds = text.partition(":")
    return 60 * int(minutes) + float(seconds)


@pytest.mark.slow
def test_planted_events_are_shown_at_their_times(bundled: Running, hearing: Callable[[str], Watched]) -> None:
    watched = hearing(bundled.url)
    page = watched.page
    follow(page)
    row = page.locator("#live-events tr", has_text="siren")
    expect(row.first).to_be_visible(timeout=30_000)
    shown_at = seconds_of(page.locator("#live-time").inner_text())
    start = seconds_of(row.first.locator(".from").inner_text())
    # The device plays from when it is opened, a moment before the page hears it.
    assert SILENT - 2.5 <= start <= SILENT + 1.0
    assert shown_at - start < 4.0
    assert page.locator("#live-lanes li", has_text="siren").count() == 1
    best = page.locator("#live-best li", has_text="siren")
    expect(best).to_be_visible()
    assert page.locator("#live-best li").count() == 5
    expect(row.first.locator(".state-of")).to_have_text("final", timeout=30_000)
    end = seconds_of(row.first.locator(".to").inner_text())
    assert start + SIREN - 1.5 <= end <= start + SIREN + 1.5
    drawn = page.evaluate(
        """() => { const canvas = document.querySelector("#live-spectrogram");
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size; }"""
    )
    assert drawn >= 8, "colours"
    page.get_by_role("button", name="Stop following").click()
    expect(page.get_by_role("button", name="Follow the microphone")).to_be_visible()
    expect(page.locator("#live-problem")).to_be_empty()
    assert watched.errors == []


def test_a_connection_that_is_cut_is_tried_again(
    small_model: Path, hearing: Callable[[str], Watched], free_port: int
) -> None:
    with running("--model", small_model, port=free_port) as server:
        watched = hearing(server.url)
        page = watched.page
        lines = follow(page)
        page.wait_for_function("() => document.querySelector('#live-best').childElementCount > 0", timeout=15_000)
    expect(page.locator("#live-problem")).to_contain_text("trying again", timeout=10_000)
    before = len(lines)
    with running("--model", small_model, port=free_port):
        expect(page.locator("#live-problem")).to_be_empty(timeout=15_000)
        page.wait_for_timeout(1_000)
        assert len(lines) > before
        assert page.get_by_role("button", name="Stop following").is_visible()


def test_a_browser_that_was_suspended_goes_on(bundled: Running, hearing: Callable[[str], Watched]) -> None:
    watched = hearing(bundled.url)
    page = watched.page
    lines = follow(page)
    page.wait_for_timeout(1_500)
    assert lines
    page.evaluate("live.context.suspend()")  # as a closed lid does: no sound comes
    page.wait_for_timeout(4_500)  # longer than the server waits
    expect(page.locator("#live-problem")).to_contain_text("nothing came", timeout=5_000)
    page.evaluate("live.context.resume()")
    expect(page.locator("#live-problem")).to_be_empty(timeout=10_000)
    before = len(lines)
    page.wait_for_timeout(1_500)
    assert len(lines) > before


def test_one_that_finds_no_place_is_told_so(bundled: Running, hearing: Callable[[str], Watched]) -> None:
    pages = [hearing(bundled.url).page for _ in range(3)]
    for page in pages[:2]:
        follow(page)
        page.wait_for_timeout(800)
    pages[2].get_by_role("button", name="Follow the microphone").click()
    expect(pages[2].locator("#live-problem")).to_contain_text("2 streams are under way", timeout=15_000)
    expect(pages[2].get_by_role("button", name="Follow the microphone")).to_be_visible()


def test_the_token_is_asked_for_before_the_socket_is_opened(
    small_model: Path, hearing: Callable[[str], Watched]
) -> None:
    with running("--model", small_model, "--token", "guess me/+?") as server:
        page = hearing(server.url).page
        page.get_by_label("token").fill("guess me/+?")
        page.get_by_role("button", name="Use it").click()
        lines = follow(page)
        page.wait_for_timeout(1_500)
        assert lines[0]["schema"] == "escnn.stream/1"


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1920, "light")])
def test_it_is_accessible_and_fits(browser: Browser, bundled: Running, width: int, scheme: str, planted: Path) -> None:
    with microphone(browser, str(planted)) as started:
        context = started.new_context(
            viewport={"width": width, "height": 800}, permissions=["microphone"], bypass_csp=True,
            color_scheme="dark" if scheme == "dark" else "light",
        )  # fmt: skip
        page = context.new_page()
        page.goto(bundled.url)
        follow(page)
        expect(page.locator("#live-events tr", has_text=re.compile("siren")).first).to_be_visible(timeout=30_000)
        assert_accessible(page)
