"""A real llama.cpp, asked what it would allocate: the PyPI package xllamacpp in a process of its own."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

LOADER = Path(__file__).with_name("llama_cpp_loader.py")
INSTALL = "pip install xllamacpp==2026.10.11549"
INSTALLED = importlib.util.find_spec("xllamacpp") is not None
# A file without a tokenizer cannot be served: the server falls over after it has reserved, at
# times before its log is written.
_TRIES = 5
_SIZES = {
    "weights": re.compile(r"load_tensors: +\S+ model buffer size = +([\d.]+) MiB"),
    "kv": re.compile(r"(?:llama_kv_cache\w*: size|llama_dsv4_comp_state: .*, size) = +([\d.]+) MiB"),
    "state": re.compile(r"llama_memory_recurrent: size = +([\d.]+) MiB"),
    "compute": re.compile(r"sched_reserve: +\S+ compute buffer size = +([\d.]+) MiB"),
    "output": re.compile(r"llama_context: +\S+ +output buffer size = +([\d.]+) MiB"),
}


class Reported(NamedTuple):
    """What llama.cpp's log says, MiB; caches of one model (full and sliding) summed."""

    weights: float
    kv: float
    state: float
    compute: float
    output: float
    resident_bytes: int
    lines: int


def load(path: Path, **asked: object) -> Reported:
    """Load the file; raises AssertionError with the log's end where llama.cpp refuses."""
    wanted: dict[str, object] = {
        "n_ctx": 8192,
        "n_parallel": 1,
        "n_ubatch": 512,
        "kv_unified": False,
        "flash": "on",
        "type_k": "f16",
        "type_v": "f16",
    }
    command = [sys.executable, str(LOADER), str(path), json.dumps(wanted | asked)]
    for _ in range(_TRIES):
        log = _log_of(command)
        sizes = {name: [float(size) for size in pattern.findall(log)] for name, pattern in _SIZES.items()}
        if sizes["compute"]:
            break
    else:
        raise AssertionError(f"llama.cpp refused {path.name}: {log[-800:]}")
    resident = re.search(r'\{"before": (\d+), "after": (\d+)\}', log)
    grown = int(resident.group(2)) - int(resident.group(1)) if resident else 0
    return Reported(
        weights=sum(sizes["weights"]),
        kv=sum(sizes["kv"]),
        state=sum(sizes["state"]),
        compute=sizes["compute"][-1],
        output=sum(sizes["output"]),
        resident_bytes=grown,
        lines=len(sizes["kv"]) + len(sizes["state"]),
    )


def _log_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
    return done.stderr.decode("utf-8", errors="replace") + done.stdout.decode("utf-8", errors="replace")
