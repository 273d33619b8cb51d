"""Cuts a TCP connection the hard way."""

import asyncio
import socket
import struct

_AT_ONCE = struct.pack("ii", 1, 0)  # linger for 0 s: what is unsent is lost, the peer gets RST


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Abort a connection so that the peer sees a reset, not an end; None: it is gone already."""
    if not isinstance(transport, asyncio.WriteTransport):
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:  # the in-memory network has none
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
