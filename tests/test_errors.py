"""Errors are one plain line, whatever the name, the file or the library behind them."""

import pickle

import pytest

from escnn.errors import AudioError, EscnnError, closest, is_plain, reason


class MuteError(Exception):
    """As some errors of soundfile: they cannot even say what they are."""

    def __str__(self) -> str:
        raise TypeError("no words")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("C error: Expected 7 fields in line 3, saw 8\n"), "C error: Expected 7 fields in line 3, saw 8"),
        (pickle.UnpicklingError("refused.\nRead our page\non how to run it all the same."), "refused"),
        (FileNotFoundError(2, "No such file or directory", "a.wav"), "No such file or directory"),
        (IndexError(), "IndexError"),
        (MuteError(), "MuteError"),
    ],
)
def test_a_foreign_error_is_said_in_one_line(error: Exception, said: str) -> None:
    assert reason(error) == said


def test_a_foreign_error_that_quotes_a_whole_file_is_cut() -> None:
    assert len(reason(ValueError("9" * 100_000))) < 300


@pytest.mark.parametrize("trick", ["\x1b[2J", "\r", "\n", "\x9b31m", "\x07"])
def test_a_name_cannot_break_the_line_or_command_the_terminal(trick: str) -> None:
    error = EscnnError(f"clip{trick}.wav: silent")
    assert error.message.isprintable()
    assert error.message.startswith("clip\\x")
    assert str(AudioError(f"{trick}: silent", code="silent")).isprintable()


@pytest.mark.parametrize("name", ["dog", "Kläffen", "犬 の声", "می\u200cخواهم", "👩\u200d🚒", "a b"])
def test_names_in_any_script_are_plain(name: str) -> None:
    assert is_plain(name)
    assert not is_plain(name + "\x7f")
    assert not is_plain(name + "\udce9")


def test_the_closest_name_is_a_hint_and_none_is_none() -> None:
    assert closest("rooter", ["dog", "rooster", "pig"]) == "did you mean rooster?"
    assert closest("piano", ["dog", "rooster", "pig"]) is None
