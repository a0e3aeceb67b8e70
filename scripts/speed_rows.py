"""Rows of published speed measurements, each placed: device and model looked up in the catalog by name.

Used by fit_speed.py and score_speed.py. Reads any file with the columns of
catalogs/benchmarks/speed.csv. Placing never looks at the measured columns.
"""

import csv
import gzip
import re
import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.cpus import CpuForm, CpuSpec, TypedCpu, find_cpu_model
from probe.catalog.gpus import GpuSpec, all_gpus, find_gpu
from probe.catalog.limits import limits
from probe.catalog.memory_prior import memory_prior
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.errors import AmbiguousNameError, ProbeError
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.llama_hparams import hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed_bytes import kv_read_bytes
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_weights
from probe.machine.ranges import exact
from probe.machine.system import Memory
from probe.units import GB, GIB

Row = dict[str, str]
ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "catalogs" / "benchmarks"
DATA: Final = FOLDER / "speed.csv"
NAMES: Final = FOLDER / "device_names.csv"
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


class DeviceName(NamedTuple):
    """A row of device_names.csv: what a benchmark's name of a device means in our catalog."""

    kind: str  # gpu, cpu, none
    name: str
    bandwidth_gbs: float | None
    cores: int | None
    memory: str


class UnplacedError(Exception):
    """A row that no estimate can be made for; the message is the reason."""


def number(text: str | None) -> float | None:
    """A figure of the file; None when blank."""
    try:
        return float(text) if text and text.strip() else None
    except ValueError:
        return None


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV, plain or gzip."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def device_names() -> dict[str, DeviceName]:
    """Names that the catalog's search does not resolve, as a reviewed table."""
    if not NAMES.is_file():
        return {}
    found = {}
    for row in read_rows(NAMES):
        cores = number(row["cores"])
        found[row["device"]] = DeviceName(
            row["kind"],
            row["name"],
            number(row["bandwidth_gbs"]),
            None if cores is None else int(cores),
            row["memory"],
        )
    return found


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


# -- devices ------------------------------------------------------------------


def backend_of(row: Row, vendor: str) -> str:
    """Our backend word for the row's; where it is not stated, the one the vendor's builds use."""
    text = row["backend"].lower()
    usual = {"nvidia": "cuda", "apple": "metal", "intel": "sycl", "amd": "rocm"}.get(vendor, "vulkan")
    if "rocm" in text and "vulkan" in text:
        return "rocm"
    for word in ("vulkan", "rocm", "hip", "cuda", "metal", "sycl"):
        if word in text:
            return {"hip": "rocm"}.get(word, word)
    return usual


@cache
def find_board(text: str, bandwidth_gbs: float | None) -> GpuSpec | None:
    """The GPU meant; among boards of one name the one with the stated bandwidth, else the largest."""
    plain = re.sub(r"\(.*?\)", " ", text)
    candidates = [
        text,
        plain,
        re.split(r"\s[+/]\s|\bw/\s", plain)[0],
        re.split(r"\s[+/]\s|\bw/\s", plain)[-1],
    ]
    for candidate in candidates:
        name = " ".join(candidate.split())
        try:
            return find_gpu(name)
        except AmbiguousNameError as error:
            boards = [row for row in (_suggested(one) for one in error.suggestions) if row is not None]
            if boards:
                return min(boards, key=lambda row: _distance(row, bandwidth_gbs))
        except ProbeError as error:
            sizes = str(error.facts.get("sizes") or "").split(", ")
            if sizes != [""]:
                sized = _suggested(f"{name} {sizes[0]}")
                chips = [
                    row
                    for row in all_gpus()
                    if sized and row.name.split(" (")[0] == sized.name.split(" (")[0]
                ]
                if chips:
                    return min(chips, key=lambda row: _distance(row, bandwidth_gbs))
        same = [row for row in all_gpus() if _plain_name(row) == name.lower() and row.vendor == "apple"]
        if same:
            return same[0]
        chips = [
            row
            for row in all_gpus()
            if row.vendor == "apple" and _plain_name(row).startswith(name.lower() + " (")
        ]
        if chips:
            return min(chips, key=lambda row: _distance(row, bandwidth_gbs))
    return None


def _plain_name(row: GpuSpec) -> str:
    return row.name.removeprefix("Apple ").lower()


def _suggested(name: str) -> GpuSpec | None:
    try:
        return find_gpu(name)
    except ProbeError:
        plain = re.sub(r"\s\d+GB$", "", name)
        return next((row for row in all_gpus() if row.name.endswith(plain)), None)


def _distance(row: GpuSpec, bandwidth_gbs: float | None) -> tuple[float, float]:
    own = (row.bandwidth_bytes_per_s or 0) / GB
    near = abs(own / bandwidth_gbs - 1) if bandwidth_gbs and own else 0.0
    return (round(near, 2), -float(max(row.memory_options_bytes, default=0)))


