"""One HTTP GET to a server on this machine, never further.

By hand over a socket: the standard client takes 20 ms to import, and waits for
each piece of a slow answer anew.
"""

import time
from typing import TYPE_CHECKING, Final

from probe.collectors.answers import Failure
from probe.machine.attempt import AttemptResult

if TYPE_CHECKING:
    import socket

_LIMIT_BYTES: Final = 4 * 1024 * 1024
# A listener on this machine accepts at once; Windows tries a closed port again for two seconds.
_CONNECT_S: Final = 0.2


def get_loopback(port: int, path: str, timeout_s: float) -> bytes | Failure:
    """The body of `GET http://127.0.0.1:port/path` within the time, whatever the server does; no proxy."""
    import socket

    deadline = time.monotonic() + timeout_s
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Not create_connection: it resolves the name, for which Python loads its IDNA tables.
        connection.settimeout(min(_CONNECT_S, timeout_s))
        connection.connect(("127.0.0.1", port))
    except (ConnectionRefusedError, TimeoutError):
        connection.close()
        return Failure(AttemptResult.ABSENT, "nothing listens there")
    except OSError as error:
        connection.close()
        return Failure(AttemptResult.FAILED, type(error).__name__)
    with connection:
        try:
            connection.settimeout(timeout_s)
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            raw = _read_all(connection, deadline)
        except TimeoutError:
            return Failure(AttemptResult.TIMEOUT, "no answer in time")
        except OSError as error:
            return Failure(AttemptResult.FAILED, type(error).__name__)
    if raw is None:
        return Failure(AttemptResult.FAILED, f"more than {_LIMIT_BYTES} bytes")
    return parse_response(raw)


def _read_all(connection: "socket.socket", deadline: float) -> bytes | None:
    """Everything until the server closes; None when that is too much."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > _LIMIT_BYTES:
            return None


def parse_response(raw: bytes) -> bytes | Failure:
    """The body of a whole HTTP response; a Failure for another status and for what is no HTTP."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = lines[0].split(b" ")
    if not separator or not lines[0].startswith(b"HTTP/") or len(status) < 2:
        return Failure(AttemptResult.FAILED, "no HTTP answer")
    if status[1] != b"200":
        return Failure(AttemptResult.FAILED, f"HTTP status {status[1].decode('ascii', 'replace')}")
    fields = dict(line.lower().partition(b":")[::2] for line in lines[1:])
    if fields.get(b"transfer-encoding", b"").strip() == b"chunked":
        return _joined_chunks(body)
    return body


def _joined_chunks(body: bytes) -> bytes | Failure:
    parts: list[bytes] = []
    while body:
        size_text, _, rest = body.partition(b"\r\n")
        try:
            size = int(size_text.split(b";")[0], 16)
        except ValueError:
            return Failure(AttemptResult.FAILED, "damaged chunked answer")
        if size == 0:
            break
        parts.append(rest[:size])
        body = rest[size + 2 :]
    return b"".join(parts)
