"""Fit how other engines differ from llama.cpp in speed, into catalogs/engine_speed.json.

Data: catalogs/benchmarks/speed_engines.csv, runs of one request at a time. Every run is compared
with the constants of its device's class in catalogs/speed.json; the differences of an engine
are few numbers with priors, so that a dozen devices suffice. `--score` prints the errors on
devices left out in turn, and of runs with several requests, which are not fitted. `--check`
writes nothing and exits 1 when the file does not belong to the data.
"""

import argparse
import hashlib
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.engine_speed import ENGINE_SPEED_FILE, EngineSpeed, EngineSpeeds, engine_speeds
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.catalog.speed_constants import SPEED_FILE, Spread, speed_constants
from probe.errors import ProbeError
from probe.estimate.gguf_metadata import gguf_metadata
from probe.estimate.llama_hparams import hparams_from_metadata
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed import estimate_speed, experts_touched, prompt_shape
from probe.estimate.speed_bytes import kv_read_bytes
from probe.estimate.speed_class import kernel_class
from probe.estimate.speed_decode import decode_times
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.speed_prompt import prompt_rate, prompt_seconds
from probe.estimate.speed_served import is_narrow, peak_per_s, prompt_gain, prompt_seconds_of, shifts_of
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights.checkpoint import checkpoint_weights
from scripts.csv_rows import Row, read_rows
from scripts.speed_places import FOLDER, ROOT, UnplacedError, number, place_device
from scripts.speed_terms import Array, device_weights, weighted_quantile

DATA: Final = FOLDER / "speed_engines.csv"
OUT: Final = ROOT / ENGINE_SPEED_FILE
# TensorRT-LLM and ExLlama have rows too few to say more than that llama.cpp's constants hold about as well.
ENGINES: Final = {
    "vLLM": "vllm", "SGLang": "sglang",
    "mlx-lm": "mlx-lm", "Rapid-MLX": "mlx-lm", "MLX": "mlx-lm",
}  # fmt: skip
SERVERS: Final = ("vllm", "sglang")
COVERAGE: Final = 0.84  # as fit_speed.py
# vLLM before 0.10 (its older core): a slower layer, of no interest to what is installed today.
OLD_MINOR: Final = 10
PROMPT_BATCH: Final = 8192  # max_num_batched_tokens of a server; MLX reads 2,048 at a time
SHORTEST_PROMPT: Final = 64
NAMES: Final = ("efficiency", "packed", "narrow", "kernel", "layer", "experts", "sync", "old")
# Middle and width (one sigma) of each difference before any row is seen: none, but for weights that need
# unpacking, exchanges of about 25 microseconds a layer, and old versions.
PRIOR: Final = (
    (0.0, -0.1, -0.05, 0.0, 0.0, 0.0, math.log(25e-6), 0.3),
    (0.12, 0.25, 0.2, 0.7, 0.8, 1.0, 1.0, 0.5),
)
# The other servers begin at vLLM's solution.
NEAR: Final = (0.08, 0.15, 0.15, 0.4, 0.5, 0.6, 0.6, 0.3)
PROMPT_NAMES: Final = ("rate", "narrow", "layer", "parallel")
PROMPT_PRIOR: Final = ((0.3, 0.2, math.log(4e-4), 0.3), (0.4, 0.4, 0.7, 0.3))
SIGMA: Final = 0.15
PROMPT_SIGMA: Final = 0.4
ROBUST: Final = 1.5  # residuals beyond this many sigmas pull like an absolute error


class Run(NamedTuple):
    """One placed row."""

    row: Row
    engine: str
    spec: ModelSpec
    weights: WeightBytes
    device: SpeedDevice  # one of `gpus`, with its part
    gpus: int
    old: bool
    requests: int
    decode: float | None  # tokens a second of all requests
    prompt_tokens: int
    prompt: float | None  # seconds to the first token


