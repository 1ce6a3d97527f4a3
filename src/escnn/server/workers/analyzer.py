"""The process that analyzes decoded sounds: feature maps and, where torch is installed, the evidence; pages."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Literal

import msgspec
import numpy as np

from escnn.analysis.analysis import Analysis, analyze
from escnn.analysis.formats import analysis_document
from escnn.analysis.recording.recording import LONGEST_SOUND_SECONDS, RecordingAnalysis, analyze_recording
from escnn.audio.decoding import SoundInfo
from escnn.detection.clock import start_time
from escnn.errors import AudioError, EscnnError
from escnn.inference.classifier import Classifier
from escnn.server.model_project import inference_document
from escnn.server.workers.decoder import Decoded, Undecoded
from escnn.server.workers.process import leave_signals_to_the_server, tell_ready

Kind = Literal["analysis", "page", "inference"]


class AnalyzeRequest(msgspec.Struct, frozen=True):
    """A decoded sound, and what is wanted of it."""

    kind: Kind
    name: str
    sound: Decoded
    top_k: int


class Analyzed(msgspec.Struct, frozen=True, tag="analyzed"):
    """A JSON document, or a page as HTML."""

    content: bytes


class Unanalyzed(msgspec.Struct, frozen=True, tag="unanalyzed"):
    """Why there is none, though the sound is in order."""

    message: str
    hint: str | None
    is_missing: bool = False  # a package that it takes


def serve(connection: Connection, model: str | None, sha256: str) -> None:
    """Analyze what comes through `connection` until it is closed, with the model whose file has this hash."""
    leave_signals_to_the_server()
    classifier = Classifier.load(model)
    same = classifier.card.sha256 == sha256
    tell_ready(connection)
    with suppress(EOFError, OSError):
        while True:
            request = msgspec.msgpack.decode(connection.recv_bytes(), type=AnalyzeRequest)
            other = Unanalyzed("the model was replaced while the server ran", "start the server again")
            connection.send_bytes(msgspec.msgpack.encode(_answer(request, classifier) if same else other))


def _answer(request: AnalyzeRequest, classifier: Classifier) -> Analyzed | Undecoded | Unanalyzed:
    try:
        if request.kind == "page" and request.sound.seconds > LONGEST_SOUND_SECONDS:
            return Analyzed(recording_of(request, classifier).to_html().encode("utf-8"))
        analysis = analyze_decoded(request, classifier)
        if request.kind == "page":
            return Analyzed(analysis.to_html(top_k=request.top_k).encode("utf-8"))
        build = analysis_document if request.kind == "analysis" else inference_document
        return Analyzed(msgspec.json.encode(build(analysis, top_k=request.top_k)))
    except AudioError as error:
        return Undecoded(error.message, error.code, error.hint)
    except EscnnError as error:
        return Unanalyzed(error.message, error.hint)
    except ImportError as error:
        return Unanalyzed(f"this server makes no pages: {error.name} is not installed", "ask for JSON", is_missing=True)


def recording_of(request: AnalyzeRequest, classifier: Classifier) -> RecordingAnalysis:
    """What a sound that is longer than a minute gets on its page: its events in time."""
    sound = request.sound
    samples = np.frombuffer(sound.array, dtype=np.float32)
    begun = start_time(request.name)
    found = analyze_recording((samples, classifier.card.audio.sample_rate), classifier, name=request.name, start=begun)
    warnings = tuple(dict.fromkeys([*sound.warnings, *found.found.warnings]))
    told = dataclasses.replace(found.found, seconds=sound.seconds, warnings=warnings)
    return dataclasses.replace(found, info=SoundInfo(*sound.info), sha256=sound.sha256, found=told)


def analyze_decoded(request: AnalyzeRequest, classifier: Classifier) -> Analysis:
    """The analysis of a sound that was decoded elsewhere, with what only its file could say."""
    sound = request.sound
    samples = np.frombuffer(sound.array, dtype=np.float32)
    found = analyze(
        (samples, classifier.card.audio.sample_rate),
        classifier,
        name=request.name,
        top_k=request.top_k,
        saliency=request.kind != "inference",
    )
    warnings = tuple(dict.fromkeys([*sound.warnings, *found.prediction.warnings]))
    prediction = dataclasses.replace(found.prediction, seconds=sound.seconds, warnings=warnings)
    return dataclasses.replace(found, info=SoundInfo(*sound.info), sha256=sound.sha256, prediction=prediction)
