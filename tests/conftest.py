"""Sounds, data sets and models that the tests make themselves: small, seeded, no network, nothing copied."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from escnn.audio.log_mel import AudioConfig, Normalization
from escnn.model.architecture import ModelConfig
from escnn.model.card import ModelCard
from escnn.model.frames import FrameHeadConfig, FrameRecord
from escnn.model.model_file import ModelFile, write_model
from escnn.runs.settings import AugmentConfig, TrainConfig

pytest.register_assert_rewrite("report.browser")  # its asserts, too, say what was there

SMALL_AUDIO = AudioConfig(
    sample_rate=8_000, clip_seconds=0.5, n_fft=256, hop_length=128, n_mels=32, f_min=0.0, f_max=4_000.0
)
SMALL_MODEL = ModelConfig(widths=(8, 16), depths=(1, 1), stem_kernel=3, dropout=0.1)
SMALL_HEAD = FrameRecord(FrameHeadConfig(channels=8, mixed=8, mean_frames=3, highest_frames=5))
SMALL_TRAINING = TrainConfig(
    epochs=6,
    batch_size=8,
    learning_rate=1e-2,
    ema_decay=0.9,
    audio=SMALL_AUDIO,
    model=SMALL_MODEL,
    augment=AugmentConfig(mask_mels=4, mask_frames=4),
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from escnn.inference.classifier import Classifier
    from escnn.inference.onnx_runtime import OnnxRuntime

ESCNN = [sys.executable, "-m", "escnn"]


def escnn(*arguments: object, stdin: bytes | None = None) -> Result:
    """Run a command in this process."""
    from escnn.cli.app import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def assert_ends(code: int, said: str, *arguments: object, stdin: bytes | None = None) -> None:
    """Run a command that ends with this exit code and says this, among other things, on stderr."""
    result = escnn(*arguments, stdin=stdin)
    assert result.exit_code == code, result.stderr
    assert said in result.stderr


def documents(text: str | bytes) -> list[dict[str, Any]]:
    """What a command wrote as JSON Lines."""
    return [json.loads(line) for line in text.splitlines()]


def names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}


def status(folder: Path) -> dict[str, Any]:
    """What a run says of itself."""
    document: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return document


def tone(hz: float, seconds: float, rate: int, amplitude: float = 0.5) -> np.ndarray:
    """A sine, (time,) float32."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that two processes end together."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache, or is led astray by the user's settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESCNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("ESCNN_DATA", "ESCNN_MODEL"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def write_sound(tmp_path: Path) -> Callable[..., Path]:
    """`write_sound("a.wav", samples, rate, subtype=...)` writes a file and gives its path."""

    def write(name: str, samples: np.ndarray, rate: int = 8_000, **options: str) -> Path:
        path = tmp_path / name
        soundfile.write(path, samples, rate, **options)
        return path

    return write


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class: 3 classes of 10 half-second sounds at 8 kHz that even a tiny network tells apart."""
    root = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(7)
    for label, hz in {"low": 300, "middle": 1_200, "high": 3_000}.items():
        (root / label).mkdir()
        for number in range(10):
            sound = tone(hz * rng.uniform(0.9, 1.1), 0.5, 8_000) + 0.01 * rng.standard_normal(4_000).astype(np.float32)
            soundfile.write(root / label / f"{number}.wav", sound, 8_000)
    return root


def random_model(
    config: ModelConfig = SMALL_MODEL, frames: FrameRecord | None = None, audio: AudioConfig = SMALL_AUDIO
) -> ModelFile:
    """A model with random weights and three classes, and a frame head if it is to have one."""
    import torch

    from escnn.network.frame_head import FrameHead
    from escnn.network.resnet import ResNet
    from escnn.network.runtime import network_weights

    torch.manual_seed(0)
    network = ResNet(config, 3)
    for module in network.modules():  # batch-norm statistics as after a training, so that they matter
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    labels = ("low", "middle", "high")
    card = ModelCard("small", labels, audio, config, Normalization(-60.0, 25.0), frames=frames)
    head = None if frames is None else FrameHead(config, frames.head, len(labels), audio.n_mels)
    if head is not None:
        for parameter in head.parameters():  # so that scores are not all alike
            parameter.data.normal_(0, 2 / max(1, parameter[0].numel()) ** 0.5)
    return ModelFile(card, network_weights(network, head))


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with random weights and three classes."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(path, random_model())
    return path


@pytest.fixture(scope="session", params=["with a head", "without"])
def runtime(request: pytest.FixtureRequest) -> OnnxRuntime:
    """What computes the small network, with a frame head and without."""
    from escnn.inference.onnx_runtime import OnnxRuntime

    return OnnxRuntime(random_model(frames=SMALL_HEAD if request.param == "with a head" else None), threads=1)


@pytest.fixture(scope="session")
def classifier(small_model: Path) -> Classifier:
    """The small model, loaded."""
    from escnn.inference.classifier import Classifier

    return Classifier.load(small_model, device="cpu")


@pytest.fixture
def model(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model as the default one."""
    monkeypatch.setenv("ESCNN_MODEL", str(small_model))
    return small_model


@pytest.fixture
def clip(write_sound: Callable[..., Path]) -> Path:
    """Half a second of a tone, the length of the small model's window."""
    return write_sound("clip.wav", tone(440, 0.5, 8_000))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of a built ESC-50, for tests marked `real`."""
    folder = os.environ.get("ESCNN_TEST_DATA")
    if not folder:
        pytest.skip("ESCNN_TEST_DATA does not point at a built ESC-50")
    return Path(folder)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; one for all tests, as Playwright takes the thread that it is started in."""
    from playwright.sync_api import sync_playwright
    from report.browser import CHROMIUM

    with sync_playwright() as playwright:
        arguments = ["--autoplay-policy=no-user-gesture-required", "--no-sandbox", "--disable-gpu"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(file or address, width, height, color_scheme="dark", ...)`: a page in a context of its own."""
    with ExitStack() as contexts:

        def opened(where: Path | str, width: int = 1280, height: int = 900, **options: Any) -> Page:
            context = browser.new_context(viewport={"width": width, "height": height}, **options)
            page = contexts.enter_context(context).new_page()
            page.goto(where.as_uri() if isinstance(where, Path) else where)
            return page

        yield opened