def place(row: Row) -> Run:
    """A row with what the estimate needs.

    Raises:
        UnplacedError: device, model or format is not in our catalog, or GPUs are chained.
    """
    try:
        spec = find_model(row["model"])
        weights = checkpoint_weights(spec, row["quant"])
        gpus = int(number(row["tensor_parallel"]) or 1)
        generated = number(row["n_gen"]) or 128
        prompt = number(row["n_prompt"]) or 0.0
        before = number(row["context_depth"])
        depth = (prompt if before is None else before) + generated / 2
        kv = kv_read_bytes(hparams_from_metadata(gguf_metadata(spec)), depth)
    except (ProbeError, NotModeledError) as error:
        raise UnplacedError(f"model: {error}") from error
    if gpus != int(number(row["device_count"]) or 1):
        raise UnplacedError("devices: not all share the layers")
    device = msgspec.structs.replace(
        place_device(row).device,
        active_weight_bytes=round(weights.active_bytes / gpus),
        kv_bytes=round(kv / gpus),
        layers=len(weights.layers),
    )
    first, rate = number(row["ttft_ms"]), number(row["pp_tok_s"])
    return Run(
        row,
        ENGINES[row["engine"]],
        spec,
        weights,
        device,
        gpus,
        _is_old(row),
        int(number(row["batch"]) or 1),
        number(row["tg_tok_s"]),
        int(prompt),
        first / 1000 if first else prompt / rate if rate else None,
    )


def _is_old(row: Row) -> bool:
    version = re.match(r"v?0\.(\d+)", row["engine_build"])
    return row["engine"] == "vLLM" and version is not None and int(version.group(1)) < OLD_MINOR


def load() -> tuple[list[Run], list[tuple[Row, str]]]:
    """Placed runs, and the other rows with the reason."""
    runs, unplaced = [], []
    for row in read_rows(DATA):
        if row["engine"] not in ENGINES:
            continue
        try:
            runs.append(place(row))
        except UnplacedError as error:
            unplaced.append((row, str(error)))
    return runs, unplaced


# -- the model, as the product computes it --------------------------------------


def engine_of(decode: Array, prompt: Array) -> EngineSpeed:
    """The unknowns as the product reads them, without spreads; not rounded, for the slopes of the fit."""
    d, p = (
        dict(zip(NAMES, map(float, decode), strict=True)),
        dict(zip(PROMPT_NAMES, map(float, prompt), strict=True)),
    )
    unit = Spread(low=1.0, high=1.0)
    return EngineSpeed(
        efficiency=d["efficiency"],
        packed=d["packed"],
        narrow=d["narrow"],
        kernel=d["kernel"],
        layer=d["layer"],
        experts=d["experts"],
        tensor_sync_s=math.exp(d["sync"]),
        prompt_rate=p["rate"],
        prompt_narrow=p["narrow"],
        prompt_layer_s=math.exp(p["layer"]),
        prompt_parallel=p["parallel"],
        prompt_batch=PROMPT_BATCH,
        decode_spread=unit,
        decode_spread_divided=unit,
        prompt_spread=unit,
        rows=0,
        devices=0,
    )


_NO_PROMPT: Final = np.zeros(len(PROMPT_NAMES))
_NO_DECODE: Final = np.zeros(len(NAMES))


def token_seconds(run: Run, x: Array) -> float:
    """Seconds of one token of one request."""
    served = engine_of(x, _NO_PROMPT)
    shifts = shifts_of(served, run.weights.quantization)
    if run.old:
        slower = float(x[NAMES.index("old")])
        shifts = msgspec.structs.replace(shifts, layer=shifts.layer + slower, experts=shifts.experts - slower)
    part = decode_times(
        msgspec.structs.replace(run.device, shifts=shifts),
        speed_constants(),
        kernel=kernel_class(run.weights.quantization),
        experts=prompt_shape(run.spec).experts,
        attention=prompt_shape(run.spec).attention_per_cache_byte * run.device.kv_bytes,
    )
    if part is None:
        raise ValueError(f"{run.device.name}: no bandwidth")
    return part.total + (run.device.layers * served.tensor_sync_s if run.gpus > 1 else 0.0)


