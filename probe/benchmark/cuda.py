"""NVIDIA memory and links, measured in a child process with a time limit."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

TIME_LIMIT_S: Final = 40.0
_CHILD: Final = Path(__file__).with_name("cuda_child.py")


class LinkFigure(NamedTuple):
    """One measured bandwidth: of a device's memory, to the host, or to another device."""

    what: str  # vram_copy_, host_to_device_, device_to_host_, device_to_device_bytes_per_s
    device: str  # PCI address
    low: float
    best: float
    to: str | None = None
    peer_access: bool | None = None


class CudaResult(NamedTuple):
    """What was measured, and why no more."""

    figures: tuple[LinkFigure, ...]
    error: str | None = None
    timed_out: bool = False


def parse_figures(text: str) -> CudaResult:
    """The child's lines; a damaged last line (killed while writing) is dropped."""
    figures = []
    error = None
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if not isinstance(entry, dict):
            continue
        if "error" in entry:
            error = error or str(entry["error"])
            continue
        figure = _figure(entry)
        if figure is not None:
            figures.append(figure)
    return CudaResult(tuple(figures), error)


def _figure(entry: Mapping[str, object]) -> LinkFigure | None:
    what, device, low, best = (entry.get(name) for name in ("what", "device", "low", "best"))
    if not isinstance(what, str) or not isinstance(device, str):
        return None
    if not isinstance(low, (int, float)) or not isinstance(best, (int, float)) or best <= 0:
        return None
    to, peer = entry.get("to"), entry.get("peer_access")
    return LinkFigure(
        what,
        device,
        float(low),
        float(best),
        to if isinstance(to, str) else None,
        peer if isinstance(peer, bool) else None,
    )


def measure_cuda(time_limit_s: float = TIME_LIMIT_S, command: tuple[str, ...] | None = None) -> CudaResult:
    """Figures of all NVIDIA devices; what came before a hang or a crash counts.

    Args:
        command: another child than ours.
    """
    child = subprocess.Popen(
        command or (sys.executable, "-I", str(_CHILD)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
    )
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(child.stdout or ()), daemon=True)
    reader.start()
    timed_out = False
    try:
        child.wait(time_limit_s)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        # Also when the user interrupts: no child is left behind.
        if child.poll() is None:
            child.kill()
            child.wait()
        reader.join(1.0)
        if child.stdout is not None and not reader.is_alive():
            child.stdout.close()
    found = parse_figures(b"".join(lines).decode("utf-8", "replace"))
    return found._replace(timed_out=timed_out)
