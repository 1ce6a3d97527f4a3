"""Fetch a large zip file over HTTP: resumed where it stopped, tried again while that brings something new."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import requests

from escnn.errors import DatasetError, NetworkError
from escnn.files import write_json
from escnn.version import __version__

LARGEST_ARCHIVE = 2 << 30  # bytes; ESC-50 has 0.6 GB
TIMEOUTS = (10.0, 60.0)  # seconds: to connect, and between two pieces
PIECE = 16 << 10  # bytes, a record of TLS; where a connection drops, what had come of the last piece is lost
ATTEMPTS = 5  # in a row that bring nothing new
FIRST_PAUSE = 1.0  # seconds; doubles with every such attempt

BY_HAND = "is the address right? An archive fetched in a browser can be given with --from"

_DROPPED = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def fetch(url: str, part: Path, on_bytes: Callable[[int, int | None], None], say: Callable[[str], None]) -> None:
    """Bring the zip file at `url` to `part`, going on from what an earlier attempt or call left there.

    Args:
        url: An http(s) address.
        part: Where to write; a note of its version lies beside it and outlives a failure with it.
        on_bytes: Called with the bytes that are there and those of the whole (None if the server does not say).
        say: Called with a line for people when the fetch is resumed or tried again.

    Raises:
        NetworkError: it cannot be fetched, or not now.
        DatasetError: it is larger than an archive of ESC-50 can be.
    """
    most, failures = _size(part), 0
    while True:
        try:
            _fetch_rest(url, part, on_bytes, say)
            return
        except _DROPPED as error:
            # What counts is more than there ever was, or a server that starts over every time would keep us for ever.
            failures = 1 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures == ATTEMPTS:
                kept = "what has come is kept, and the same command goes on from there"
                hint = kept if _resumable(url, part)[0] else "try again later, or give a zip file with --from"
                raise NetworkError(f"{url}: {_root_cause(error)}", hint=hint) from error
            pause = FIRST_PAUSE * 2 ** (failures - 1)
            say(f"stopped at {_size(part) / 1e6:.0f} MB ({_root_cause(error)}); trying again in {pause:g} s")
            time.sleep(pause)
        except requests.exceptions.InvalidSchema as error:
            raise NetworkError(f"{url}: leads to an address that is not followed ({error})", hint=BY_HAND) from error
        except (requests.RequestException, ValueError) as error:  # ValueError: https://two..dots slips past requests
            raise NetworkError(f"{url}: {error}", hint=BY_HAND) from error


def _fetch_rest(url: str, part: Path, on_bytes: Callable[[int, int | None], None], say: Callable[[str], None]) -> None:
    """Ask once for what `part` lacks, or for the whole if `part` is no use. The errors of requests pass through."""
    have, version = _resumable(url, part)
    headers = {"User-Agent": f"escnn/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with _session(url) as session, session.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as answer:
        total = _total_bytes(answer)
        if answer.status_code == 416 and total == have:
            return  # the whole is here already
        _refuse_failure(answer)
        if answer.status_code == 200:
            have = 0
        elif _continues(answer, have, version):
            say(f"going on at {have / 1e6:.0f} MB")
        else:
            part.unlink(missing_ok=True)
            raise requests.ConnectionError("the server has another file now")
        pieces = answer.iter_content(PIECE)
        # A connection cut within the headers looks like an answer 200 without a length: it must not empty the file.
        if not (first := next(pieces, b"")):
            raise requests.ConnectionError("the connection was closed before the first byte")
        with part.open("ab" if have else "wb") as file:
            if not have:
                write_json(_note(part), {"url": url, "version": _version(answer)})
            for piece in chain((first,), pieces):
                file.write(piece)
                have += len(piece)
                if max(have, total or 0) > LARGEST_ARCHIVE:
                    raise DatasetError(f"{url}: this is not ESC-50, it has more than {LARGEST_ARCHIVE:,} bytes")
                on_bytes(have, total)
    cut_off = _lacks_its_end(part) if total is None else have != total
    if cut_off:
        raise requests.ConnectionError("the connection was closed before the end")


def _session(url: str) -> requests.Session:
    """What follows redirects from `url`: from https to https only, and without reading the body of a redirect."""
    session = requests.Session()
    session.hooks["response"].append(_without_body)
    if url.lower().startswith("https:"):
        del session.adapters["http://"]  # with nobody to speak it, no spelling of an address leads there
    return session


def _without_body(answer: requests.Response, **_: Any) -> None:
    if answer.is_redirect:
        answer.close()  # or requests reads all of it into memory, however long it is


def _total_bytes(answer: requests.Response) -> int | None:
    """Size of the whole archive, if the server says it: ``Content-Range: bytes 5-9/10`` or ``Content-Length: 10``."""
    said = answer.headers.get("Content-Range") or answer.headers.get("Content-Length", "")
    size = said.rpartition("/")[2]
    return int(size) if size.isdecimal() else None


def _refuse_failure(answer: requests.Response) -> None:
    """Raise for an answer without data. What may pass counts as a lost connection; the rest is final."""
    said = f"{answer.status_code} {answer.reason}"
    if answer.status_code in (408, 429) or answer.status_code >= 500:
        raise requests.ConnectionError(said)
    if answer.status_code not in (200, 206, 416):
        raise NetworkError(f"{answer.url}: {said}", hint=BY_HAND)


def _continues(answer: requests.Response, have: int, version: str) -> bool:
    """Whether the answer begins at byte `have` of the version that was begun. Not every server heeds If-Range."""
    begins_there = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    return answer.status_code == 206 and have > 0 and begins_there and _version(answer) in ("", version)


def _version(answer: requests.Response) -> str:
    """What tells this version of the archive from another, or "". If-Range takes no weak ETag (RFC 9110, 13.1.5)."""
    etag = answer.headers.get("ETag", "W/")
    return answer.headers.get("Last-Modified", "") if etag.startswith("W/") else etag


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """How many bytes of `url` are here and of which version; none if that was not noted or is not known."""
    try:
        note = json.loads(_note(part).read_text("utf-8"))
        version = str(note["version"]) if note["url"] == url else ""
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        version = ""
    return (_size(part), version) if version else (0, "")


def _note(part: Path) -> Path:
    return part.with_suffix(".json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _lacks_its_end(part: Path) -> bool:
    """Whether this is a zip file without the directory that ends it, which is all to go by if no size was announced."""
    with part.open("rb") as file:
        return file.read(2) == b"PK" and not zipfile.is_zipfile(file)


def _root_cause(error: BaseException) -> BaseException:
    """What lies below the layers of requests and urllib3, whose own messages fill three lines."""
    while error.__context__ is not None:
        error = error.__context__
    return error
