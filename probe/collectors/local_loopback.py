"""One HTTP GET to a server on this machine, never further."""

from probe.collectors.answers import Failure
from probe.machine.attempt import AttemptResult

_LIMIT_BYTES = 4 * 1024 * 1024


def get_loopback(port: int, path: str, timeout_s: float) -> bytes | Failure:
    """The body of `GET http://127.0.0.1:port/path`; proxies are not asked."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(_LIMIT_BYTES)
    except ConnectionRefusedError:
        return Failure(AttemptResult.ABSENT, "nothing listens there")
    except TimeoutError:
        return Failure(AttemptResult.TIMEOUT, "no answer in time")
    except (OSError, http.client.HTTPException) as error:
        return Failure(AttemptResult.FAILED, type(error).__name__)
    finally:
        connection.close()
    if response.status != 200:
        return Failure(AttemptResult.FAILED, f"HTTP status {response.status}")
    return body
