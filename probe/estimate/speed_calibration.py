"""Measured here: a real run on this machine sharpens every later estimate on the same device.

A measurement carries the inputs of the formula in its `subject`, so it is compared with
whatever constants are installed. The difference is shared out between efficiency,
unpacking and layer overhead by how much each counts in that very run and how much devices of
a class differ in it: a tiny model's run says most about the overhead, a large one's
about bandwidth. scripts/score_speed.py shows the effect (after_one_measurement).
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from probe.catalog.speed_constants import SpeedConstants, speed_constants
from probe.estimate.speed_class import kernel_class
from probe.estimate.speed_decode import decode_times
from probe.estimate.speed_device import Shifts, SpeedDevice
from probe.estimate.speed_prompt import PromptShape, prompt_seconds
from probe.machine.description import Measurement

DECODE: Final = "decode_tokens_per_s"
PROMPT: Final = "prompt_tokens_per_s"
# A factor beyond this is no calibration but another cause (swapping, a busy machine, speculation).
LARGEST_FACTOR: Final = 5.0


class RunInputs(NamedTuple):
    """What the formula is given for one measured run."""

    device: str  # cpu or gpu<index>
    quantization: str
    weight_bytes: int  # read for one token
    batch_bytes: int  # read for one batch of the prompt
    kv_bytes: int  # at the mean depth of the run
    layers: int
    operations: float
    attention_width: float
    sliding_width: float
    window: int
    experts: bool
    prompt_tokens: int
    threads: int | None
    flash_attention: bool = True
    old_build: bool = False
    attention_per_cache_byte: float = 1.0

    def as_subject(self) -> dict[str, str]:
        """The inputs as text, for a Measurement's subject."""
        found = {name: str(value) for name, value in self._asdict().items() if value is not None}
        words = {name: "yes" if found[name] == "True" else "no" for name in _FLAGS}
        return {**found, **words}


_FLAGS: Final = ("experts", "flash_attention", "old_build")


def inputs_of(subject: dict[str, str]) -> RunInputs | None:
    """The inputs back from a subject; None when it lacks or garbles them."""
    try:
        return RunInputs(
            device=subject["device"],
            quantization=subject["quantization"],
            weight_bytes=int(subject["weight_bytes"]),
            batch_bytes=int(subject["batch_bytes"]),
            kv_bytes=int(subject["kv_bytes"]),
            layers=int(subject["layers"]),
            operations=float(subject["operations"]),
            attention_width=float(subject["attention_width"]),
            sliding_width=float(subject["sliding_width"]),
            window=int(subject["window"]),
            experts=subject["experts"] == "yes",
            prompt_tokens=int(subject["prompt_tokens"]),
            threads=int(subject["threads"]) if "threads" in subject else None,
            flash_attention=subject.get("flash_attention", "yes") == "yes",
            old_build=subject.get("old_build") == "yes",
            attention_per_cache_byte=float(subject.get("attention_per_cache_byte", "1")),
        )
    except (KeyError, ValueError):
        return None


def calibrated(
    device: SpeedDevice, measurements: Iterable[Measurement], constants: SpeedConstants | None = None
) -> SpeedDevice:
    """The device with the factors that its own measured runs give; unchanged without any.

    Args:
        measurements: of this machine with its present fingerprint; stale ones must be left out.
            Runs on a busy machine (`busy` in the subject) say nothing and are passed over.
    """
    known = constants or speed_constants()
    decode: list[tuple[RunInputs, float]] = []
    prompt: list[float] = []
    for measurement in measurements:
        run = inputs_of(measurement.subject)
        if run is None or run.device != device.device or measurement.subject.get("busy") == "yes":
            continue
        if measurement.what == DECODE:
            expected = run_decode_speed(device, run, known)
            if expected and _plausible(measurement.value / expected):
                decode.append((run, measurement.value))
        elif measurement.what == PROMPT:
            expected = run_prompt_speed(device, run, known)
            if expected and _plausible(measurement.value / expected):
                prompt.append(measurement.value / expected)
    if not decode and not prompt:
        return device
    return msgspec.structs.replace(
        device,
        shifts=fit_shifts(device, decode, known),
        prompt_factor=_middle(prompt),
        measured=bool(decode),
        prompt_measured=bool(prompt),
    )


def _plausible(factor: float) -> bool:
    return 1 / LARGEST_FACTOR < factor < LARGEST_FACTOR


_SHIFTS: Final = ("efficiency", "kernel", "layer")
_STEP: Final = 1e-4
_RANGE_SIGMAS: Final = 2.56  # from end to end of a range that holds four in five