def first_token_seconds(run: Run, x: Array) -> float:
    """Seconds of one prompt."""
    served = engine_of(_NO_DECODE, x)
    more = experts_touched(run.spec, run.weights, min(run.prompt_tokens, PROMPT_BATCH))
    seconds = prompt_seconds(
        run.device,
        speed_constants(),
        prompt_shape(run.spec),
        tokens=run.prompt_tokens,
        kernel=kernel_class(run.weights.quantization),
        weight_bytes=run.device.active_weight_bytes * more,
        batch=PROMPT_BATCH,
        share_of_model=1 / run.gpus,
    )
    if seconds is None:
        raise ValueError(f"{run.device.name}: no arithmetic rate")
    rate = prompt_rate(
        run.device,
        speed_constants(),
        kernel=kernel_class(run.weights.quantization),
        experts=prompt_shape(run.spec).experts,
    )
    own = [seconds / prompt_gain(served, run.device, run.weights.quantization, rate=rate)] * run.gpus
    return prompt_seconds_of(served, own, run.device.layers, together=run.gpus > 1)


# -- the fit ----------------------------------------------------------------------

Model = Callable[[Run, Array], float]


def solve(
    runs: Sequence[Run],
    model: Model,
    measured: Callable[[Run], float],
    prior: tuple[Sequence[float], Sequence[float]],
    *,
    sigma: float,
) -> Array:
    """The most likely unknowns, by Gauss-Newton in logarithms.

    A device's rows together weigh as the square root of their number.
    """
    mean, sd = np.array(prior[0]), np.array(prior[1])
    x: Array = mean.copy()
    if not runs:
        return x
    weights = device_weights([run.device.name or "" for run in runs])
    step = 1e-3
    for _ in range(25):
        rest = np.array([math.log(model(run, x) / measured(run)) for run in runs])
        slopes = np.empty((len(runs), len(x)))
        for column in range(len(x)):
            moved = x.copy()
            moved[column] += step
            slopes[:, column] = [math.log(model(run, moved) / measured(run)) for run in runs]
        slopes = (slopes - rest[:, None]) / step
        scaled = np.abs(rest) / sigma
        pull = weights * np.where(scaled > ROBUST, ROBUST / np.maximum(scaled, 1e-9), 1.0) / sigma**2
        normal = slopes.T @ (slopes * pull[:, None]) + np.diag(1 / sd**2)
        move = np.linalg.solve(normal, slopes.T @ (pull * rest) + (x - mean) / sd**2)
        x = x - np.clip(move, -0.5, 0.5)
        if np.abs(move).max() < 1e-4:
            break
    return x


def fit_decode(runs: Sequence[Run], prior: tuple[Sequence[float], Sequence[float]]) -> Array:
    """Decode differences of one engine."""
    return solve(runs, token_seconds, lambda run: 1 / (run.decode or 1.0), prior, sigma=SIGMA)


def fit_prompt(runs: Sequence[Run]) -> Array:
    """Prompt differences of one engine, or of several taken together."""
    return solve(runs, first_token_seconds, lambda run: run.prompt or 1.0, PROMPT_PRIOR, sigma=PROMPT_SIGMA)


def left_out(
    runs: Sequence[Run], fit: Callable[[Sequence[Run]], Array], model: Model, real: Callable[[Run], float]
) -> list[tuple[Run, float]]:
    """log(measured / estimated seconds) of every run, with its device left out of the fit."""
    found = []
    for name in sorted({run.device.name or "" for run in runs}):
        x = fit([run for run in runs if run.device.name != name])
        own = [run for run in runs if run.device.name == name]
        found += [(run, math.log(real(run) / model(run, x))) for run in own]
    return found


