"""Rows of published speed measurements, each placed: device and model looked up in the catalog by name.

Used by fit_speed.py and score_speed.py. Reads any file with the columns of
catalogs/benchmarks/speed.csv. Placing never looks at the measured columns.
"""

import re
import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.llama_hparams import hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed_bytes import kv_read_bytes
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.weight_bytes import WeightBytes
from scripts.csv_rows import Row, read_rows
from scripts.speed_places import (
    FOLDER,
    Placed,
    UnplacedError,
    number,
    place_device,
    place_model,
)

DATA: Final = FOLDER / "speed.csv"
ADDED: Final = FOLDER / "speed_2026.csv"
ADDED_NUMBERS: Final = 100_000  # lines of ADDED are numbered from here
EXCLUDED: Final = FOLDER / "excluded.csv"
GENERATED: Final = 128  # tokens that llama-bench generates where a row does not say
# Logits and activations of a batch of 512: the least that llama.cpp allocates beside weights and cache.
COMPUTE_BYTES: Final = 300 * 2**20


class Exclusion(NamedTuple):
    """A row of excluded.csv: which part of a measurement is not scored, whether it is fitted, and why."""

    decode: bool
    prompt: bool
    fitted: bool
    reason: str


class Case(NamedTuple):
    """One row with everything the estimate needs. `reason` says why it could not be placed."""

    number: int  # line in the file, the header is 1
    row: Row
    devices: tuple[SpeedDevice, ...] = ()
    spec: ModelSpec | None = None
    weights: WeightBytes | None = None
    devices_count: int = 1
    split: str = "none"
    depth: float = 0.0  # mean tokens in the cache while generating
    prompt_tokens: int = 0
    prompt_depth: float = 0.0  # tokens in the cache before the prompt
    ubatch: int = 512
    flash_attention: bool | None = None
    old_build: bool = False
    board: bool = False  # a GPU on an ARM or RISC-V board, over PCIe x1 to x4
    client: bool = False  # a CPU of a desktop or laptop
    prompt_devices: tuple[SpeedDevice, ...] = ()  # with the threads that prompts ran on
    from_file: bool = False  # bandwidth from the row, for want of a catalog figure
    excluded: Exclusion | None = None
    reason: str | None = None
    copy_of: int | None = None  # the line that holds the same measurement

    @property
    def device_name(self) -> str:
        """What leave-one-device-out leaves out: spellings of one device are one."""
        return self.devices[0].name or self.row["device"] if self.devices else self.row["device"]

    @property
    def moe(self) -> bool:
        """Less than 95 % of the parameters are read for one token."""
        total, active = number(self.row["params_total_b"]), number(self.row["params_active_b"])
        if total and active:
            return active < 0.95 * total
        return bool(self.spec and self.spec.dimensions and self.spec.dimensions.num_experts)

    @property
    def scores_decode(self) -> bool:
        """Whether the decode figure counts."""
        return self.excluded is None or not self.excluded.decode

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt figure counts."""
        return self.excluded is None or not self.excluded.prompt

    @property
    def decode(self) -> float | None:
        """Measured tokens a second."""
        return number(self.row.get("tg_tok_s"))

    @property
    def prompt(self) -> float | None:
        """Measured prompt tokens a second."""
        return number(self.row.get("pp_tok_s"))


NEEDED: Final = (
    "source_url",
    "device",
    "backend",
    "engine",
    "model",
    "quant",
    "params_total_b",
    "params_active_b",
)
KEY: Final = (
    "source_url",
    "device",
    "backend",
    "model",
    "quant",
    "n_prompt",
    "n_gen",
    "pp_tok_s",
    "tg_tok_s",
)


def row_key(row: Row) -> tuple[str, ...]:
    """What identifies a measurement, its result included."""
    return tuple(row.get(name, "") for name in KEY)


@cache
def exclusions() -> dict[tuple[str, ...], Exclusion]:
    """Measurements that are not scored, with the reviewed reason."""
    return {
        row_key(row): Exclusion(
            "decode" in row["part"], "prompt" in row["part"], row["fitted"] == "yes", row["reason"]
        )
        for row in read_rows(EXCLUDED)
    }


def mean_depth(row: Row) -> float:
    """Tokens in the cache while the row's tokens were generated, on average.

    Servers generate behind their own prompt; llama-bench measures both apart. A row of a
    server says which context it ran with ("ctx 8192").
    """
    depth = number(row.get("context_depth")) or 0.0
    generated = number(row.get("n_gen")) or GENERATED
    prompt = number(row.get("n_prompt")) or 0.0
    behind = prompt if depth == 0 and re.search(r"\bctx \d+", row.get("notes", "")) else 0.0
    return depth + behind + generated / 2


def prompt_depth(row: Row) -> float:
    """Tokens in the cache before the prompt; llama-batched-bench's depth is the prompt itself."""
    depth, prompt = number(row.get("context_depth")) or 0.0, number(row.get("n_prompt")) or 0.0
    return 0.0 if depth <= prompt else depth


