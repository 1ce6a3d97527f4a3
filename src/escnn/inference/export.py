"""A model for somebody without escnn: a self-describing ONNX file, a page of Python that uses it, a demo sound."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from escnn import files
from escnn.audio.encoding import encode
from escnn.audio.log_mel import AudioConfig
from escnn.inference.classifier import Classifier
from escnn.model.card import card_document
from escnn.model.model_file import read_model
from escnn.model.onnx_graph import build_graph

SCRIPT = Path(__file__).parents[1] / "assets" / "predict_with_onnx.py"


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of an export."""

    model: Path  # the graph; its metadata holds the model's card as JSON, under "escnn"
    script: Path  # `python SCRIPT MODEL SOUND` prints what `escnn predict` says; it takes numpy and onnxruntime
    sound: Path  # a rising and falling tone
    output: Path  # what the script prints of it


def export(model: Path | str | None, out: Path | str, *, feature_maps: bool = False, force: bool = False) -> Exported:
    """Write a model as ONNX, and beside it a script that needs no escnn, a demo sound, and the script's output on it.

    Args:
        model: a model file or a run folder; None for the bundled model.
        out: the ``.onnx`` file.
        feature_maps: whether the graph gives the embedding and the feature maps as well.
        force: replace what is there.

    Raises:
        ModelError: there is no such model.
        OutputError: something is there already, or cannot be written.
    """
    target = Path(out)
    written = Exported(
        target,
        *(target.with_name(f"{target.stem}-{name}") for name in ("predict.py", "demo.wav", "demo.json")),
    )
    for path in (written.model, written.script, written.sound, written.output):
        files.check_output_file(path, force=force)
    source = read_model(model)
    graph = build_graph(source, feature_maps=feature_maps)
    entry = graph.metadata_props.add()
    entry.key, entry.value = "escnn", json.dumps(card_document(source.card))
    wav = encode(demo_sound(source.card.audio), source.card.audio.sample_rate, "WAV")
    best = Classifier.load(model).predict(wav).top(5)
    files.write_bytes(written.model, graph.SerializeToString())
    files.write_bytes(written.script, SCRIPT.read_bytes())
    files.write_bytes(written.sound, wav)
    files.write_text(
        written.output, json.dumps([{"label": label, "score": round(score, 6)} for label, _, score in best]) + "\n"
    )
    return written


def demo_sound(audio: AudioConfig) -> np.ndarray:
    """A tone that rises and falls like a siren, (time,), one and a third windows long."""
    time = np.arange(round(4 / 3 * audio.clip_seconds * audio.sample_rate)) / audio.sample_rate
    middle = min(900.0, audio.sample_rate / 8)
    hz = middle * (1 + 0.35 * np.sin(2 * np.pi * 0.4 * time))
    return (0.4 * np.sin(2 * np.pi * np.cumsum(hz) / audio.sample_rate)).astype(np.float32)
