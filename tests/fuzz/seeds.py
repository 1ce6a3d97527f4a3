"""Whole files to begin with: tiny, seeded, made here."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from fuzz.damage import mutate, seal_ogg
from fuzz.forgery import mutate_json, mutate_model, mutate_state, mutate_table

SOUNDS = {  # kind: (libsndfile's format, its subtype, Hz, channels, seconds)
    "wav-pcm16": ("WAV", "PCM_16", 8_000, 2, 0.2),
    "wav-pcm24": ("WAV", "PCM_24", 8_000, 1, 0.2),
    "wav-float": ("WAV", "FLOAT", 8_000, 1, 0.2),
    "wav-adpcm": ("WAV", "IMA_ADPCM", 8_000, 1, 0.2),
    "flac": ("FLAC", "PCM_16", 8_000, 1, 1.5),
    "ogg": ("OGG", "VORBIS", 8_000, 1, 2.0),
    "opus": ("OGG", "OPUS", 48_000, 1, 2.0),
    "mp3": ("MP3", "MPEG_LAYER_III", 44_100, 1, 0.5),
    "aiff": ("AIFF", "PCM_16", 8_000, 1, 0.2),
    "au": ("AU", "PCM_16", 8_000, 1, 0.2),
    "caf": ("CAF", "ALAC_16", 8_000, 1, 0.2),
    "w64": ("W64", "PCM_16", 8_000, 1, 0.2),
}


class Subject:
    """A kind of file: who reads it, whole ones to begin with, and how they are damaged."""

    def __init__(
        self,
        reader: str,  # of fuzz.worker.READERS
        whole: tuple[bytes, ...],
        damage: Callable[[bytes, Random, Sequence[bytes]], bytes],
        others: tuple[bytes, ...],  # to splice from
    ) -> None:
        self.reader, self.whole, self.damage, self.others = reader, whole, damage, others

    def damaged(self, rng: Random) -> bytes:
        """One damaged file, all of its damage drawn from `rng`."""
        return self.damage(rng.choice(self.whole), rng, self.others)


def sounds() -> dict[str, Subject]:
    """A subject for every kind of sound file; pieces of any of them may turn up in any other."""
    whole = {kind: _sound(*form) for kind, form in SOUNDS.items()}
    everything = tuple(whole.values())
    return {
        kind: Subject("sound", (content,), _damage_ogg if content[:4] == b"OggS" else mutate, everything)
        for kind, content in whole.items()
    }


def documents() -> dict[str, Subject]:
    """`esc50.csv` and `config.json`."""
    from escnn.config import to_json
    from escnn.runs.settings import TrainConfig

    rows = [f"1-{n}-A-{n % 3}.wav,{n % 5 + 1},{n % 3},{('cat', 'dog', 'rain')[n % 3]},False,{n},A" for n in range(12)]
    table = "\n".join(["filename,fold,target,category,esc10,src_file,take", *rows, ""]).encode()
    config = json.dumps(to_json(TrainConfig(validation_fold=4)), indent=2).encode()
    return {
        "esc50.csv": Subject("table", (table,), mutate_table, (table, b"," * 50, b'"', b"\xff\xfe", b"\0", b"9" * 400)),
        "config.json": Subject("config", (config,), mutate_json, (config,)),
    }


def weights(folder: Path) -> dict[str, Subject]:
    """Model files and training state; among the whole ones are pickles that would run code. Starts torch."""
    import torch
    from conftest import SMALL_AUDIO, SMALL_MODEL

    from escnn.audio.log_mel import Normalization
    from escnn.model.card import ModelCard
    from escnn.model.model_file import ModelFile, write_model
    from escnn.network.resnet import ResNet
    from escnn.network.runtime import network_weights
    from escnn.training.state import save_state

    torch.manual_seed(0)
    network = ResNet(SMALL_MODEL, 3)
    card = ModelCard("small", ("low", "mid", "high"), SMALL_AUDIO, SMALL_MODEL, Normalization(-60.0, 25.0))
    write_model(folder / "model", ModelFile(card, network_weights(network)))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.zeros(2, 1, 32, 32)).sum().backward()
    optimizer.step()
    kept = {"network": network.state_dict(), "optimizers": [optimizer.state_dict()], "step": 7, "best": None}
    save_state(folder / "state", kept)
    torch.save({"trap": Trap(), **kept}, folder / "trapped")
    torch.save({**kept, "best": Trap()}, folder / "trapped-late")
    torch.save({"network": Trap()}, folder / "old", _use_new_zipfile_serialization=False)
    names = ("model", "state", "trapped", "trapped-late", "old")
    model, state, trapped, late, old = ((folder / name).read_bytes() for name in names)
    pickled = pickle.dumps({"network": Trap()})
    return {
        "model": Subject("model", (model,), mutate_model, (model, trapped, pickled)),
        "model-pickled": Subject("model", (pickled, trapped, old), mutate, (model,)),
        "state": Subject("state", (state,), mutate_state, (state, trapped, pickled)),
        "state-trapped": Subject("state", (trapped, late, old), mutate_state, (state, trapped)),
    }


class Trap:
    """Leaves a file called `trapped` in the current folder when it is unpickled by one who trusts pickles."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trapped"),)


def _sound(container: str, subtype: str, rate: int, channels: int, seconds: float) -> bytes:
    """A tone in noise."""
    frames = round(seconds * rate)
    rng = np.random.default_rng(3)
    tone = 0.4 * np.sin(2 * np.pi * 440 / rate * np.arange(frames))
    samples = tone[:, None] + 0.05 * rng.standard_normal((frames, channels))
    target = io.BytesIO()
    soundfile.write(target, samples, rate, format=container, subtype=subtype)
    return target.getvalue()


def _damage_ogg(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    damaged = mutate(content, rng, others)
    return seal_ogg(damaged) if rng.random() < 0.75 else damaged