class Group(NamedTuple):
    """What was fitted of an engine and how far devices left out lie from it."""

    decode: Array
    prompt: Array
    decode_rest: list[tuple[Run, float]]
    prompt_rest: list[tuple[Run, float]]


def fit_all(runs: Sequence[Run]) -> dict[str, Group]:
    """Every engine; servers share their prompt terms, and begin where vLLM's decode ended."""
    single = [run for run in runs if run.requests == 1]
    streams = {name: [r for r in single if r.engine == name and r.decode] for name in set(ENGINES.values())}
    firsts = [r for r in single if r.prompt and r.prompt_tokens >= SHORTEST_PROMPT and not was_cached(r)]
    vllm = fit_decode(streams["vllm"], PRIOR)
    groups: dict[str, Group] = {}
    for members in (SERVERS, ("mlx-lm",)):
        prompts = [run for run in firsts if run.engine in members]
        prompt = fit_prompt(prompts)
        prompt_rest = left_out(prompts, fit_prompt, first_token_seconds, lambda run: run.prompt or 1.0)
        for name in members:
            prior = (tuple(vllm), NEAR) if name in SERVERS and name != "vllm" else PRIOR
            rest = left_out(
                streams[name],
                lambda some, prior=prior: fit_decode(some, prior),  # type: ignore[misc]
                token_seconds,
                lambda run: 1 / (run.decode or 1.0),
            )
            groups[name] = Group(fit_decode(streams[name], prior), prompt, rest, prompt_rest)
    return groups


def was_cached(run: Run) -> bool:
    """A first token sooner than the matrix units allow: the prompt was in the engine's cache."""
    peak = peak_per_s(run.device, narrow=is_narrow(run.weights.quantization))
    shape = prompt_shape(run.spec)
    operations = run.prompt_tokens * (shape.operations + shape.attention(run.prompt_tokens, 0.0))
    return bool(peak and run.prompt and operations / run.prompt > peak * run.gpus)


def is_divided(run: Run) -> bool:
    """Several GPUs or routed experts: what is not known of links and kernels widens the range."""
    return run.gpus > 1 or prompt_shape(run.spec).experts


def spread(rest: Sequence[tuple[Run, float]]) -> Spread:
    """Factors on a speed that hold COVERAGE of the devices left out."""
    values = np.array([-value for _, value in rest])
    weights = device_weights([run.device.name or "" for run, _ in rest])
    low = min(weighted_quantile(values, weights, (1 - COVERAGE) / 2), -0.02)
    high = max(weighted_quantile(values, weights, (1 + COVERAGE) / 2), 0.02)
    return Spread(low=round(math.exp(low), 4), high=round(math.exp(high), 4))


def speeds(groups: dict[str, Group]) -> EngineSpeeds:
    """The file: servers share one spread of each kind, as some have few rows."""
    servers = [pair for name in SERVERS for pair in groups[name].decode_rest]
    found = {}
    for name, group in sorted(groups.items()):
        rest = servers if name in SERVERS else group.decode_rest
        own = engine_of(np.round(group.decode, 4), np.round(group.prompt, 4))
        found[name] = msgspec.structs.replace(
            own,
            tensor_sync_s=round(own.tensor_sync_s, 8),
            prompt_layer_s=round(own.prompt_layer_s, 7),
            decode_spread=spread([pair for pair in rest if not is_divided(pair[0])]),
            decode_spread_divided=spread([pair for pair in rest if is_divided(pair[0])]),
            prompt_spread=spread(group.prompt_rest),
            rows=len(group.decode_rest),
            devices=len({run.device.name for run, _ in group.decode_rest}),
        )
    return EngineSpeeds(
        schema_version=1,
        script="scripts/fit_engine_speed.py",
        data=str(DATA.relative_to(ROOT)),
        data_sha256=data_hash(),
        engines=found,
    )


def data_hash() -> str:
    """SHA-256 over the measurements and the constants they are compared with."""
    digest = hashlib.sha256()
    for path in (DATA, ROOT / SPEED_FILE):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# -- scores -------------------------------------------------------------------------


