"""The frame head learns when sounds begin and end; the network below it stays as it is."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from conftest import SMALL_AUDIO, SMALL_TRAINING, tone

from escnn.detection.detections import detect
from escnn.errors import UsageError
from escnn.model.architecture import ModelConfig
from escnn.model.frames import FrameHeadConfig
from escnn.model.model_file import read_model
from escnn.runs.settings import FramesConfig, TrainConfig
from escnn.training.frames.trainer import averaged
from escnn.training.pipeline import resume, train
from escnn.training.state import load_state, save_state

HEAD = FrameHeadConfig(channels=16, mixed=16, mean_frames=3, highest_frames=5)
FRAMES = FramesConfig(epochs=4, passes=4, batch_size=8, dropout=0.1, head=HEAD)
RATE = SMALL_AUDIO.sample_rate


def config(**changes: object) -> TrainConfig:
    return msgspec.structs.replace(SMALL_TRAINING, **{"frames": FRAMES, **changes})


@pytest.fixture(scope="module", autouse=True)
def no_speech() -> None:
    """Speech takes long, and the machine may have no program for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("escnn.training.frames.other_sounds._speeches", lambda *_: [])
        yield


@pytest.fixture(scope="module")
def trained(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = config(epochs=12, frames=msgspec.structs.replace(FRAMES, epochs=30, learning_rate=5e-3))
    return train(class_folders, config=settings, out=tmp_path_factory.mktemp("runs") / "run").folder


def test_what_the_network_says_of_a_window_is_the_same_with_and_without_a_head(
    class_folders: Path, tmp_path: Path
) -> None:
    with_head, without = (
        read_model(train(class_folders, config=settings, out=tmp_path / name).folder)
        for name, settings in (("with", config()), ("without", SMALL_TRAINING))
    )
    for name, array in without.weights.items():
        assert np.array_equal(array, with_head.weights[name]), name
    assert {name for name in with_head.weights if name not in without.weights} == {
        f"frames.{layer}.{part}" for layer in ("fine", "coarse", "mix", "classify") for part in ("weight", "bias")
    }
    assert without.card.frames is None
    record = with_head.card.frames
    assert record is not None
    assert record.head == HEAD
    assert (record.training["epochs"], record.training["mixtures"]) == (4, 4 * 24)


def test_it_finds_tones_where_they_are(trained: Path) -> None:
    rng = np.random.default_rng(0)
    sound = 0.003 * rng.standard_normal(20 * RATE).astype(np.float32)
    planted = {"low": (3.0, 300), "middle": (9.0, 1_200), "high": (15.0, 3_000)}
    for start, hz in planted.values():
        first = round(start * RATE)
        sound[first : first + RATE] += tone(hz, 1.0, RATE, 0.3)
    found = detect((sound, RATE), trained)
    for label, (start, _) in planted.items():
        near = [
            event for event in found.events if event.label == label and event.end > start and event.start < start + 1
        ]
        assert near, (label, found.events)
        assert near[0].start == pytest.approx(start, abs=0.35)
    assert found.settings == read_model(trained).card.events


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_phase_that_was_stopped_and_resumed_ends_with_the_same_head_bit_for_bit(
    class_folders: Path, tmp_path: Path, epochs: int
) -> None:
    straight = train(class_folders, config=config(), out=tmp_path / "straight").folder
    halted = tmp_path / "halted"

    def stop(stage: str, done: int, _total: int | None) -> None:
        if stage == "training frames" and done == epochs * 12 + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(class_folders, config=config(), out=halted, on_progress=stop)
    assert len(load_state(halted / "last.pt").get("frames", {"losses": []})["losses"]) == epochs
    torch.manual_seed(99)  # whatever else was drawn meanwhile
    resume(halted)
    mine, other = (read_model(folder) for folder in (straight, halted))
    assert all(np.array_equal(mine.weights[name], other.weights[name]) for name in mine.weights)
    assert mine.card.frames is not None
    assert other.card.frames is not None
    told, also = (dict(model.card.frames.training, seconds=0) for model in (mine, other))
    assert told == also
    assert "not_bit_for_bit" not in (halted / "run.json").read_text()


def test_a_run_that_knows_of_no_frame_heads_goes_on_without_one(class_folders: Path, tmp_path: Path) -> None:
    def stop(stage: str, done: int, _total: int | None) -> None:
        if stage == "training" and done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(class_folders, config=SMALL_TRAINING, out=tmp_path / "run", on_progress=stop)
    path = tmp_path / "run" / "last.pt"
    state = load_state(path)
    del state["config"]["frames"]
    save_state(path, state)
    settings = msgspec.json.decode((tmp_path / "run" / "config.json").read_bytes())
    del settings["frames"]
    (tmp_path / "run" / "config.json").write_bytes(msgspec.json.encode(settings))
    resume(tmp_path / "run")
    assert read_model(tmp_path / "run").card.frames is None


def test_a_network_of_one_stage_can_have_no_head() -> None:
    with pytest.raises(UsageError, match="two stages"):
        config(model=ModelConfig(widths=(8,), depths=(1,)))


def test_targets_are_averaged_over_the_frames_nearest_to_each_score() -> None:
    targets = np.zeros((1, 12), np.float32)
    targets[0, 6:10] = 1  # score 1 is centred on frame 4 and stands for frames 2 to 5, score 2 for 6 to 9
    assert averaged(targets, 4).tolist() == [[0, 0, 1]]
    targets[0, 5] = 1
    assert averaged(targets, 4)[0, 1] == 0.25


def test_a_real_sound_on_disk_gives_what_an_array_gives(trained: Path, tmp_path: Path) -> None:
    sound = np.concatenate([np.zeros(RATE, np.float32), tone(1_200, 1.0, RATE, 0.3), np.zeros(RATE, np.float32)])
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    assert detect(tmp_path / "a.wav", trained).events == detect((sound, RATE), trained).events
