"""The page of the server in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from conftest import tone
from playwright.sync_api import Browser, Page, expect
from report.browser import Opener, Watched, assert_accessible, box_of, microphone, needs_chromium
from server.conftest import Running, running

pytestmark = needs_chromium
RATE = 8_000


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two sounds, and a file that is none."""
    folder = tmp_path_factory.mktemp("to drop")
    for name, hz in {"low.wav": 300, "high.wav": 3_000}.items():
        soundfile.write(folder / name, tone(hz, 0.5, RATE), RATE)
    soundfile.write(folder / "long.wav", tone(500, 61.0, RATE), RATE)
    (folder / "text.wav").write_text("no sound")
    soundfile.write(folder / "microphone.wav", tone(1_000, 5.0, 48_000), 48_000)
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def watched(open_page: Opener, own_process: Running) -> Watched:
    one = Watched(open_page("about:blank", accept_downloads=True))
    one.page.goto(own_process.url)
    return one


def reported(page: Page, count: int = 1) -> None:
    """Wait until so many sounds have their report."""
    expect(page.locator(".html:not([disabled])")).to_have_count(count, timeout=30_000)


def test_chosen_files_are_named_side_by_side(watched: Watched, sounds: dict[str, Path]) -> None:
    page = watched.page
    page.set_input_files("#files", [sounds["low"], sounds["high"]])
    reported(page, 2)
    assert page.locator(".name").all_inner_texts() == ["low.wav", "high.wav"]
    assert page.locator(".best").first.inner_text() in ("low", "middle", "high")
    assert page.locator("tbody tr").count() == 6
    left, right = (box_of(page.locator(".result").nth(number)) for number in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    for number, name in enumerate(("low.wav", "high.wav")):
        report = page.frame_locator(".report iframe").nth(number)
        expect(report.locator("h1")).to_be_visible(timeout=10_000)
        expect(report.locator(".file").first).to_have_text(name)
        assert report.locator("html.has-script").count() == 1, "the report's own script runs in the frame"
    page.get_by_role("button", name="Remove low.wav").click()
    assert page.locator(".name").all_inner_texts() == ["high.wav"]
    assert watched.errors == []


def test_a_long_sound_gets_the_page_of_a_recording_with_its_script(watched: Watched, sounds: dict[str, Path]) -> None:
    page = watched.page
    page.set_input_files("#files", [sounds["long"]])
    reported(page)
    report = page.frame_locator(".report iframe")
    expect(report.locator("#timeline")).to_be_visible(timeout=10_000)
    assert report.locator("html.has-script").count() == 1
    assert watched.errors == []


def test_a_dropped_and_a_pasted_file_are_named(watched: Watched, sounds: dict[str, Path]) -> None:
    page = watched.page
    content = list(sounds["low"].read_bytes())
    send = """([content, kind]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(content)], `${kind}.wav`, { type: "audio/wav" }));
        const target = document.querySelector("#drop");
        target.dispatchEvent(kind === "drop"
          ? new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer })
          : new ClipboardEvent("paste", { bubbles: true, clipboardData: transfer }));
    }"""
    page.evaluate(send, [content, "drop"])
    page.evaluate(send, [content, "paste"])
    reported(page, 2)
    assert sorted(page.locator(".name").all_inner_texts()) == ["drop.wav", "paste.wav"]
    assert watched.errors == []


def test_a_file_that_is_no_sound_is_told_so_on_its_card(watched: Watched, sounds: dict[str, Path]) -> None:
    page = watched.page
    page.set_input_files("#files", [sounds["text"]])
    expect(page.locator(".result .problem").first).to_contain_text("not an audio file")
    expect(page.locator(".state")).to_be_hidden()
    assert page.locator(".answer").is_hidden()


def test_a_demo_sound_is_named_with_the_keyboard_alone(watched: Watched) -> None:
    page = watched.page
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.name") == "siren":
            break
    page.keyboard.press("Enter")
    reported(page)
    assert page.locator(".name").inner_text() == "siren.wav"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "remove":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".result")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "files"
    assert watched.errors == []


@pytest.mark.parametrize(("button", "ending"), [("JSON", ".json"), ("CSV", ".csv"), ("Report", ".html")])
def test_results_can_be_kept(watched: Watched, sounds: dict[str, Path], button: str, ending: str) -> None:
    page = watched.page
    page.set_input_files("#files", [sounds["low"]])
    reported(page)
    with page.expect_download() as found:
        page.get_by_role("button", name=button, exact=True).click()
    assert found.value.suggested_filename == f"low.wav{ending}"
    text = found.value.path().read_text("utf-8")
    if ending == ".json":
        assert json.loads(text)["path"] == "low.wav"
    elif ending == ".csv":
        assert text.splitlines()[1].startswith("low.wav,ok,0.5,1,")
    else:
        assert text.startswith("<!DOCTYPE html>")


def test_a_recording_of_the_microphone_is_named(
    browser: Browser, own_process: Running, sounds: dict[str, Path]
) -> None:
    with microphone(browser, str(sounds["microphone"])) as hearing:
        page = hearing.new_context(permissions=["microphone"]).new_page()
        watched = Watched(page)
        page.goto(own_process.url)
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#recorded")).to_contain_text("1.", timeout=15_000)
        with page.expect_response("**/v1/predict") as answered:
            page.get_by_role("button", name="Stop").click()
        document = answered.value.json()
        assert document["path"] == "recording-1.wav"
        assert 1.0 <= document["duration_seconds"] < 15
        reported(page)
        assert watched.errors == []


def test_the_token_is_asked_for_once(open_page: Opener, small_model: Path, sounds: dict[str, Path]) -> None:
    with running("--model", small_model, "--token", "guess me") as server:
        page = open_page(server.url)
        for wrong in ("пароль", "guess"):
            page.get_by_label("token").fill(wrong)
            page.get_by_role("button", name="Use it").click()
            expect(page.locator("#problem")).to_contain_text("not this server’s token")
        page.get_by_label("token").fill("guess me")
        page.get_by_role("button", name="Use it").click()
        page.set_input_files("#files", [sounds["low"]])
        reported(page)
        expect(page.locator("#ask-token")).to_be_hidden()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (320, "dark"), (1920, "dark"), (1920, "light")])
def test_the_page_is_accessible_and_fits(
    open_page: Opener, own_process: Running, sounds: dict[str, Path], width: int, scheme: str
) -> None:
    page = open_page(own_process.url, width, 800, color_scheme=scheme, bypass_csp=True)
    assert_accessible(page)
    page.set_input_files("#files", [sounds["low"], sounds["text"]])
    reported(page)
    assert_accessible(page)
