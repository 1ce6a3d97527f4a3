"""What libsndfile is given to read: a header before a part of a file, a stream; what goes wrong within is raised."""

import io
import os
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from conftest import tone
from hypothesis import given
from hypothesis import strategies as st

from escnn.audio.formats.decoder import FAR, BytesFile, Decoder, Spliced, Stream

CONTENT = bytes(range(256)) * 40


@given(st.binary(max_size=50), st.integers(0, 11_000), st.lists(st.tuples(st.integers(-900, 900), st.integers(0, 700))))
def test_a_spliced_file_reads_as_the_bytes_it_stands_for(
    front: bytes, start: int, steps: list[tuple[int, int]]
) -> None:
    view, plain = Spliced(front, io.BytesIO(CONTENT), start), BytesFile(front + CONTENT[start:])
    assert view.seek(0, os.SEEK_END) == plain.seek(0, os.SEEK_END)
    view.seek(0)
    plain.seek(0)
    for offset, size in steps:
        assert view.seek(offset, os.SEEK_CUR) == plain.seek(offset, os.SEEK_CUR)
        assert exactly(view, size) == plain.read(size)


def exactly(view: io.RawIOBase, size: int) -> bytes:
    """A raw file may give less than it is asked for."""
    content = b""
    while len(content) < size and (piece := view.read(size - len(content))):
        content += piece
    return content


def test_a_part_of_a_file_ends_where_it_is_told_to() -> None:
    assert exactly(Spliced(b"ab", io.BytesIO(CONTENT), 5, 9), 99) == b"ab" + CONTENT[5:9]


def test_a_stream_can_go_back_a_little_and_claims_to_be_long() -> None:
    stream = Stream(CONTENT[place : place + 100] for place in range(0, len(CONTENT), 100))
    assert stream.seek(0, os.SEEK_END) == FAR
    assert stream.read(128) == bytes(128)  # a decoder that looks for a tag at the end finds none
    stream.seek(0)
    assert exactly(stream, 1_000) == CONTENT[:1_000]
    stream.seek(-990, os.SEEK_CUR)
    assert exactly(stream, len(CONTENT)) == CONTENT[10:]
    assert stream.read(1) == b""


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_what_goes_wrong_while_libsndfile_reads_is_raised(
    failure: BaseException, capfd: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.tile(tone(440, 1.0, 8_000), 9), 8_000, format="FLAC")

    def pieces() -> Iterator[bytes]:
        yield file.getvalue()[:30_000]
        raise failure

    decoder = Decoder(Stream(pieces()))
    with pytest.raises(type(failure)):
        while len(decoder.next_block(1_000)):
            pass
    assert capfd.readouterr().err == ""