def fit_shifts(device: SpeedDevice, runs: list[tuple[RunInputs, float]], constants: SpeedConstants) -> Shifts:
    """The most likely differences of this device from its class, given measured decode speeds.

    Maximum a posteriori with Gaussian spreads of the class (`device_sd`), by a few Newton steps.
    """
    sd = constants.decode.device_sd | {"efficiency": _efficiency_sd(device, constants)}
    values = [0.0, 0.0, 0.0]
    for _ in range(6):
        gradient = [value / sd[name] ** 2 for name, value in zip(_SHIFTS, values, strict=True)]
        normal = [[0.0, 0.0, 0.0] for _ in _SHIFTS]
        for index, name in enumerate(_SHIFTS):
            normal[index][index] = 1 / sd[name] ** 2
        for run, speed in runs:
            base = _log_seconds(device, run, values, constants)
            rest = base + math.log(speed)  # estimated over measured time
            slopes = []
            for index in range(3):
                moved = [value + (_STEP if place == index else 0.0) for place, value in enumerate(values)]
                slopes.append((_log_seconds(device, run, moved, constants) - base) / _STEP)
            for row in range(3):
                gradient[row] += slopes[row] * rest / sd["noise"] ** 2
                for col in range(3):
                    normal[row][col] += slopes[row] * slopes[col] / sd["noise"] ** 2
        values = [value - step for value, step in zip(values, _solve(normal, gradient), strict=True)]
    return Shifts(efficiency=values[0], kernel=values[1], layer=values[2])


def _efficiency_sd(device: SpeedDevice, constants: SpeedConstants) -> float:
    """The spread of the class and that of the bandwidth: RAM may have one module where we expect two."""
    own = device.bandwidth
    doubt = math.log(own.high / own.low) / _RANGE_SIGMAS if own is not None and own.low > 0 else 0.0
    return math.hypot(constants.decode.device_sd["efficiency"], doubt)


def _log_seconds(
    device: SpeedDevice, run: RunInputs, values: list[float], constants: SpeedConstants
) -> float:
    shifted = msgspec.structs.replace(
        device, shifts=Shifts(efficiency=values[0], kernel=values[1], layer=values[2])
    )
    speed = run_decode_speed(shifted, run, constants)
    return -math.log(speed) if speed else 0.0


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Three linear equations, by elimination; the matrix is positive definite."""
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for pivot in range(3):
        for row in range(pivot + 1, 3):
            factor = rows[row][pivot] / rows[pivot][pivot]
            rows[row] = [here - factor * above for here, above in zip(rows[row], rows[pivot], strict=True)]
    found = [0.0, 0.0, 0.0]
    for row in (2, 1, 0):
        known = sum(rows[row][col] * found[col] for col in range(row + 1, 3))
        found[row] = (rows[row][3] - known) / rows[row][row]
    return found


def run_decode_speed(device: SpeedDevice, run: RunInputs, constants: SpeedConstants) -> float | None:
    """Our decode speed for that very run."""
    part = decode_times(
        _with_run(device, run),
        constants,
        kernel=kernel_class(run.quantization),
        experts=run.experts,
        attention=run.attention_per_cache_byte * run.kv_bytes,
        without_flash_attention=not run.flash_attention,
        old_build=run.old_build,
    )
    return None if part is None else 1 / part.total


def run_prompt_speed(device: SpeedDevice, run: RunInputs, constants: SpeedConstants) -> float | None:
    """Our prompt speed for that very run, not calibrated."""
    if not run.prompt_tokens:
        return None
    shape = PromptShape(
        run.operations, run.attention_width, run.sliding_width, run.window, experts=run.experts
    )
    seconds = prompt_seconds(
        _with_run(device, run),
        constants,
        shape,
        tokens=run.prompt_tokens,
        kernel=kernel_class(run.quantization),
        weight_bytes=run.batch_bytes,
        without_flash_attention=not run.flash_attention,
        old_build=run.old_build,
    )
    return run.prompt_tokens / seconds if seconds else None


def _with_run(device: SpeedDevice, run: RunInputs) -> SpeedDevice:
    return msgspec.structs.replace(
        device,
        active_weight_bytes=run.weight_bytes,
        kv_bytes=run.kv_bytes,
        layers=run.layers,
        usable_cores=run.threads or device.usable_cores,
    )


def _middle(factors: list[float]) -> float:
    """Geometric mean; 1 without any."""
    return math.exp(sum(math.log(factor) for factor in factors) / len(factors)) if factors else 1.0
