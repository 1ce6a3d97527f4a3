"""A model file comes back as it was written; what is damaged, forged or of 0.1.0 is dealt with when it is opened."""

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy

from escnn.audio.log_mel import Normalization
from escnn.errors import ModelError
from escnn.model.architecture import ModelConfig, tensor_shapes
from escnn.model.card import ModelCard
from escnn.model.model_file import BUNDLED_MODEL, ModelFile, add_score, find_model, read_model, write_model

Weights = dict[str, np.ndarray]
OLD_FILE = Path(__file__).parents[1] / "data" / "model-0.1.0.safetensors"


def forged(
    source: Path,
    target: Path,
    change: Callable[[dict[str, Any]], object] = lambda card: None,
    tensors: Callable[[Weights], object] = lambda weights: None,
) -> Path:
    """A copy of a model file with its card or its tensors tampered with."""
    with safetensors.safe_open(source, framework="np") as file:
        card = json.loads(file.metadata()["escnn"])
    weights = safetensors.numpy.load_file(source)
    change(card)
    tensors(weights)
    safetensors.numpy.save_file(weights, target, metadata={"escnn": json.dumps(card)})
    return target


def test_written_and_read_is_the_same_model(small_model: Path, tmp_path: Path) -> None:
    model = read_model(small_model)
    write_model(tmp_path / "again.safetensors", model)
    again = read_model(tmp_path / "again.safetensors")
    assert again.card == model.card  # its hash, too: the file is the same, byte for byte
    for name, shape in tensor_shapes(model.card.model, 3).items():
        np.testing.assert_array_equal(again.weights[name], model.weights[name])
        assert again.weights[name].shape == shape


def test_a_model_in_half_precision_takes_half_the_room_and_comes_back_as_float32(
    small_model: Path, tmp_path: Path
) -> None:
    model = read_model(small_model)
    write_model(tmp_path / "half.safetensors", model, half=True)
    again = read_model(tmp_path / "half.safetensors")
    halved = sum(array.size for array in model.weights.values() if array.ndim > 1)
    assert (tmp_path / "half.safetensors").stat().st_size == pytest.approx(
        small_model.stat().st_size - 2 * halved, abs=512
    )
    for name, array in model.weights.items():
        assert again.weights[name].dtype == array.dtype
        np.testing.assert_allclose(again.weights[name], array, rtol=2**-11, atol=2**-25)


