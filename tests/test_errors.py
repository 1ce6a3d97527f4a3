import pickle

import pytest

from escnn.errors import AudioError, EscnnError, reason


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
