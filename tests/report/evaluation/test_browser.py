"""The page of an evaluation in a real browser."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from report.browser import Opener, Watched, assert_accessible, assert_fits, box_of, needs_chromium, wait_until, written
from report.colors import contrast
from report.evaluation.made_up import evaluation_of, history, large
from report.outline import HOSTILE

pytestmark = needs_chromium
KINDS = ["run", "cross-validation", "hostile"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with its curves and sounds, a cross-validation of 50 classes with long names, hostile names everywhere."""
    folder = tmp_path_factory.mktemp("pages")
    pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 2), (2, 2), (2, 0)]
    answers = [
        (true, said, 0.5 + 0.04 * k, 0.5 + 0.04 * k if true == said else 0.1) for k, (true, said) in enumerate(pairs)
    ]
    paths = [folder / f"{number}.wav" for number in range(len(answers))]
    for number, path in enumerate(paths):
        noise = 0.01 * np.random.default_rng(number).standard_normal(4_000)
        soundfile.write(path, tone(300 + 100 * number, 0.5, 8_000) + noise, 8_000)
    run = evaluation_of(["low", "middle", "high"], answers, paths=paths)
    names = [f"{name}{'x' * 200}" for name, _ in zip(itertools.cycle(HOSTILE), answers, strict=False)]
    hostile = evaluation_of([name.replace(" ", "_") for name in HOSTILE], answers, names=names)
    html = {
        "run": run.to_html(history=history(), embed_audio=True),
        "cross-validation": large(50, 1600, "a_rather_long_name_of_a_class_of_sounds").to_html(),
        "hostile": replace(hostile, data_name=HOSTILE[1]).to_html(),
        "frame": run.to_html(),
    }
    return written(html, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_asks_for_nothing_and_says_nothing(watched: Watched, pages: dict[str, Path], kind: str) -> None:
    watched.open(pages[kind]).wait_for_timeout(200)
    watched.assert_asks_and_says_nothing()


def test_the_policy_blocks_whatever_is_injected(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["run"])
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [320, 360, 800, 1920])
def test_a_page_fits(open_page: Opener, pages: dict[str, Path], kind: str, width: int) -> None:
    assert_fits(open_page(pages[kind], width, 800))


@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [("run", 360, "light"), ("run", 1920, "dark"), ("hostile", 360, "dark"), ("hostile", 1920, "light")],
)
def test_a_page_is_accessible(open_page: Opener, pages: dict[str, Path], kind: str, width: int, scheme: str) -> None:
    assert_accessible(open_page(pages[kind], width, 800, color_scheme=scheme, bypass_csp=True))


def test_a_page_can_be_read_without_script(open_page: Opener, pages: dict[str, Path]) -> None:
    page = open_page(pages["run"], java_script_enabled=False)
    assert page.locator("h1").is_visible()
    assert page.locator(".matrix table").is_visible()
    assert not page.locator(".scripted").first.is_visible()
    assert page.locator("#wrong audio").first.is_visible()