def line(label: str, errors: Sequence[float], covered: Sequence[bool] = ()) -> str:
    """Errors of a group in percent."""
    ordered = np.abs(np.array(errors)) * 100
    held = f"{100 * sum(covered) / len(covered):8.0f}" if covered else " " * 8
    return f"{label:<34}{len(errors):>6}{np.median(ordered):>9.1f}{np.quantile(ordered, 0.9):>9.1f}{held}"


def print_scores(runs: Sequence[Run], groups: dict[str, Group], found: EngineSpeeds) -> None:
    """Devices left out in turn; llama.cpp's constants on the same rows; several requests at once."""
    print(f"{'group':<34}{'rows':>6}{'median':>9}{'p90':>9}{'inside':>8}")
    for name, group in groups.items():
        own = found.engines[name]
        for divided, spreads in ((False, own.decode_spread), (True, own.decode_spread_divided)):
            rest = [pair for pair in group.decode_rest if is_divided(pair[0]) is divided]
            if rest:
                kind = "several GPUs or experts" if divided else "one GPU, dense"
                held = [spreads.low <= math.exp(-value) <= spreads.high for _, value in rest]
                print(line(f"{name}: {kind}", [math.exp(value) - 1 for _, value in rest], held))
        plain = [_as_llama_cpp(run) * (run.decode or 1.0) for run, _ in group.decode_rest]
        print(line("  with llama.cpp's constants", [1 / ratio - 1 for ratio in plain]))
    for name in ("vllm", "mlx-lm"):
        rest, spreads = groups[name].prompt_rest, found.engines[name].prompt_spread
        held = [spreads.low <= math.exp(-value) <= spreads.high for _, value in rest]
        label = "servers: first token" if name == "vllm" else "mlx-lm: first token"
        print(line(label, [math.exp(value) - 1 for _, value in rest], held))
    for low, high in ((2, 4), (5, 16), (17, 64), (65, 10_000)):
        some = [run for run in runs if low <= run.requests <= high and run.decode]
        errors = [ours / (run.decode or 1.0) - 1 for run in some if (ours := together(run))]
        if errors:
            print(line(f"{low} to {high} requests at once", errors))
    counts = Counter(run.engine for run in runs if run.requests == 1 and run.decode)
    print("single streams:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))


def _as_llama_cpp(run: Run) -> float:
    """Seconds of one token with the constants of the device's class alone."""
    part = decode_times(
        run.device,
        speed_constants(),
        kernel=kernel_class(run.weights.quantization),
        experts=prompt_shape(run.spec).experts,
        attention=prompt_shape(run.spec).attention_per_cache_byte * run.device.kv_bytes,
    )
    sync = run.device.layers * speed_constants().split.tensor_sync_s if run.gpus > 1 else 0.0
    return part.total + sync if part else 0.0


def together(run: Run) -> float | None:
    """Our tokens a second of all requests of a run, from the product."""
    return estimate_speed(
        run.spec,
        run.weights,
        (run.device,) * run.gpus,
        split="tensor" if run.gpus > 1 else "none",
        parallel=run.requests,
        engine=run.engine,
    ).aggregate_tokens_per_s


def main() -> int:
    """Fit and write, score, or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare the data's hash")
    parser.add_argument(
        "--score", action="store_true", help="write nothing, print errors on devices left out"
    )
    options = parser.parse_args()
    if options.check:
        return 0 if engine_speeds().data_sha256 == data_hash() else 1
    runs, unplaced = load()
    groups = fit_all(runs)
    found = speeds(groups)
    if options.score:
        print_scores(runs, groups, found)
        for row, reason in unplaced:
            print(f"unplaced: {row['device']} {row['model']} {row['quant']}: {reason}")
        return 0
    OUT.write_bytes(msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=1) + b"\n")
    print(f"{OUT.relative_to(ROOT)}: {len(runs)} rows, {len(unplaced)} not placed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
