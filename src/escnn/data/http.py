"""Fetch a large zip file over HTTP: resumed where it stopped, tried again while that brings something new."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import ssl
import time
import zipfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from escnn.errors import DatasetError, NetworkError, reason
from escnn.files import write_json
from escnn.version import __version__

LARGEST_ARCHIVE = 2 << 30  # bytes; ESC-50 has 0.6 GB
TIMEOUTS = (10.0, 60.0)  # seconds: to connect, and between two pieces
PIECE = 16 << 10  # bytes, a record of TLS; where a connection drops, what had come of the last piece is lost
ATTEMPTS = 5  # in a row that bring nothing new
FIRST_PAUSE = 1.0  # seconds; doubles with every such attempt

BY_HAND = "is the address right? An archive fetched in a browser can be given with --from"
PROXIES = "see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY: unset what is not needed, or name the host in NO_PROXY"
CERTIFICATES = "where the network signs with a certificate of its own, name its file in REQUESTS_CA_BUNDLE"

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
            if final := _final(error, url):
                raise final from error
            failures = 1 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures == ATTEMPTS:
                kept = "what has come is kept, and the same command goes on from there"
                hint = kept if _resumable(url, part)[0] else "try again later, or give a zip file with --from"
                raise NetworkError(f"{shown(url)}: {_through_proxy(error, url)}{_cause(error)}", hint=hint) from error
            pause = FIRST_PAUSE * 2 ** (failures - 1)
            say(f"stopped at {_size(part) / 1e6:.0f} MB ({_cause(error)}); trying again in {pause:g} s")
            time.sleep(pause)
        except (requests.RequestException, ValueError) as error:  # ValueError: https://two..dots slips past requests
            raise _refused(error, url) from error


def _fetch_rest(url: str, part: Path, on_bytes: Callable[[int, int | None], None], say: Callable[[str], None]) -> None:
    """Ask once for what `part` lacks, or for the whole if `part` is no use. The errors of requests pass through."""
    have, version = _resumable(url, part)
    headers = {"User-Agent": f"escnn/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with _session(url) as session, _answer(session, url, headers) as answer:
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
                write_json(_note(part), {"address": _hash(url), "version": _version(answer)})
            for piece in chain((first,), pieces):
                file.write(piece)
                have += len(piece)
                if max(have, total or 0) > LARGEST_ARCHIVE:
                    raise DatasetError(f"{shown(url)}: this is not ESC-50, it has more than {LARGEST_ARCHIVE:,} bytes")
                on_bytes(have, total)
    cut_off = _lacks_its_end(part) if total is None else have != total
    if cut_off:
        raise requests.ConnectionError("the connection was closed before the end")


def _answer(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """What the server says; its certificate is checked by those that the environment names."""
    try:
        return session.get(url, headers=headers, stream=True, timeout=TIMEOUTS)
    except requests.RequestException:
        raise
    except OSError as error:
        raise NetworkError(f"{shown(url)}: no certificates to check it by ({reason(error)})", hint=_bundle()) from error


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
        raise NetworkError(f"{shown(answer.url)}: {said}", hint=BY_HAND)


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
        address = note.get("address") or _hash(note["url"])  # the latter in notes of 0.1.0
        version = str(note["version"]) if address == _hash(url) else ""
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
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


def _cause(error: BaseException) -> str:
    return _without_user(reason(_root_cause(error)))


def _final(error: requests.RequestException, url: str) -> NetworkError | None:
    """Why trying again is of no use; None where it may be."""
    cause, handshake = _root_cause(error), error.request is not None
    if isinstance(error, requests.exceptions.ProxyError) and "Tunnel connection failed: 5" not in str(cause):
        return NetworkError(f"{shown(url)}: {_through_proxy(error, url)}{_cause(error)}", hint=PROXIES)
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"{shown(url)}: its certificate is not trusted ({cause.verify_message})"
        return NetworkError(text, hint=CERTIFICATES)
    if isinstance(cause, ssl.SSLError) and handshake and not isinstance(cause, ssl.SSLEOFError):
        text = f"{shown(url)}: no encrypted connection can be made ({cause.reason})"
        return NetworkError(text, hint=_bundle() if cause.library == "X509" else BY_HAND)
    if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
        return NetworkError(f"{shown(url)}: no such host ({_cause(error)})", hint=f"are you online, and {BY_HAND}")
    return None


def _refused(error: Exception, url: str) -> NetworkError:
    """An address, or the proxy on the way to it, that cannot be used at all."""
    said = f" ({_cause(error)})" if "@" not in url else ""  # it may quote a part of the password
    proxy = _proxy(url)
    if proxy and ("proxy" in str(error).lower() or "SOCKS" in str(error) or not _is_address(proxy)):
        hint = "`pip install pysocks` adds SOCKS" if "SOCKS" in str(error) else PROXIES
        return NetworkError(f"{shown(url)}: the proxy {shown(proxy)} cannot be used{said}", hint=hint)
    what = (
        "leads to an address that is not followed"
        if isinstance(error, requests.exceptions.InvalidSchema)
        else "no address that can be used"
    )
    return NetworkError(f"{shown(url)}: {what}{said}", hint=BY_HAND)


def _through_proxy(error: Exception, url: str) -> str:
    return f"the proxy {shown(_proxy(url) or '')}: " if isinstance(error, requests.exceptions.ProxyError) else ""


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`."""
    try:
        return requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    except ValueError:  # no address
        return None


def _is_address(url: str) -> bool:
    try:
        return bool(urlsplit(url).port or True) and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def shown(address: str) -> str:
    """An address as it is shown: without what may be secret, which is its user, its password and its query."""
    return _without_user(address).partition("?")[0]


def _without_user(text: str) -> str:
    return re.sub(r"//\S*@", "//", text)


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _bundle() -> str:
    """What to do about a file of certificates that cannot be used."""
    named = [name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)]
    return (
        f"{named[0]} names another file than one of certificates: set it right, or unset it" if named else CERTIFICATES
    )