def assumed_bandwidth(row: Row) -> float | None:
    """GB/s of the row itself: stated, or assumed in its notes."""
    stated = number(row.get("memory_bandwidth_gbs"))
    assumed = re.search(r"bw_assumed=([\d.]+)", row.get("notes", ""))
    return stated or (float(assumed.group(1)) if assumed else None)


def threads_of(row: Row) -> int | None:
    """`N threads` of the notes."""
    found = re.search(r"(\d+) threads?\b", row.get("notes", ""))
    return int(found.group(1)) if found else None


def is_cpu(row: Row, alias: DeviceName | None) -> bool:
    """Whether the row ran on a CPU."""
    if alias is not None and alias.kind == "cpu":
        return True
    return row["backend"].lower().startswith("cpu") or "(CPU)" in row["device"]


class Placed(NamedTuple):
    """A device of the catalog as the speed model sees it, still without bytes."""

    device: SpeedDevice
    memory_bytes: int | None
    client: bool
    from_file: bool


def place_device(row: Row) -> Placed:
    """The row's device.

    Raises:
        UnplacedError: its name is not in our catalog, or no bandwidth is known.
    """
    alias = device_names().get(row["device"])
    if alias is not None and alias.kind == "none":
        raise UnplacedError(f"device: {alias.name}")
    partial = "+CPU" in row["backend"] or "partial" in row.get("notes", "") or "ngl " in row["backend"]
    if partial and "ngl 0" not in row["backend"]:
        raise UnplacedError("partial offload: layers per device are not stated")
    if is_cpu(row, alias):
        return _place_cpu(row, alias)
    return _place_gpu(row, alias)


def _place_gpu(row: Row, alias: DeviceName | None) -> Placed:
    stated = assumed_bandwidth(row)
    board = find_board(alias.name if alias else row["device"], stated)
    if board is None:
        raise UnplacedError(f"device: no GPU {row['device']!r} in the catalog")
    bandwidth = board.bandwidth_bytes_per_s
    from_file = False
    if bandwidth is None:
        cpu = named_cpu(re.sub(r".*\(|\).*", "", row["device"])) or named_cpu(row["device"])
        given = stated or (alias.bandwidth_gbs if alias else None)
        bandwidth = given * GB if given else cpu_bandwidth(cpu.spec) if cpu else None
        if bandwidth is None:
            raise UnplacedError(f"device: no bandwidth known of {board.name}")
        from_file = given is not None
    device = SpeedDevice(
        device="gpu0",
        vendor=board.vendor,
        backend=backend_of(row, board.vendor),
        name=board.name,
        architecture=board.architecture,
        compute_capability=board.compute_capability,
        bandwidth=exact(bandwidth, "file" if from_file else "catalog"),
        compute=board.compute,
        unified=board.memory_shared,
        laptop=board.laptop,
    )
    memory = max(board.memory_options_bytes, default=None)
    return Placed(device, None if board.memory_shared else memory, False, from_file)


def _place_cpu(row: Row, alias: DeviceName | None) -> Placed:
    found = named_cpu(alias.name if alias and alias.kind == "cpu" else row["device"])
    if found is None:
        raise UnplacedError(f"device: no CPU {row['device']!r} in the catalog")
    spec = found.spec
    memory = named_memory(alias.memory if alias and alias.memory else row["device"])
    prior = memory_prior(spec, memory, laptop=None, sockets=1)
    bandwidth, from_file = prior.bandwidth if prior else None, False
    if bandwidth is None:
        stated = assumed_bandwidth(row) or (alias.bandwidth_gbs if alias else None)
        if stated is None:
            raise UnplacedError(f"device: no bandwidth known of {spec.name}")
        bandwidth, from_file = exact(stated * GB, "file"), True
    physical = found.cores.physical if found.cores else (alias.cores if alias else None)
    device = SpeedDevice(
        device="cpu",
        vendor=spec.vendor,
        backend="cpu",
        name=found.brand,
        architecture=spec.generation,
        bandwidth=bandwidth,
        usable_cores=threads_of(row) or physical,
        physical_cores=physical,
        logical_cores=found.cores.logical if found.cores else None,
        isa=spec.isa,
    )
    client = spec.form in (None, CpuForm.LAPTOP, CpuForm.DESKTOP, CpuForm.MINI_PC)
    return Placed(device, None, client, from_file)


@cache
def named_cpu(text: str) -> TypedCpu | None:
    """The processor named at the start of a text, or in one of its parts: `i5-1135G7 HP Laptop 15 (CPU)`."""
    plain = re.sub(r"\(.*?\)|^\dx ", " ", text)
    for part in re.split(r"\s[+/]\s|\bw/\s", plain):
        words = part.split()
        for end in range(len(words), 0, -1):
            try:
                return find_cpu_model(" ".join(words[:end]))
            except ProbeError:
                continue
    return None


