"""Name the sound in a 16-bit WAV file with an exported model: numpy and onnxruntime, nothing else.

    python predict_with_onnx.py model.onnx sound.wav

The sound must have the model's sample rate. It is cut into windows, whose scores are averaged.
"""

import json
import math
import os
import sys
import wave

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else its import writes an id of the machine, to report with

import numpy as np
import onnxruntime


def read_wav(path, sample_rate):
    """Samples (time,) between -1 and 1, the mean of the channels."""
    with wave.open(path) as file:
        if file.getsampwidth() != 2 or file.getframerate() != sample_rate:
            sys.exit(f"{path}: need 16 bits at {sample_rate} Hz; convert it first")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, file.getnchannels())
    return (samples / 32768).mean(axis=1).astype(np.float32)


def cut(samples, length):
    """Windows (windows, time), and how much of each is new: the last ends where the sound does, overlapping the one
    before; a short sound is padded with silence.
    """
    if len(samples) <= length:
        return np.pad(samples, (0, length - len(samples)))[None], [1.0]
    starts = [*range(0, len(samples) - length + 1, length)]
    weights = [1.0] * len(starts)
    rest = len(samples) - starts[-1] - length
    if rest >= max(1, length // 100):
        starts.append(len(samples) - length)
        weights.append(rest / length)
    return np.stack([samples[start : start + length] for start in starts]), weights


def log_mel(windows, audio):
    """Decibels (windows, mels, frames): Hann window, power spectrum, mel filters on the HTK scale."""
    n_fft, hop = audio["n_fft"], audio["hop_length"]
    low, high = (2595 * math.log10(1 + audio[name] / 700) for name in ("f_min", "f_max"))
    edges = 700 * (10 ** (np.linspace(low, high, audio["n_mels"] + 2) / 2595) - 1)
    bins = np.linspace(0, audio["sample_rate"] // 2, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)  # (mels, bins)
    padded = np.pad(windows, ((0, 0), (n_fft // 2, n_fft // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=1)[:, ::hop]  # (windows, frames, n_fft)
    spectrum = np.fft.rfft(frames * np.hanning(n_fft + 1)[:-1].astype(np.float32), axis=2)
    power = filters @ np.abs(spectrum).transpose(0, 2, 1) ** 2
    decibels = 10 * np.log10(np.maximum(power, 1e-20)) - 20 * math.log10(n_fft / 4)
    return np.maximum(decibels, audio["floor_db"]).astype(np.float32)


def main(model_path, sound_path):
    """Print the five best classes as JSON."""
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["escnn"])
    audio = card["audio"]
    length = round(audio["clip_seconds"] * audio["sample_rate"])
    windows, weights = cut(read_wav(sound_path, audio["sample_rate"]), length)
    by_window = [session.run(["scores"], {"log_mel": log_mel(window[None], audio)})[0][0] for window in windows]
    scores = np.average(by_window, axis=0, weights=weights)
    best = np.argsort(-scores, kind="stable")[:5]
    print(json.dumps([{"label": card["labels"][i], "score": round(float(scores[i]), 6)} for i in best]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} model.onnx sound.wav")
    main(sys.argv[1], sys.argv[2])
