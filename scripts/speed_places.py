"""Devices and models of published measurements, looked up in the catalog; never the measured columns."""

import re
import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.cpus import CpuForm, CpuSpec, TypedCpu, find_cpu_model
from probe.catalog.gpus import GpuSpec, all_gpus, find_gpu
from probe.catalog.memory_prior import memory_prior
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.errors import AmbiguousNameError, ProbeError
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_weights
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.machine.ranges import exact
from probe.machine.system import Memory
from probe.units import GB, GIB
from scripts.csv_rows import Row, read_rows

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "catalogs" / "benchmarks"
NAMES: Final = FOLDER / "device_names.csv"


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


def is_llama_cpp(row: Row) -> bool:
    """llama.cpp and its front ends; forks and other engines are reported apart."""
    engine = row["engine"].lower()
    return ("llama.cpp" in engine or "ollama" in engine or "not stated" in engine) and "ik_" not in engine


# How published tables write the formats of checkpoints -> our names.
_CHECKPOINTS: Final = (
    (re.compile(r"^AWQ\b", re.IGNORECASE), "awq"),
    (re.compile(r"^(GPTQ|AutoRound)\b.*\b(INT4|4)", re.IGNORECASE), "gptq-int4"),
    (re.compile(r"^FP8$", re.IGNORECASE), "fp8"),
    (re.compile(r"^NVFP4$", re.IGNORECASE), "nvfp4"),
    (re.compile(r"^EXL2 ([\d.]+) bpw$"), r"exl2-\1bpw"),
)


def checkpoint_format(text: str) -> str | None:
    """The checkpoint format that a row of another engine names; None for GGUF types and 16 bits."""
    for pattern, name in _CHECKPOINTS:
        found = pattern.match(text)
        if found:
            return found.expand(name)
    return None


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
    checkpoint = None if is_llama_cpp(row) else checkpoint_format(row["quant"])
    try:
        weights = checkpoint_weights(spec, checkpoint) if checkpoint else _weights(spec.id, quantization)
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