def test_a_score_is_written_into_the_file_and_nothing_else_changes(small_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(small_model.read_bytes())
    score = {"fold": 4, "clips": 6, "accuracy": 0.8, "views": 1}
    add_score(path, score)
    before, after = read_model(small_model), read_model(path)
    assert after.card == dataclasses.replace(before.card, score=score, sha256=after.card.sha256)
    assert after.card.sha256 != before.card.sha256
    assert all(np.array_equal(before.weights[name], after.weights[name]) for name in before.weights)


def test_weights_and_settings_have_a_hash_of_their_own(small_model: Path, tmp_path: Path) -> None:
    """It is the same whatever else the card says, and another one as soon as an answer could be."""
    model = read_model(small_model)

    def hashes(card: ModelCard = model.card, weights: Weights = model.weights) -> tuple[str, str]:
        write_model(tmp_path / "again", ModelFile(card, weights))
        again = read_model(tmp_path / "again", lazily=True).card
        return again.weights_sha256, again.sha256

    same, file = hashes()
    assert (same, file) == (model.card.weights_sha256, model.card.sha256)
    assert len(same) == 64
    for told in (
        {"name": "other"},
        {"training": {"seconds": 7.0}},
        {"score": {"accuracy": 0.8, "clips": 400, "fold": 4}},
        {"versions": {"torch": "9"}},
    ):
        found, file_now = hashes(dataclasses.replace(model.card, **told))
        assert (found, file_now != file) == (same, True), told
    bias = model.weights["classify.bias"].copy()
    bias[0] = np.nextafter(bias[0], np.float32(9))
    audio = msgspec.structs.replace(model.card.audio, floor_db=model.card.audio.floor_db - 1)
    others = [
        hashes(weights={**model.weights, "classify.bias": bias})[0],
        hashes(dataclasses.replace(model.card, labels=("middle", "low", "high")))[0],
        hashes(dataclasses.replace(model.card, audio=audio))[0],
        hashes(dataclasses.replace(model.card, normalization=Normalization(-61.0, 25.0)))[0],
    ]
    assert len({same, *others}) == 5


def test_tensors_that_change_places_change_the_hash_of_the_weights(small_model: Path, tmp_path: Path) -> None:
    """Two norms of equal shape are exchanged in the header; all other bytes stay."""
    data = small_model.read_bytes()
    length = int.from_bytes(data[:8], "little")
    one, other = b"layer1.block0.norm1.weight", b"layer1.block0.norm2.weight"
    header = data[8 : 8 + length]
    assert header.count(one) == header.count(other) == 1
    header = header.replace(one, b"?").replace(other, one).replace(b"?", other)
    (tmp_path / "swapped").write_bytes(data[:8] + header + data[8 + length :])
    swapped = read_model(tmp_path / "swapped").card
    assert swapped.weights_sha256 != read_model(small_model).card.weights_sha256


def test_a_card_knows_the_clips_it_was_trained_on_by_their_content(small_model: Path, tmp_path: Path) -> None:
    hashes = {"1": ["aa" * 32, "bb" * 32], "2": ["cc" * 32], "4": ["dd" * 32]}
    training = {"fold": 5, "validation_fold": 4, "trained_on_folds": [1, 2], "clips": hashes}

    def change(card: dict[str, Any]) -> None:
        card["training"] = training

    card = read_model(forged(small_model, tmp_path / "model", change)).card
    assert card.clips_seen == {"aa" * 32, "bb" * 32, "cc" * 32, "dd" * 32}
    assert card.training_summary == {**training, "clips": 3}  # of the folds that it was trained on
    old = dataclasses.replace(card, training={**training, "clips": 1600})
    assert (old.clips_seen, old.training_summary["clips"]) == (frozenset(), 1600)
    assert read_model(small_model).card.clips_seen == frozenset()


@pytest.mark.parametrize(
    "clips", [-1, "many", [["aa" * 32]], {"1": "aa" * 32}, {"1": [5]}, {"1": ["\x1b[31m"]}, {"one": ["aa" * 32]}]
)
def test_forged_hashes_of_clips_are_refused_when_the_file_is_opened(
    small_model: Path, tmp_path: Path, clips: Any
) -> None:
    with pytest.raises(ModelError, match="damaged model card"):
        read_model(forged(small_model, tmp_path / "forged", lambda card: card["training"].update(clips=clips)))


def test_a_card_says_how_it_was_trained_and_scored(small_model: Path) -> None:
    card = read_model(small_model).card
    assert (card.accuracy, card.folds_seen, card.seed) == (None, set(), 0)
    training = {"fold": 4, "validation_fold": 3, "trained_on_folds": [1, 2, 5], "seed": 7, "config": {"any": None}}
    card = dataclasses.replace(card, training=training, score={"accuracy": 0.8, "clips": 400, "fold": 4})
    assert (card.record.fold, card.folds_seen, card.seed) == (4, {1, 2, 3, 5}, 7)
    assert card.accuracy == (0.8, "on the 400 clips of fold 4, trained on folds 1, 2, 5")
    in_words = dataclasses.replace(card, score={"accuracy": 0.9, "measured": "the mean of four"})
    assert in_words.accuracy == (0.9, "the mean of four")
    assert card.layers == (
        "conv1",
        *(f"layer{n}{part}" for n in (1, 2) for part in (".block0.conv", ".block0.relu", "")),
    )


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (lambda w: w.pop("classify.bias"), "'classify.bias' does not fit"),
        (lambda w: w.update(more=np.zeros(1)), "'more' does not fit"),
        (lambda w: w.update({"classify.bias": np.zeros(4)}), "shape"),
        (lambda w: w["classify.bias"].fill(np.nan), "not finite"),
        (lambda w: w["conv1.norm.running_var"].fill(np.inf), "not finite"),
    ],
)
def test_tampered_tensors_are_refused(small_model: Path, tmp_path: Path, tensors: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        read_model(forged(small_model, tmp_path / "forged.safetensors", tensors=tensors))


@pytest.mark.parametrize("what", ["missing", "empty", "cut", "pickle", "text", "plain safetensors", "empty folder"])
def test_what_is_no_model_is_one_clear_error(small_model: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / "model.safetensors"
    if what == "empty":
        path.write_bytes(b"")
    elif what == "cut":
        path.write_bytes(small_model.read_bytes()[:-100])
    elif what == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif what == "text":
        path.write_text("hello")
    elif what == "plain safetensors":
        safetensors.numpy.save_file({"a": np.zeros(1)}, path)
    elif what == "empty folder":
        path.mkdir()
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert caught.value.exit_code == 4
    assert str(path) in caught.value.message


def test_a_file_larger_than_any_model_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "model").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(ModelError, match="larger than 1024 MiB"):
        read_model(tmp_path / "model")


def test_a_run_folder_stands_for_its_model(small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "last.pt").touch()
    with pytest.raises(ModelError, match="not finished"):
        find_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(small_model.read_bytes())
    assert find_model(tmp_path) == tmp_path / "model.safetensors"
    assert read_model(str(tmp_path)).card == read_model(small_model).card


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"widths": [2048] * 6, "depths": [64] * 6}, "GMACs"),  # each within its bounds
        ({"widths": [8, 8], "depths": [64, 64], "n": (512, 1900)}, "MB of activations"),
    ],
)
def test_a_network_beyond_reason_is_refused_before_its_tensors_are_looked_at(
    small_model: Path, tmp_path: Path, model: dict[str, Any], said: str
) -> None:
    def change(card: dict[str, Any]) -> None:
        mels, frames = model.pop("n", (128, 431))
        card["model"].update(model)
        card["audio"].update(n_mels=mels, hop_length=64, clip_seconds=(frames - 1) * 64 / 8_000)

    with pytest.raises(ModelError, match=f"a window would take .*{said}"):
        read_model(forged(small_model, tmp_path / "forged.safetensors", change, lambda weights: weights.clear()))


