"""A small ONNX model in ONNX Runtime, or in a game's engine: weights, working memory as a band, what stays.

The weights are those of the file. Working memory depends on the graph and on sizes that
the caller chooses, so it is a band and never a figure of its own.
"""

from typing import Final

from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.engines.llama_cpp_runtime import runtime_band
from probe.errors import FactValue
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.speed_figures import SpeedFigures
from probe.machine import ByteRange, Machine
from probe.recommender.answer import Estimate, Placement, PlacementKind, Reason, Verdict
from probe.recommender.options import Options
from probe.recommender.placements import with_capacities
from probe.recommender.pool_check import check_fit
from probe.recommender.pools import Pool, machine_pools
from probe.recommender.verdict import Fit

ENGINE: Final = "onnxruntime"
# Beyond the weights: 24 to 26 MB after loading in ONNX Runtime 1.31.1, and up to five times the largest
# value after runs (scripts/measure_onnx.py, tests/truth/onnx_measured.json; Python itself not counted).
_PROCESS: Final = ByteRange(low=20 * 2**20, value=60 * 2**20, high=200 * 2**20)
_VALUES_HIGH: Final = 8  # times the largest value: workspaces of convolutions
# On a GPU the arena grows by powers of two (arena_extend_strategy kNextPowerOfTwo, the default on
# onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html), so that it may hold twice its need.
_ARENA_HIGH: Final = 2


class OnnxEstimator:
    """Answers for one machine and one set of options; the first pool that holds the model is taken."""

    def __init__(self, machine: Machine, options: Options) -> None:
        self.machine = machine
        self.options = options
        self.pools = machine_pools(machine, options.reserve_bytes)
        self.rules = limits()

    def estimate(self, spec: ModelSpec) -> Estimate:
        """`spec` on the GPU with most room, else on the CPU."""
        gpus = sorted(self.pools.gpus, key=lambda pool: pool.capacity_bytes or 0, reverse=True)
        tried = [self._on(spec, pool) for pool in (*gpus[:1], self.pools.cpu)]
        return next((answer for answer in tried if answer.fits), tried[0])

    def _on(self, spec: ModelSpec, pool: Pool) -> Estimate:
        values = working_memory(spec)
        weights = sum(tensor.size_bytes for tensor in spec.stored_tensors or ())
        on_gpu = pool.device != "cpu"
        device = runtime_band(pool.backend) if on_gpu else _PROCESS
        parts = [
            DeviceMemory(
                device=pool.device,
                weights_bytes=weights,
                compute_bytes=values.value,
                runtime_bytes=device.value,
            )
        ]
        if on_gpu:
            parts.insert(0, DeviceMemory(device="cpu", runtime_bytes=_PROCESS.value))
        layout = with_capacities(MemoryBreakdown(per_device=tuple(parts)), self.pools)
        fit = check_fit(layout, self.pools)
        total = layout.total_bytes or 0
        low = total - values.value + values.low - device.value + device.low
        high = total - values.value + values.high - device.value + device.high
        if on_gpu:
            low, high = low - _PROCESS.value + _PROCESS.low, high - _PROCESS.value + _PROCESS.high
            high += (_ARENA_HIGH - 1) * (weights + values.high)
        verdict, reasons = self._verdict(fit)
        kind = PlacementKind.CPU
        if on_gpu:
            kind = PlacementKind.UNIFIED if pool.in_ram else PlacementKind.GPU
        return Estimate(
            model_id=spec.id,
            engine=ENGINE,
            quantization=spec.file_quantization or "F32",
            context=self.options.context,
            parallel=self.options.parallel,
            kv_type="-",
            placement=Placement(kind=kind, devices=(pool.device,)),
            file_bytes=spec.file_bytes,
            memory=layout,
            speed=SpeedFigures(),
            fits=fit.fits,
            fits_now=fit.fits_now,
            max_context=None,
            verdict=verdict,
            reasons=(*reasons, *_notes(spec, fit)),
            memory_range=ByteRange(low=low, value=total, high=high),
            not_modeled=_not_modeled(spec, on_gpu=on_gpu),
        )

    def _verdict(self, fit: Fit) -> tuple[Verdict, tuple[Reason, ...]]:
        """Memory alone decides: how fast such a model runs is a matter of its graph."""
        if fit.fits is None:
            return Verdict.UNKNOWN, fit.reasons
        if not fit.fits:
            return Verdict.NO, fit.reasons
        left, pool = fit.left_bytes, fit.pool_bytes
        if left is not None and pool is not None:
            wanted = max(self.rules.comfortable.free_bytes, round(self.rules.comfortable.free_share * pool))
            if left < wanted:
                values: dict[str, FactValue] = {"left_bytes": left, "wanted_bytes": wanted}
                return Verdict.USABLE, (*fit.reasons, Reason(code="verdict.memory_tight", values=values))
        return Verdict.COMFORTABLE, (
            *fit.reasons,
            Reason(code="desktop.onnx.fits", values={"left_bytes": left}),
        )


def working_memory(spec: ModelSpec) -> ByteRange:
    """Inputs, outputs and intermediate values as far as the file lists them; open dimensions count once."""
    said = spec.hf_config or {}

    def size(key: str) -> int:
        value = said.get(key)
        return value if isinstance(value, int) else 0

    largest = size("largest_value_bytes")
    return ByteRange(
        low=largest,
        value=size("input_bytes") + size("output_bytes") + 2 * largest,
        high=size("values_bytes") + _VALUES_HIGH * largest,
    )


def refused(spec: ModelSpec, options: Options) -> Estimate | None:
    """The answer where an engine was asked that does not load ONNX files."""
    if options.engine is None or options.engine.lower() == ENGINE:
        return None
    reason = Reason(code="desktop.onnx.engine", values={"engine": options.engine})
    return Estimate(
        model_id=spec.id,
        engine=options.engine,
        quantization=spec.file_quantization or "F32",
        context=options.context,
        parallel=options.parallel,
        kv_type="-",
        placement=Placement(kind=PlacementKind.CPU),
        file_bytes=spec.file_bytes,
        memory=MemoryBreakdown(per_device=()),
        speed=SpeedFigures(),
        fits=False,
        fits_now=False,
        max_context=None,
        verdict=Verdict.NO,
        reasons=(reason,),
    )


def _notes(spec: ModelSpec, fit: Fit) -> tuple[Reason, ...]:
    found = []
    names = (spec.hf_config or {}).get("open_dimensions")
    if isinstance(names, list) and names and fit.fits:
        text = ", ".join(str(name) for name in names[:4])
        found.append(Reason(code="desktop.onnx.open_dimensions", values={"names": text}))
    if fit.fits:
        found.append(Reason(code="desktop.onnx.speed"))
    return tuple(found)


def _not_modeled(spec: ModelSpec, *, on_gpu: bool) -> tuple[Reason, ...]:
    said = spec.hf_config or {}
    codes = ["game_engines"]
    ends = sum(size for key in ("input_bytes", "output_bytes") if isinstance(size := said.get(key), int))
    if said.get("values_bytes") == ends:
        codes.insert(0, "values")
    if on_gpu:
        codes.append("arena")
    return tuple(Reason(code=f"desktop.onnx.not_modeled.{code}") for code in codes)
