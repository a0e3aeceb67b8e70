"""Constants of the speed model from placed rows: the decode fit, the prompt fit, split costs, typical ratios.

The formulas are those of probe/estimate/speed_decode.py and speed_prompt.py, written
over all rows at once with their derivatives; a test holds both against each other.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.gpus import all_gpus
from probe.catalog.speed_constants import DecodeConstants, PromptConstants
from probe.estimate.roofline import reading_rate
from probe.estimate.speed import experts_touched, prompt_shape
from probe.estimate.speed_class import CPU, arithmetic_per_s, class_keys, generation, kernel_class, wideness
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.speed_prompt import large_gpu, many_cores, matrix_ratio, reading_per_s
from scripts.speed_rows import Case
from scripts.speed_terms import Array, Prior, Terms, design, device_weights, gauss_newton

SHARPNESS: Final = 2.0  # of 1, 1.5, 2 and 3 the one with the least error on devices left out
DECODE_SIGMA: Final = 0.08
PROMPT_SIGMA: Final = 0.3

# Where nothing is measured: middle and width (one sigma, in logarithms) of every kind of key.
# The widest keys carry our expectation, the narrower ones start at no difference from their parent.
EFFICIENCY: Final = {"": Prior(math.log(0.87), 0.08), "vendor": Prior(0, 0.06), "backend": Prior(0, 0.06)}
EFFICIENCY_AGE: Final = Prior(0, 0.08)
CPU_EFFICIENCY_AGE: Final = Prior(0, 0.15)
WIDE: Final = Prior(-0.5, 0.2)
KERNELS: Final = {  # operations a byte
    "f16": 4, "q8": 6, "q4": 11, "q5": 14, "q41": 14, "k4": 13, "iq4": 14, "k23": 30, "iq": 60, "fp4": 14,
}  # fmt: skip
LAYER: Final = Prior(math.log(20e-6), 1.0)
EXPERTS: Final = Prior(math.log(40e-6), 1.0)
# Rows of speed.csv read the cache 2 to 7 times slower without flash attention (fa=0, builds of 2024).
NO_FLASH: Final = Prior(math.log(6), 0.3)
LARGE: Final = Prior(-0.2, 0.15)
ATTENTION: Final = Prior(math.log(10), 1.5)
CORE_RATE: Final = {  # arithmetic of one core, 10^9 a second
    "amx": 230, "avx512": 230, "avxvnni": 200, "avx2": 130, "avx": 50, "base": 8,
    "i8mm": 200, "dotprod": 60, "neon": 12,
}  # fmt: skip


# Prompts in formats that no CPU kernel multiplies in blocks: about half of the others' rate. No row of
# the data has one; set after SmolLM2 Q4_1 ran at 291 tokens/s (scripts/compare_real_run.py).
PLAIN_KERNELS: Final = {"q41": -0.7}
PROMPT_CORE_RATE: Final = {  # the same on prompts; twice what is reached, as the share begins at a half
    "amx": 300, "avx512": 240, "avxvnni": 220, "avx2": 180, "avx": 80, "base": 12,
    "i8mm": 240, "dotprod": 100, "neon": 16,
}  # fmt: skip


# How far a device lies from its class, one sigma of logarithms, and how far two runs on it lie apart:
# of a small grid the values with the least error after one measurement (score_speed.py).
DEVICE_SD: Final = {"efficiency": 0.1, "kernel": 0.5, "layer": 0.5, "noise": 0.05}


def keys_of(case: Case, device: SpeedDevice) -> tuple[str, ...]:
    """Class keys of a case, those of old builds included, as the estimate builds them."""
    keys = class_keys(device)
    return (*keys, *(f"{key}@2024" for key in keys)) if case.old_build else keys


def kind_of(key: str) -> str:
    """Which prior a class key takes: all, a vendor, a backend, a generation, one in a backend."""
    plain = key.partition("@")[0]
    if not plain:
        return ""
    if ":" in plain:
        return "both" if "/" in plain else "age"
    return "backend" if "/" in plain else "vendor"


class DecodeFit:
    """Terms of seconds a token, fitted on single-device rows."""

    def __init__(
        self, cases: Sequence[Case], *, ratios: dict[str, float], sharpness: float = SHARPNESS
    ) -> None:
        self.cases = [case for case in cases if case.decode and case.devices_count == 1]
        self.ratios = ratios
        self.sharpness = sharpness
        self.terms = Terms()
        self.names = [case.device_name for case in self.cases]
        self.inputs = self._inputs()
        self._columns()

    def _inputs(self) -> dict[str, Array]:
        first = [case.devices[0] for case in self.cases]
        return {
            "rate": np.array([reading_rate(device) or 1.0 for device in first]),
            "size": np.array([float(device.active_weight_bytes) for device in first]),
            "kv": np.array([float(device.kv_bytes) for device in first]),
            "layers": np.array([float(device.layers) for device in first]),
            "power": np.array([arithmetic_per_s(device, self.ratios, {}) for device in first]),
            "attention": np.array(
                [
                    prompt_shape(case.spec).attention_per_cache_byte * case.devices[0].kv_bytes
                    for case in self.cases
                    if case.spec
                ]
            ),
            "moe": np.array([float(case.moe) for case in self.cases]),
        }

    def _columns(self) -> None:
        add = self.terms.add
        columns: dict[str, list[list[int]]] = defaultdict(list)
        for case in self.cases:
            device = case.devices[0]
            kernel = kernel_class(case.weights.quantization) if case.weights else "k4"
            keys = keys_of(case, device)
            cpu = device.backend == CPU
            name = case.device_name + "|" + device.backend
            efficiency, costs, layer, experts, cache, attention = [], [], [], [], [], []
            for key in keys:
                kind, old = kind_of(key), "@" in key
                if old and kind != "backend" and not (cpu and kind == "vendor"):
                    continue
                wide = 3.0 if cpu else 1.0
                efficiency.append(add("efficiency", key, _efficiency(kind, old, cpu=cpu)))
                costs.append(add("kernel", key, _kernel(kind, old)) if kind else -1)
                layer.append(add("layer", key, _layer(kind, old, wide)))
                if not old:
                    experts.append(add("experts", key, _experts(kind)))
                    cache.append(add("cache", key, Prior(0.0, 0.4)))
                    attention.append(add("attention", key, _attention(kind, wide)))
                    if kind in ("", "backend") or (cpu and kind == "vendor"):
                        mean = math.log(KERNELS[kernel]) if not kind else 0.0
                        costs.append(
                            add(
                                "kernel",
                                f"{key}|{kernel}",
                                Prior(mean, 0.8 if not kind else 0.4 if cpu else 0.3),
                            )
                        )
            if cpu:
                costs.append(add("core_rate", f"{CPU}:{generation(device)}", _core(generation(device))))
            if case.flash_attention is False:
                cache.append(add("cache", "noflash", NO_FLASH))
                cache.append(add("cache", f"noflash|{device.vendor}/{device.backend}", Prior(0.0, 0.5)))
            if case.board and not cpu:
                layer.append(add("board", f"layer {device.vendor}", Prior(0.7, 0.7)))
                costs.append(add("board", f"kernel {device.vendor}", Prior(0.3, 0.5)))
            # How many modules a CPU's memory has is not known, of a GPU's there is nothing to know.
            efficiency.append(add("device", f"efficiency {name}", Prior(0.0, 0.25 if cpu else 0.04)))
            costs.append(add("device", f"kernel {name}", Prior(0.0, 0.15)))
            layer.append(add("device", f"layer {name}", Prior(0.0, 0.25)))
            experts.append(add("device", f"experts {name}", Prior(0.0, 0.3)))
            columns["efficiency"].append(efficiency)
            columns["kernel"].append([column for column in costs if column >= 0])
            columns["layer"].append(layer)
            columns["experts"].append(experts if case.moe else [])
            columns["cache"].append(cache)
            columns["attention"].append(attention)
        self._classes_without_rows()
        wide = add("efficiency", "cpu|wide", WIDE)
        size = len(self.terms.priors)
        self.design = {term: design(rows, size) for term, rows in columns.items()}
        for line, case in enumerate(self.cases):
            self.design["efficiency"][line, wide] = wideness(case.devices[0])
            # A faster core divides the cost of unpacking.
            if case.devices[0].backend == CPU:
                column = self.terms.index[("core_rate", f"{CPU}:{generation(case.devices[0])}")]
                self.design["kernel"][line, column] = -1.0
                self.design["attention"][line, column] = -1.0

    def _classes_without_rows(self) -> None:
        """Instruction sets and formats of which no row is left keep our expectation."""
        for label in CORE_RATE:
            self.terms.add("core_rate", f"{CPU}:{label}", _core(label))
        for name, operations in KERNELS.items():
            self.terms.add("kernel", f"|{name}", Prior(math.log(operations), 0.8))

    def fit(self) -> Array:
        """The unknowns, in the order of the terms."""
        target = np.log(np.array([1 / (case.decode or 1.0) for case in self.cases]))
        return gauss_newton(
            self.log_seconds,
            target,
            device_weights(self.names),
            self.terms,
            sigma=DECODE_SIGMA,
        )

    def log_seconds(self, x: Array) -> tuple[Array, Array]:
        """Logarithms of the seconds a token that the unknowns give, and their slopes."""
        d, p, given = self.design, self.sharpness, self.inputs
        e = np.exp(d["efficiency"] @ x)
        reading = given["size"] / (given["rate"] * e)
        unpacking = given["size"] * np.exp(d["kernel"] @ x) / given["power"]
        weights: Array = (reading**p + unpacking**p) ** (1 / p)
        part = (reading / weights) ** p
        slower = np.exp(d["cache"] @ x) / e
        cache = given["kv"] / given["rate"] * np.maximum(1.0, slower)
        free = np.where(slower > 1.0, cache, 0.0)
        attention = given["attention"] * np.exp(d["attention"] @ x) / given["power"]
        overhead = given["layers"] * np.exp(d["layer"] @ x)
        experts = given["moe"] * given["layers"] * np.exp(d["experts"] @ x)
        total = weights + cache + attention + overhead + experts

        def share(value: Array) -> Array:
            column: Array = (value / total)[:, None]
            return column

        jacobian = (
            -d["efficiency"] * share(weights * part + free)
            + d["kernel"] * share(weights * (1 - part))
            + d["cache"] * share(free)
            + d["attention"] * share(attention)
            + d["layer"] * share(overhead)
            + d["experts"] * share(experts)
        )
        return np.log(total), jacobian

    def constants(self) -> DecodeConstants:
        """The fitted terms, without those of single devices and boards."""
        x = self.fit()
        tables = tables_of(
            self.terms, x, ("efficiency", "kernel", "layer", "experts", "cache", "attention", "core_rate")
        )
        return DecodeConstants(sharpness=self.sharpness, device_sd=DEVICE_SD, **tables)


def tables_of(terms: Terms, x: Array, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Per term the value of each key, rounded so that the file does not depend on the last bits."""
    tables: dict[str, dict[str, float]] = {name: {} for name in names}
    for (term, key), column in terms.index.items():
        if term in tables:
            tables[term][key] = round(float(x[column]), 5)
    return {name: dict(sorted(table.items())) for name, table in tables.items()}