def test_no_model_given_is_the_bundled_one_of_0_1_0() -> None:
    card = read_model().card
    assert len(card.labels) == 50
    assert BUNDLED_MODEL.stat().st_size <= 12_500_000
    assert card.frames is not None
    assert card.frames.training["speech"]
    assert card.versions["escnn"] == "0.1.0"
    assert card.model == ModelConfig()
    assert card.folds_seen == {1, 2, 3, 4}
    assert card.parameters == card.training["parameters"]
    accuracy, measured = card.accuracy or (0.0, "")
    assert 0.85 < accuracy < 1
    assert measured.startswith("the mean of 4 networks")


def test_a_file_of_0_1_0_opens_and_is_written_the_same_again(tmp_path: Path) -> None:
    old = read_model(OLD_FILE)
    assert (old.card.name, old.card.labels, old.card.versions["escnn"]) == ("tiny", ("low", "middle", "high"), "0.1.0")
    write_model(tmp_path / "again", ModelFile(old.card, old.weights))
    assert read_model(tmp_path / "again").card == dataclasses.replace(
        old.card, sha256=read_model(tmp_path / "again").card.sha256
    )
    with safetensors.safe_open(OLD_FILE, framework="np") as file:
        before = file.metadata()["escnn"]
    with safetensors.safe_open(tmp_path / "again", framework="np") as file:
        assert json.loads(file.metadata()["escnn"]) == json.loads(before)
