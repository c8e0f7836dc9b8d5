"""A forward proxy: `CONNECT` and plain HTTP, one line on stderr a request. The first line on stdout is the port.

With an argument, `user:password`, it lets nobody through who does not say that.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from contextlib import suppress
from urllib.parse import urlsplit

ALLOWED = base64.b64encode(sys.argv[1].encode()).decode() if sys.argv[1:] else ""


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        writer.close()
        return
    line, _, rest = head.partition(b"\r\n")
    method, target, version = line.decode().split(" ")
    print(method, target, file=sys.stderr, flush=True)
    url = urlsplit(f"//{target}" if method == "CONNECT" else target)
    if ALLOWED and f"Basic {ALLOWED}".encode() not in rest:
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        return
    assert url.hostname
    assert url.port
    there, to = await asyncio.open_connection(url.hostname, url.port)
    if method == "CONNECT":
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        to.write(f"{method} {url.path} {version}\r\n".encode() + rest)
    await asyncio.gather(pump(reader, to), pump(there, writer))


async def main() -> None:
    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