def _efficiency(kind: str, old: bool, *, cpu: bool) -> Prior:
    if old:
        return Prior(-0.02, 0.05)
    return EFFICIENCY.get(kind, CPU_EFFICIENCY_AGE if cpu else EFFICIENCY_AGE)


def _kernel(kind: str, old: bool) -> Prior:
    if old:
        return Prior(0.2, 0.4)
    return Prior(0.0, {"vendor": 0.4, "backend": 0.4, "age": 0.3, "both": 0.2}[kind or "vendor"])


def _layer(kind: str, old: bool, wide: float) -> Prior:
    if old:
        return Prior(0.3, 0.5)
    if not kind:
        return LAYER
    return Prior(0.0, {"vendor": 0.6, "backend": 0.5, "age": 0.3, "both": 0.3}[kind] * wide)


def _experts(kind: str) -> Prior:
    return EXPERTS if not kind else Prior(0.0, {"vendor": 0.5, "backend": 0.5, "age": 0.3, "both": 0.2}[kind])


def _attention(kind: str, wide: float) -> Prior:
    if not kind:
        return ATTENTION
    return Prior(0.0, {"vendor": 0.8, "backend": 0.8, "age": 0.4, "both": 0.4}[kind] * wide)


def _core(label: str | None) -> Prior:
    return Prior(math.log(CORE_RATE[label or "base"] * 1e9), 0.5)


