"""Whether other programs use the processor: a busy machine measures too little."""

from typing import Final

_WATCH_S: Final = 0.4


def other_load(watch_s: float = _WATCH_S) -> float | None:
    """Share of the processor in use while we wait; None where it cannot be read."""
    import psutil

    try:
        used = psutil.cpu_percent(interval=watch_s)
    except (OSError, RuntimeError, psutil.Error):
        return None
    return used / 100
