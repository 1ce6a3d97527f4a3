"""A sound is cut into windows, the last of which ends with it; silent ones are left out; times are said once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escnn.audio.decoding import load_audio, open_sound
from escnn.audio.log_mel import AudioConfig
from escnn.audio.windows import cut_windows, highest_frequency, read_windows, window_start, window_weight
from escnn.errors import AudioError

CONFIG = AudioConfig(clip_seconds=1.0)  # 44.1 kHz
RATE = CONFIG.sample_rate
Windows = list[tuple[int, np.ndarray]]


def cut(lengths: list[int], length: int) -> list[np.ndarray]:
    samples = np.arange(1, sum(lengths) + 1, dtype=np.float32)
    return list(cut_windows(np.split(samples, np.cumsum(lengths)[:-1]), length))


def test_a_short_sound_is_padded_at_its_end() -> None:
    (window,) = cut([3], 5)
    assert window.tolist() == [1, 2, 3, 0, 0]


def test_a_sound_of_one_window_is_that_window() -> None:
    (window,) = cut([2, 3], 5)
    assert window.tolist() == [1, 2, 3, 4, 5]


def test_the_last_window_ends_where_the_sound_ends() -> None:
    assert [window.tolist() for window in cut([4, 4, 4], 5)] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [8, 9, 10, 11, 12]]


def test_a_sample_too_many_makes_no_window_of_its_own() -> None:
    assert len(cut([501], 500)) == 1
    assert len(cut([505], 500)) == 2


@given(st.integers(1, 400), st.lists(st.integers(1, 60), max_size=8), st.integers(1, 20))
def test_every_window_lies_where_its_start_says(samples: int, cuts: list[int], hop: int) -> None:
    sound = np.arange(1, samples + 1, dtype=np.float32)
    places = sorted({cut for cut in np.cumsum(cuts, dtype=int).tolist() if cut < samples})
    windows = list(cut_windows(np.split(sound, places), 20, hop))
    for index, window in enumerate(windows):
        start = round(window_start(index, 20 / 8_000, samples / 8_000, hop / 8_000) * 8_000)
        found = sound[start : start + 20]
        np.testing.assert_array_equal(window, np.pad(found, (0, 20 - len(found))))
    assert windows[-1].max() == samples, "the end is in no window"
    assert len(windows) == 1 + max(0, -(-(samples - 20) // hop))


def test_overlapping_windows_are_silent_only_where_all_of_them_is() -> None:
    sound = np.concatenate([noise(1.0), np.zeros(RATE * 2, dtype=np.float32), noise(0.6)])
    with open_sound((sound, RATE)) as reader:
        numbers = [number for number, _ in read_windows(reader, CONFIG, 0.5)]
        warnings = reader.warnings
    assert numbers == [0, 1, 5, 6]  # 2, 3 and 4 begin at 1.0, 1.5 and 2.0 s; 6, the last, ends with the sound
    assert warnings == ["3 of 7 windows are digital silence and were left out"]


@pytest.mark.parametrize(
    ("index", "seconds", "start"), [(0, 0.2, 0.0), (0, 5.0, 0.0), (1, 12.0, 5.0), (2, 12.0, 7.0), (1, 5.01, 0.01)]
)
def test_the_last_window_begins_a_window_before_the_end(index: int, seconds: float, start: float) -> None:
    assert window_start(index, 5.0, seconds) == pytest.approx(start)


@pytest.mark.parametrize(
    ("index", "clip_seconds", "seconds", "weight"),
    [
        (0, 5.0, 0.2, 0.04), (0, 5.0, 5.0, 1.0), (1, 5.0, 12.0, 1.0), (2, 5.0, 12.0, 0.4), (2, 0.1, 0.3, 1.0),
        (1, 5.0, 10.0 - 1e-12, 1.0), (99, 0.7, 70.0, 1.0), (1, 5.0, 5.05, 0.01),
    ],
)  # fmt: skip
def test_a_window_weighs_what_is_new_in_it(index: int, clip_seconds: float, seconds: float, weight: float) -> None:
    assert window_weight(index, clip_seconds, seconds) == pytest.approx(weight, abs=1e-12)
    assert window_weight(index, clip_seconds, seconds) <= 1.0


def test_a_last_window_that_overlaps_more_than_the_others_weighs_less() -> None:
    assert [window_weight(index, 5.0, 8.5, 1.0) for index in range(5)] == [1.0, 1.0, 1.0, 1.0, 0.5]


def read(samples: np.ndarray, rate: int = RATE, config: AudioConfig = CONFIG) -> tuple[Windows, list[str]]:
    with open_sound((samples, rate)) as reader:
        return list(read_windows(reader, config)), reader.warnings


def noise(seconds: float, level: float = 0.2, rate: int = RATE) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32)


SILENCE = np.zeros(RATE, dtype=np.float32)
FLICKER = (np.random.default_rng(1).integers(0, 2, RATE) / 32_768).astype(np.float32)


@pytest.mark.parametrize(
    ("silence", "rate"),
    [
        *((SILENCE, rate) for rate in (RATE, 48_000, 8_000)),
        *((FLICKER, rate) for rate in (RATE, 48_000, 8_000)),
        (SILENCE + 0.25, RATE),
    ],
)
def test_windows_of_digital_silence_are_left_out_and_the_others_keep_their_numbers(
    silence: np.ndarray, rate: int
) -> None:
    quiet = np.resize(silence, 2 * rate)
    sound = np.concatenate([quiet, noise(1, rate=rate), quiet, noise(1, rate=rate), quiet[: rate // 2]])
    windows, warnings = read(sound, rate)
    numbers = [number for number, _ in windows]
    # Resampling rings: what lies beside a noise may not be silent to the last bit.
    assert {2, 5} <= set(numbers) <= {1, 2, 3, 4, 5, 6}
    assert numbers == [2, 5] or rate != RATE
    assert warnings[0] == f"{7 - len(numbers)} of 7 windows are digital silence and were left out"
    whole = load_audio((sound, rate), RATE).samples
    for number, window in windows:
        np.testing.assert_array_equal(window, np.resize(whole[number * RATE :], RATE) if number < 6 else whole[-RATE:])


def test_a_last_window_that_is_silent_where_it_is_new_is_left_out() -> None:
    windows, warnings = read(np.concatenate([noise(1.0), SILENCE[: RATE // 2]]))
    assert [number for number, _ in windows] == [0]
    assert warnings == ["1 of 2 windows are digital silence and were left out"]
    windows, warnings = read(np.concatenate([SILENCE, noise(0.5)]))
    assert [number for number, _ in windows] == [1]
    np.testing.assert_array_equal(windows[0][1], np.concatenate([SILENCE[: RATE // 2], noise(0.5)]))


def test_a_sound_all_of_whose_windows_are_silent_is_an_error() -> None:
    drift = np.repeat(np.arange(8, dtype=np.float32) / 32_768, RATE)  # more than a step in all, less in each window
    with pytest.raises(AudioError) as caught:
        read(drift)
    assert caught.value.code == "silent"


def test_windows_that_are_much_quieter_than_the_loudest_stay_with_a_warning() -> None:
    sound = np.concatenate([noise(2), noise(2, level=1e-4), noise(1, level=1e-3)])
    windows, warnings = read(sound)
    assert [number for number, _ in windows] == [0, 1, 2, 3, 4]
    assert warnings == ["2 of 5 windows are more than 60 dB below the loudest, and count as much"]


def test_a_sound_that_is_shorter_than_a_window_says_so_once() -> None:
    _, warnings = read(noise(0.1))
    assert warnings == ["the sound lasts 0.10 s: silence was added after it to fill the network's window of 1 s"]
    for seconds in (0.995, 1.0, 1.3):
        assert read(noise(seconds))[1] == []


@pytest.mark.parametrize(
    ("hertz", "said"),
    [(500, "510 Hz"), (1_000, "1 kHz"), (2_000, "2 kHz"), (4_000, "4 kHz"), (7_000, "7 kHz"), (9_000, None)],
)
@pytest.mark.parametrize("bits", [16, 32])
def test_a_sound_without_treble_says_what_is_missing(hertz: int, said: str | None, bits: int) -> None:
    spectrum = np.fft.rfft(noise(3))
    spectrum[round(hertz * 3) :] = 0
    sound = np.fft.irfft(spectrum, 3 * RATE)
    array = np.rint(sound * 32_767).astype(np.int16) if bits == 16 else sound
    windows, warnings = read(array)
    assert len(windows) == 3
    if said is None:
        assert warnings == []
    else:
        assert warnings == [f"nothing above {said} in this sound; the model hears to 20 kHz"]


def test_only_a_model_that_hears_more_misses_something() -> None:
    assert read(noise(2, rate=8_000), 8_000)[1] == ["nothing above 3.9 kHz in this sound; the model hears to 20 kHz"]
    deaf = AudioConfig(sample_rate=8_000, clip_seconds=0.5, n_fft=256, hop_length=128, n_mels=32, f_max=4_000.0)
    assert read(noise(2, rate=8_000), 8_000, deaf)[1] == []


def test_a_moment_of_treble_is_treble() -> None:
    sound = np.fft.irfft(np.fft.rfft(noise(3))[: 3 * 1_000], 3 * RATE).astype(np.float32)
    sound[100_000:100_050] += noise(1)[:50]
    assert read(sound)[1] == []


@pytest.mark.parametrize("hertz", [300, 3_000, 7_500])
def test_the_highest_frequency_of_a_tone_is_that_of_the_tone(hertz: float) -> None:
    time = np.arange(RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    assert highest_frequency(tone, RATE) == pytest.approx(hertz, abs=40)  # the taper's width
    assert highest_frequency(tone * 1e-5, RATE) == 0.0
