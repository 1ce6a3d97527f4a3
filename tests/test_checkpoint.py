import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from escnn import checkpoint
from escnn.errors import ModelError


def forged(source: Path, target: Path, change: Any = None, tensors: Any = None) -> Path:
    """A copy of a model file with its card or its tensors tampered with."""
    with safetensors.safe_open(source, framework="pt") as file:
        document = json.loads(file.metadata()["escnn"])
    weights = safetensors.torch.load_file(source)
    if change:
        change(document)
    if tensors:
        tensors(weights)
    safetensors.torch.save_file(weights, target, metadata={"escnn": json.dumps(document)})
    return target


def test_saved_and_loaded_is_the_same_model(small_model: Path, tmp_path: Path) -> None:
    network, card = checkpoint.load_model(small_model)
    checkpoint.save_model(tmp_path / "again.safetensors", network, card)
    again, card_again = checkpoint.load_model(tmp_path / "again.safetensors")
    x = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), again(x), rtol=0, atol=0)
    assert card_again == card
    assert not again.training


def test_a_model_in_half_precision_takes_half_the_room_and_scores_the_same(small_model: Path, tmp_path: Path) -> None:
    network, card = checkpoint.load_model(small_model)
    checkpoint.save_model(tmp_path / "half.safetensors", network, card, half=True)
    again, _ = checkpoint.load_model(tmp_path / "half.safetensors")
    weights = sum(tensor.numel() for tensor in network.state_dict().values() if tensor.ndim > 1)
    assert (tmp_path / "half.safetensors").stat().st_size == pytest.approx(
        small_model.stat().st_size - 2 * weights, abs=512
    )
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in again.state_dict().values())
    x = torch.randn(8, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network(x).softmax(1), again(x).softmax(1), rtol=0, atol=0.01)


def test_a_score_is_written_into_the_file_and_nothing_else_changes(small_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(small_model.read_bytes())
    checkpoint.add_score(path, {"fold": 4, "accuracy": 0.8})
    before, after = safetensors.torch.load_file(small_model), safetensors.torch.load_file(path)
    assert checkpoint.load_model(path)[1].score == {"fold": 4, "accuracy": 0.8}
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(format="escnn.model/99"), "format"),
        (lambda d: d["model"].update(widths=[8, 17]), "shape"),
        (lambda d: d["model"].update(widths=[8, 10**6]), "card"),
        (lambda d: d["model"].update(depths=[1, 2]), "does not fit"),
        (lambda d: d["audio"].update(n_fft=10**9), "card"),
        (lambda d: d["audio"].update(extra=1), "card"),
        (lambda d: d["audio"].update(n_fft=10**400), "card"),
        (lambda d: d["normalization"].update(mean_db=10**400), "card"),
        (lambda d: d.pop("labels"), "card"),
        (lambda d: d.update(labels=["a", "a", "b"]), "labels"),
        (lambda d: d.update(labels=["a", "b"]), "shape"),
        (lambda d: d.update(labels=["a", "b\x1b[2J", "c"]), "control"),  # clears a terminal
        (lambda d: d.update(labels=["a", "b\ud800", "c"]), "control"),  # cannot be written as UTF-8
        (lambda d: d.update(name="a\nb"), "control"),
        (lambda d: d["normalization"].update(std_db=0), "normalisation"),
        (lambda d: d["normalization"].update(mean_db=10**400), "card"),  # no float is as large
    ],
)
def test_a_forged_card_is_refused(small_model: Path, tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        checkpoint.load_model(forged(small_model, tmp_path / "forged.safetensors", change))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (lambda w: w.pop("classify.bias"), "does not fit"),
        (lambda w: w.update(more=torch.zeros(1)), "does not fit"),
        (lambda w: w.update({"classify.bias": torch.zeros(4)}), "shape"),
        (lambda w: w["classify.bias"].fill_(float("nan")), "not finite"),
    ],
)
def test_tampered_tensors_are_refused(small_model: Path, tmp_path: Path, tensors: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        checkpoint.load_model(forged(small_model, tmp_path / "forged.safetensors", tensors=tensors))


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
        safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    elif what == "empty folder":
        path.mkdir()
    with pytest.raises(ModelError) as caught:
        checkpoint.load_model(path)
    assert caught.value.exit_code == 4
    assert str(path) in caught.value.message


def test_no_model_given_is_the_model_in_the_box() -> None:
    network, card = checkpoint.load_model(checkpoint.model_file(None))
    assert len(card.labels) == 50
    assert checkpoint.MODEL_IN_THE_BOX.stat().st_size <= 12_000_000
    assert not network.training