def typical_ratios() -> tuple[dict[str, float], dict[str, float]]:
    """Medians of the catalog by class: FP32 operations a byte of bandwidth, matrix units against FP32."""
    speed: dict[str, list[float]] = defaultdict(list)
    matrix: dict[str, list[float]] = defaultdict(list)
    for row in all_gpus():
        rate = row.compute.fp32_tflops if row.compute else None
        if not rate or not row.bandwidth_bytes_per_s:
            continue
        device = SpeedDevice(
            device="gpu0",
            vendor=row.vendor,
            backend="",
            name=row.name,
            architecture=row.architecture,
            compute_capability=row.compute_capability,
            compute=row.compute,
        )
        ratio = arithmetic_per_s(device, {"": 0.0}, {}) / row.bandwidth_bytes_per_s
        age = generation(device)
        for key in ("", row.vendor, *((f"{row.vendor}:{age}",) if age else ())):
            speed[key].append(ratio)
            if key:
                matrix[key].append(matrix_ratio(device, {}))
    return _medians(speed), _medians(matrix)


def _medians(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {key: round(float(np.median(found)), 2) for key, found in sorted(values.items())}


# -- prompts ------------------------------------------------------------------


class PromptFit:
    """Terms of the prompt's arithmetic, fitted on single-device rows."""

    def __init__(
        self,
        cases: Sequence[Case],
        decode: DecodeConstants,
        *,
        ratios: dict[str, float],
        matrix: dict[str, float],
    ) -> None:
        self.cases = [
            case for case in cases if case.prompt and case.devices_count == 1 and case.prompt_tokens
        ]
        self.decode = decode
        self.ratios = ratios
        self.matrix = matrix
        self.terms = Terms()
        self.names = [case.device_name for case in self.cases]
        self._columns()

    def _columns(self) -> None:
        add = self.terms.add
        columns: dict[str, list[list[int]]] = defaultdict(list)
        for case in self.cases:
            device = case.devices[0]
            kernel = kernel_class(case.weights.quantization) if case.weights else "k4"
            keys = keys_of(case, device)
            cpu = device.backend == CPU
            rate, attention = [], []
            for key in keys:
                kind, old = kind_of(key), "@" in key
                if old and kind != "backend" and not (cpu and kind == "vendor"):
                    continue
                rate.append(add("rate", key, _rate(kind, old)))
                if old:
                    continue
                if kind in ("", "backend") or (cpu and kind == "vendor"):
                    mean = PLAIN_KERNELS.get(kernel, 0.0) if key == CPU else 0.0
                    rate.append(add("rate", f"{key}|{kernel}", Prior(mean, 0.5 if cpu else 0.3)))
                    attention.append(add("attention", key, Prior(0.5 if not kind else 0.0, 0.7)))
                    if case.moe:
                        rate.append(add("rate", f"{key}|experts", Prior(-0.2 if not kind else 0.0, 0.4)))
            if cpu:
                rate.append(add("core_rate", f"{CPU}:{generation(device)}", _prompt_core(generation(device))))
            if case.flash_attention is False:
                attention.append(add("attention", "noflash", Prior(0.7, 0.5)))
            rate.append(add("device", case.device_name + "|" + device.backend, Prior(0.0, 0.15)))
            columns["rate"].append(rate)
            columns["attention"].append(attention)
        for label in CORE_RATE:
            add("core_rate", f"{CPU}:{label}", _prompt_core(label))
        for kernel, mean in PLAIN_KERNELS.items():
            add("rate", f"{CPU}|{kernel}", Prior(mean, 0.5))
        matrix = add("rate", "matrix", Prior(0.5, 0.3))
        many = add("rate", "cores", Prior(-0.1, 0.1))
        large = add("rate", "large", LARGE)
        size = len(self.terms.priors)
        self.design = {term: design(rows, size) for term, rows in columns.items()}
        for line, case in enumerate(self.cases):
            self.design["rate"][line, matrix] = math.log(matrix_ratio(case.devices[0], self.matrix))
            self.design["rate"][line, many] = many_cores(case.prompt_devices[0])
            self.design["rate"][line, large] = large_gpu(case.prompt_devices[0], self.ratios)

    def fit(self) -> Array:
        """The unknowns, in the order of the terms."""
        first = [case.prompt_devices[0] for case in self.cases]
        shapes = [prompt_shape(case.spec) for case in self.cases if case.spec]
        tokens = np.array([float(case.prompt_tokens) for case in self.cases])
        operations = np.array([shape.operations for shape in shapes])
        width = np.array(
            [
                prompt_shape(case.spec).attention(case.prompt_tokens, case.prompt_depth)
                for case in self.cases
                if case.spec
            ]
        )
        power = np.array([arithmetic_per_s(device, self.ratios, {}) for device in first])
        target = np.log(1 / np.array([case.prompt or 1.0 for case in self.cases]))
        reading = np.array([batch_reading(case, self.decode) for case in self.cases]) / tokens
        d = self.design

        def model(x: Array) -> tuple[Array, Array]:
            attention = width * np.exp(d["attention"] @ x)
            compute = (operations + attention) / (power * np.exp(d["rate"] @ x))
            total = compute + reading
            weight = (compute / total)[:, None]
            return np.log(total), weight * (
                -d["rate"] + d["attention"] * (attention / (operations + attention))[:, None]
            )

        return gauss_newton(model, target, device_weights(self.names), self.terms, sigma=PROMPT_SIGMA)

    def constants(self) -> PromptConstants:
        """The fitted terms, without those of single devices."""
        x = self.fit()
        tables = tables_of(self.terms, x, ("rate", "attention", "core_rate"))
        return PromptConstants(**tables)


def _no_prompt(case: Case) -> bool:
    return case.excluded is not None and case.excluded.prompt and not case.excluded.fitted


def _rate(kind: str, old: bool) -> Prior:
    if old:
        return Prior(-0.1, 0.3)
    if not kind:
        return Prior(math.log(0.5), 0.5)
    return Prior(0.0, {"vendor": 0.5, "backend": 0.5, "age": 0.3, "both": 0.3}[kind])


def _prompt_core(label: str | None) -> Prior:
    return Prior(math.log(PROMPT_CORE_RATE[label or "base"] * 1e9), 0.5)


def batch_reading(case: Case, decode: DecodeConstants) -> float:
    """Seconds in which a prompt's batches read the weights, experts touched included."""
    if case.spec is None or case.weights is None:
        return 0.0
    more = experts_touched(case.spec, case.weights, min(case.ubatch, case.prompt_tokens))
    size = case.devices[0].active_weight_bytes * more
    reading = reading_per_s(case.devices[0], decode)
    return math.ceil(case.prompt_tokens / case.ubatch) * size / reading if reading else 0.0
