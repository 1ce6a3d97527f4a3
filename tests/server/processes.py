"""What the processes of the tests do: they are started anew, and import it."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

from escnn.server.workers.decoder import Decoded, DecodeRequest, Undecoded, _answer, _limit_memory
from escnn.server.workers.process import leave_signals_to_the_server, tell_ready


def obey(connection: Connection, greeting: str) -> None:
    """Answer with the number of this process, or do what the message says."""
    leave_signals_to_the_server()
    tell_ready(connection)
    while True:
        message = connection.recv_bytes()
        if message == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if message == b"sleep":
            time.sleep(60)
        connection.send_bytes(f"{greeting} {os.getpid()}".encode())


def take_memory(connection: Connection) -> None:
    """Under the limit of a decoder, take as many megabytes as the message says."""
    _limit_memory()
    tell_ready(connection)
    while True:
        megabytes = int(connection.recv_bytes())

        def decode(*_: object, megabytes: int = megabytes) -> Decoded:
            return Decoded(float(len(bytearray(megabytes << 20))), [], (1, 1, "", ""), "", [], b"")

        import escnn.server.workers.decoder as decoder

        decoder._decode = decode
        answer = _answer(DecodeRequest(b"", "large.wav", 1.0), None, None)  # type: ignore[arg-type]
        connection.send_bytes(answer.message.encode() if isinstance(answer, Undecoded) else b"taken")