AXES = """() => [...document.querySelectorAll(".axis")].map((axis) => {
    const box = (element) => element.getBoundingClientRect().toJSON();
    let ground = axis;
    while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
    return {
        plot: box(axis.parentElement.querySelector(".canvas")),
        lines: [...axis.parentElement.querySelectorAll("line.grid")].map((line) => line.getBoundingClientRect().top),
        upright: axis.classList.contains("upright"),
        ground: getComputedStyle(ground).backgroundColor,
        labels: [...axis.children].map((label) => ({ ...box(label), color: getComputedStyle(label).fill })),
    };
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_labels_of_axes_stand_beside_their_plots_and_can_be_read(
    open_page: Opener, pages: dict[str, Path], scheme: str, media: str, width: int
) -> None:
    page = open_page(pages["run"], width, color_scheme=scheme)
    page.emulate_media(media="print" if media == "print" else "screen")
    axes = page.evaluate(AXES)
    assert len(axes) == 6, "two of each plot"
    for axis in axes:
        plot = axis["plot"]
        for place, label in enumerate(axis["labels"]):
            assert contrast(label["color"], axis["ground"]) >= 4.5
            if axis["upright"]:
                assert label["right"] <= plot["left"]
                assert (label["top"] + label["bottom"]) / 2 == pytest.approx(axis["lines"][place], abs=3)
            else:
                assert label["top"] >= plot["bottom"]
                share = ((label["left"] + label["right"]) / 2 - plot["left"]) / (plot["right"] - plot["left"])
                assert share == pytest.approx(place / (len(axis["labels"]) - 1), abs=0.02)


def test_a_matrix_of_fifty_classes_is_there_whole(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["cross-validation"])
    hidden = "(box => [box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight])"
    assert page.evaluate(f"{hidden}(document.querySelector('.matrix .box'))") == [0, 0]
    last = box_of(page.locator(".matrix tbody tr").last.locator("td").last)
    assert last["x"] + last["width"] <= 1280
    page.evaluate(
        "document.querySelector('.matrix tbody tr:last-child').scrollIntoView({block: 'end', behavior: 'instant'})"
    )
    heading = box_of(page.locator(".matrix thead th").first)
    assert heading["y"] >= 0, "its headings stay in sight"


@pytest.mark.parametrize("size", [(1280, 900), (800, 600), (360, 640)])
def test_the_panel_does_not_cover_the_number_that_was_pressed(
    open_page: Opener, pages: dict[str, Path], size: tuple[int, int]
) -> None:
    page = open_page(pages["cross-validation"], *size, reduced_motion="reduce")
    cells = page.locator(".matrix table a")
    for number in (0, 10, cells.count() // 2, cells.count() - 1):
        cell = cells.nth(number)
        cell.scroll_into_view_if_needed()
        cell.evaluate("cell => scrollBy(0, cell.getBoundingClientRect().bottom - innerHeight + 30)")
        cell.click()
        pressed, panel = box_of(cell), box_of(page.locator(".panel"))
        assert 0 <= pressed["y"] < pressed["y"] + pressed["height"] <= panel["y"]
        page.locator(".panel .close").click()


def test_a_cell_of_the_confusion_matrix_shows_its_clips_with_players(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["run"])
    panel = page.locator(".matrix .panel")
    for cell in page.locator(".matrix table a").all():
        cell.click()
        assert panel.is_visible()
        assert panel.locator("tbody tr").count() == panel.locator("audio").count() == int(cell.inner_text())
    page.keyboard.press("Escape")
    assert watched.errors == []


def test_the_keyboard_walks_the_matrix_opens_a_cell_and_comes_back(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["cross-validation"])
    focused = "document.activeElement.getAttribute('href')"
    page.locator(".matrix table a").first.focus()
    first = page.evaluate(focused)
    page.keyboard.press("ArrowDown")
    below = page.evaluate(focused)
    assert below != first
    page.keyboard.press("Enter")
    assert page.locator(".panel").is_visible()
    assert page.evaluate("document.activeElement.id") == "panel-title"
    page.keyboard.press("Escape")
    assert not page.locator(".panel").is_visible()
    assert page.evaluate(focused) == below


def test_every_player_seeks_to_every_moment(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["run"])
    players = page.locator("audio").all()
    assert len(players) == 10
    for audio in players:
        watched.assert_seeks(audio)


def test_a_column_of_the_class_table_sorts(watched: Watched, pages: dict[str, Path]) -> None:
    page = watched.open(pages["run"])
    table = page.locator("#classes table")
    heading = table.locator("thead button").first
    heading.click()
    names = table.locator("tbody th").all_inner_texts()
    heading.click()
    assert table.locator("tbody th").all_inner_texts() == names[::-1]


def test_in_a_notebook_the_script_runs_and_links_lead_to_their_sections(
    watched: Watched, pages: dict[str, Path]
) -> None:
    page = watched.open(pages["frame"])
    frame = page.frames[1]
    frame.locator("nav a[href='#wrong']").click()
    wait_until(page, lambda: box_of(frame.locator("#wrong"))["y"] < 100)
    frame.locator(".pairs-top a").first.click()
    wait_until(page, lambda: frame.locator(".lists details[open]").count() == 2)
    frame.locator(".matrix table a").first.click()
    assert frame.locator(".panel").is_visible()
    assert page.url == pages["frame"].as_uri()
    assert watched.errors == []