def named_memory(text: str) -> Memory:
    """RAM as far as a device's name tells: `i9-14900K DDR5-6000`, `8ch DDR5`, `DDR5-5600 x1`."""
    kind = re.search(r"\b(LP)?DDR\d\w?(?:-(\d{4}))?\b", text)
    channels = re.search(r"\b(\d+)ch\b|\bx(\d+)$", text)
    return Memory(
        type=kind.group(0).partition("-")[0] if kind else None,
        speed_mt_per_s=int(kind.group(2)) if kind and kind.group(2) else None,
        channels=int(channels.group(1) or channels.group(2)) if channels else None,
    )


def cpu_bandwidth(spec: CpuSpec) -> float | None:
    """What the product takes for RAM of this processor when nothing is known of the modules, bytes/s."""
    prior = memory_prior(spec, Memory(), laptop=None, sockets=1)
    return prior.bandwidth.value if prior else None


# -- models -------------------------------------------------------------------


def quantization_of(row: Row) -> str:
    """The recipe's name in the row's spelling of it: `Q4_K - Medium`, `UD-Q4_K_XL`, `MXFP4`."""
    text = row["quant"].replace("(Scout)", "").strip()
    sizes = {"medium": "_M", "small": "_S", "large": "_L"}
    found = re.match(r"^(I?Q\d\w*)\s+-\s+(\w+)", text)
    if found:
        base, size = found.group(1), sizes.get(found.group(2).lower(), "")
        return base if base in ("Q2_K", "Q6_K") and not size else base + size if base[-1] == "K" else base
    text = text.removeprefix("UD-").split()[0] if text else ""
    same = {
        "Q4_K_XL": "Q4_K_M",
        "Q3_K_XL": "Q3_K_M",
        "Q2_K_XL": "Q2_K",
        "Q4_K_P": "Q4_K_M",
        "Q3_K_P": "Q3_K_M",
    }
    if row["quant"].startswith("Ollama default"):
        return "Q4_K_M"
    return same.get(text, text)


@cache
def _weights(model_id: str, quantization: str) -> WeightBytes:
    return gguf_weights(find_model(model_id), quantization)


def place_model(row: Row) -> tuple[ModelSpec, WeightBytes]:
    """The row's model and what it weighs, scaled to the file size where the row states one.

    Raises:
        UnplacedError: no such model or quantization in our catalog.
    """
    try:
        spec = find_model(row["model"])
    except ProbeError as error:
        raise UnplacedError(f"model: no {row['model']!r} in the catalog") from error
    stated = number(row.get("model_bytes_gib"))
    if "not stated" in row["quant"]:
        raise UnplacedError(f"quantization: {row['quant']!r}")
    quantization = quantization_of(row)
    if spec.native_quantization == "mxfp4" and quantization in ("F16", "Q4_K_M", "Q8_0"):
        quantization = "MXFP4_MOE"  # published files of this model keep its 4-bit experts
    try:
        weights = _weights(spec.id, quantization)
    except (ProbeError, NotModeledError) as error:
        raise UnplacedError(f"quantization: {row['quant']!r} of {row['model']!r}: {error}") from error
    if stated:
        ratio = stated * GIB / weights.file_bytes
        if not 0.6 < ratio < 1.6:
            raise UnplacedError(f"size: {stated} GiB stated, {weights.file_bytes / GIB:.2f} GiB computed")
        weights = scaled(weights, ratio)
    return spec, weights


def scaled(weights: WeightBytes, ratio: float) -> WeightBytes:
    """The same file with every part larger or smaller by `ratio`: mixes that differ from llama.cpp's own."""
    if abs(ratio - 1) < 0.01:
        return weights

    def times(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(round(value * ratio) for value in values)

    return msgspec.structs.replace(
        weights,
        file_bytes=round(weights.file_bytes * ratio),
        layers=times(weights.layers),
        layer_experts=times(weights.layer_experts),
        layer_active=times(weights.layer_active),
        token_embedding_bytes=round(weights.token_embedding_bytes * ratio),
        output_bytes=round(weights.output_bytes * ratio),
    )


# -- rows ---------------------------------------------------------------------


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
            layers=len(weights.layers) // count,
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


def is_llama_cpp(row: Row) -> bool:
    """llama.cpp and its front ends; forks and other engines are reported apart."""
    engine = row["engine"].lower()
    return ("llama.cpp" in engine or "ollama" in engine or "not stated" in engine) and "ik_" not in engine


def load(path: Path = DATA) -> list[Case]:
    """Every row of a file, placed or with the reason why not."""
    found, seen = [], dict[tuple[str, ...], int]()
    for line, row in enumerate(read_rows(path), 2):
        whole = (
            *row_key(row | {"source_url": row["source_url"].partition("#")[0]}),
            *(row.get(name, "") for name in ("date", "engine", "engine_build", "context_depth")),
        )
        if whole in seen:
            found.append(Case(line, row, reason=f"copy of line {seen[whole]}"))
            continue
        seen[whole] = line
        case = place(line, row)
        found.append(case._replace(excluded=exclusions().get(row_key(row))))
    return found