def ubatch_of(row: Row) -> int:
    """`ub=N` of the notes, else the engine's default."""
    found = re.search(r"\bub=(\d+)", row.get("notes", ""))
    return int(found.group(1)) if found else 512


def is_old(row: Row) -> bool:
    """An engine of 2024 or before, by the build's or the row's date."""
    years = re.findall(r"\b20(\d\d)\b", f"{row.get('engine_build', '')} {row.get('date', '')}")
    return bool(years) and int(years[0]) <= 24


def flash_attention_of(row: Row) -> bool | None:
    """Whether the row ran with flash attention, where it says; builds of 2024 did not by default."""
    found = re.search(r"\bfa=([01])", row.get("notes", ""))
    if found:
        return found.group(1) == "1"
    return False if is_old(row) else None


def _check_room(placed: Placed, weights: WeightBytes, count: int) -> None:
    """Refuse what the product would not place on these devices alone: part of it ran elsewhere."""
    if placed.memory_bytes is None:
        return
    gpu = limits().gpu
    room = (
        placed.memory_bytes - gpu.driver_reserve_bytes(placed.memory_bytes, None) - gpu.llama_cpp_margin_bytes
    )
    if weights.file_bytes - weights.token_embedding_bytes + COMPUTE_BYTES > room * count:
        raise UnplacedError("memory: too large for the device alone")


def place(line: int, row: Row) -> Case:
    """One row as a case; a reason instead of devices when it cannot be placed."""
    try:
        placed = place_device(row)
        spec, weights = place_model(row)
        count = int(number(row.get("device_count")) or 0)
        if count < 1:
            raise UnplacedError("device: number of devices not stated")
        if int(number(row.get("batch")) or 1) > 1:
            raise UnplacedError("batch: several requests at once")
        _check_room(placed, weights, count)
        depth = mean_depth(row)
        try:
            kv = kv_read_bytes(hparams_from_metadata(gguf_metadata(spec)), depth)
        except NotModeledError as error:
            raise UnplacedError(f"model: cache not modeled: {error}") from error
    except UnplacedError as error:
        return Case(line, row, reason=str(error))
    split = (
        "none" if count == 1 else "tensor" if re.search(r"\bTP\b|TP=|TP\d|tensor", _words(row)) else "layer"
    )
    devices = tuple(
        msgspec.structs.replace(
            placed.device,
            device=f"gpu{index}" if placed.device.backend != "cpu" else "cpu",
            active_weight_bytes=round(weights.active_bytes / count),
            kv_bytes=round(kv / count),
            layers=len(weights.layers) // (1 if split == "tensor" else count),
        )
        for index in range(count)
    )
    return Case(
        line,
        row,
        devices,
        spec,
        weights,
        count,
        split,
        depth,
        int(number(row.get("n_prompt")) or 0),
        prompt_depth(row),
        ubatch_of(row),
        flash_attention_of(row),
        is_old(row),
        "ARM/RISC-V host" in row.get("notes", "") or "RISC-V host" in row.get("notes", ""),
        placed.client,
        tuple(
            msgspec.structs.replace(device, usable_cores=prompt_threads(row, device)) for device in devices
        ),
        placed.from_file,
    )


def prompt_threads(row: Row, device: SpeedDevice) -> int | None:
    """Threads of the prompt run: "tg at 2 threads, pp at 16/8" ran it on all cores."""
    return device.physical_cores if "pp at" in row.get("notes", "") else device.usable_cores


def _words(row: Row) -> str:
    return f"{row['engine']} {row.get('engine_build', '')} {row.get('notes', '')}"


_ENGINES: Final = (("vllm", "vllm"), ("sglang", "sglang"), ("mlx", "mlx-lm"))


def engine_of(row: Row) -> str | None:
    """The engine whose own constants hold for a row; None for llama.cpp and engines without any."""
    name = row["engine"].lower()
    return next((engine for word, engine in _ENGINES if word in name), None)


def load(path: Path = DATA) -> list[Case]:
    """Every row of a file, placed or with the reason why not."""
    found, seen = [], dict[tuple[str, ...], int]()
    for line, row in enumerate(read_rows(path, NEEDED), 2):
        whole = (
            *row_key(row | {"source_url": row["source_url"].partition("#")[0]}),
            *(row.get(name, "") for name in ("date", "engine", "engine_build", "context_depth")),
        )
        case = place(line, row)
        # Without a result two measurements cannot be told from one that was written down twice.
        if whole in seen and (case.decode is not None or case.prompt is not None):
            first = seen[whole]
            found.append(case._replace(reason=f"copy of line {first}", copy_of=first))
            continue
        seen.setdefault(whole, line)
        found.append(case._replace(excluded=exclusions().get(row_key(row))))
    return found


def published() -> list[Case]:
    """Every row of both files of published measurements, each with a number of its own."""
    added = [case._replace(number=ADDED_NUMBERS + case.number) for case in load(ADDED)]
    return [*load(DATA), *added]
