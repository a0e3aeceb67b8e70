"""MLX's answer in the contract's form: Apple silicon's shared memory, mlx-lm's formats and commands."""

from typing import Final

from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.engines import mlx_lm
from probe.engines.mlx_lm import MlxMemory
from probe.engines.request import Request
from probe.errors import FactValue, UnknownNameError
from probe.estimate.breakdown import DeviceMemory, MemoryBreakdown
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed import depth_tokens, estimate_speed
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.machine import ByteRange, Machine, OsFamily
from probe.recommender.answer import Estimate, Placement, PlacementKind, Reason, Verdict
from probe.recommender.figures import generates_text, rule_of_thumb_bytes, speed_of
from probe.recommender.options import Options
from probe.recommender.placements import with_capacities
from probe.recommender.pool_check import check_fit
from probe.recommender.pools import Pool, machine_pools
from probe.recommender.quantization_choice import FAST_ENOUGH_TOKENS_PER_S
from probe.recommender.speed_devices import device_of_pool
from probe.recommender.verdict import judge

ENGINE: Final = "mlx-lm"
_ANCHOR: Final = "mlx-4bit"
_RICHER: Final = ("mlx-8bit", "mlx-6bit")
_SIXTEEN_BITS: Final = ("bf16", "fp16", "bfloat16", "float16")
_LOADED: Final = (*_SIXTEEN_BITS, "mxfp4")
# mlx_lm/generate.py#L239: it warns above this part of what Metal recommends.
_WARNS_ABOVE: Final = 0.9


class MlxEstimator:
    """Answers of mlx-lm for one machine and one set of options."""

    def __init__(self, machine: Machine, options: Options) -> None:
        self.machine = machine
        self.options = options
        self.pools = machine_pools(machine, options.reserve_bytes)
        self.rules = limits()
        self.gpu: Pool | None = next(
            (
                pool
                for pool in self.pools.gpus
                if pool.accelerator is not None and pool.accelerator.vendor == "apple" and pool.in_ram
            ),
            None,
        )

    def request(self, context: int | None = None) -> Request:
        """What is asked: MLX has no limit of its own, the cache grows as far as memory does."""
        kv_type = self.options.kv_type or Request().kv_type_k
        return Request(
            context=context or self.options.context,
            parallel=self.options.parallel,
            kv_type_k=kv_type,
            kv_type_v=kv_type,
        )

    def best(self, spec: ModelSpec) -> Estimate:
        """More bits than four where they are comfortable and fast; what is published in 4 bits as it is."""
        if self.options.quantization is not None:
            return self.estimate(spec, self.options.quantization)
        own = spec.file_quantization
        if own is not None and own not in _SIXTEEN_BITS:
            return self.estimate(spec, own)
        if (spec.native_quantization or "").lower() == "mxfp4":
            return self.estimate(spec, "mxfp4")
        names = _RICHER if generates_text(spec) else ("bf16", *_RICHER)
        for name in names:
            answer = self.estimate(spec, name)
            decode = answer.speed.decode_tokens_per_s
            fast = decode is None or decode.value >= FAST_ENOUGH_TOKENS_PER_S
            if answer.verdict is Verdict.COMFORTABLE and fast:
                return answer
        return self.estimate(spec, _ANCHOR)

    def estimate(self, spec: ModelSpec, quantization: str, *, full: bool = True) -> Estimate:
        """`spec` in one of MLX's formats on this Mac."""
        if self.machine.host.os.family not in (OsFamily.MACOS, None) or self.gpu is None:
            return self._refused(spec, quantization, Reason(code="desktop.mlx.needs_apple_silicon"))
        if not quantization.startswith("mlx-") and quantization not in _LOADED:
            reason = Reason(code="desktop.mlx.format", values={"format": quantization})
            return self._refused(spec, quantization, reason)
        cause = mlx_lm.refusal(spec, self.request())
        if cause is not None:
            return self._refused(spec, quantization, cause)
        try:
            weights = checkpoint_weights(spec, quantization)
            memory = mlx_lm.memory_of(spec, self.request())
        except (NotModeledError, UnknownNameError) as error:
            reason = Reason(code="verdict.weights_unknown", values={"detail": str(error)})
            return self._blank(spec, quantization, reason, fits=None, verdict=Verdict.UNKNOWN)
        return self._answer(spec, weights, memory, self.gpu, full=full)

    def _layout(self, weights: WeightBytes, memory: MlxMemory, gpu: Pool) -> MemoryBreakdown:
        """All on the GPU's side of the shared memory; the program itself on the CPU's."""
        parts = (
            DeviceMemory(device="cpu", runtime_bytes=mlx_lm.PROCESS.value),
            DeviceMemory(
                device=gpu.device,
                weights_bytes=weights.loaded_bytes,
                kv_cache_bytes=memory.kv_bytes,
                recurrent_state_bytes=memory.state_bytes,
                compute_bytes=memory.prompt.value,
            ),
        )
        return with_capacities(MemoryBreakdown(per_device=parts), self.pools)

    def _answer(
        self, spec: ModelSpec, weights: WeightBytes, memory: MlxMemory, gpu: Pool, *, full: bool
    ) -> Estimate:
        layout = self._layout(weights, memory, gpu)
        fit = check_fit(layout, self.pools)
        speed = speed_of(spec, self._speed(spec, weights, memory, gpu)) if fit.fits else SpeedFigures()
        longest = self._longest(spec, weights, gpu) if full and fit.fits else None
        verdict, reasons = judge(
            fit,
            speed,
            kind=PlacementKind.UNIFIED,
            max_context=longest,
            generates=generates_text(spec),
            rules=self.rules,
        )
        convert = weights.quantization.startswith("mlx-") and weights.quantization != spec.file_quantization
        return Estimate(
            model_id=spec.id,
            engine=ENGINE,
            quantization=weights.quantization,
            context=self.options.context,
            parallel=self.options.parallel,
            kv_type=self.request().kv_type_k,
            placement=Placement(kind=PlacementKind.UNIFIED, devices=(gpu.device,)),
            file_bytes=weights.file_bytes,
            memory=layout,
            speed=speed,
            fits=fit.fits,
            fits_now=fit.fits_now,
            max_context=longest,
            verdict=verdict,
            reasons=(*reasons, *self._notes(spec, weights, layout, gpu, convert=convert)),
            command="\n".join(mlx_lm.commands(spec, weights.quantization, self.request(), convert=convert))
            if full and fit.fits
            else None,
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, weights.quantization),
            memory_range=_range(layout, memory.prompt),
            not_modeled=_not_modeled(spec),
        )

    def _longest(self, spec: ModelSpec, weights: WeightBytes, gpu: Pool) -> int:
        """The longest context that fits, in the steps in which the cache grows."""
        ceiling = spec.max_context or 1_048_576

        def fits(context: int) -> bool:
            memory = mlx_lm.memory_of(spec, self.request(context))
            return check_fit(self._layout(weights, memory, gpu), self.pools).fits is True

        if fits(ceiling):
            return ceiling
        low, high = 0, ceiling // 256
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle * 256) else (low, middle - 1)
        return low * 256

    def _speed(self, spec: ModelSpec, weights: WeightBytes, memory: MlxMemory, gpu: Pool) -> SpeedFigures:
        context, parallel = self.options.context, self.options.parallel
        filled = depth_tokens(context) / context / parallel
        device = device_of_pool(
            gpu,
            self.machine,
            active=weights.active_bytes,
            kv=round(memory.kv_bytes * filled),
            layers=len(weights.layers),
            link=None,
        )
        return estimate_speed(
            spec, weights, (device,), split="none", context=context, parallel=parallel, engine=ENGINE
        )

    def _notes(
        self, spec: ModelSpec, weights: WeightBytes, layout: MemoryBreakdown, gpu: Pool, *, convert: bool
    ) -> tuple[Reason, ...]:
        found = []
        limit, total = gpu.capacity_bytes, layout.total_bytes
        if limit is not None and total is not None and total <= limit < weights.loaded_bytes / _WARNS_ABOVE:
            values: dict[str, FactValue] = {"limit_bytes": limit}
            found.append(Reason(code="desktop.mlx.close_to_limit", values=values))
        if convert:
            bits = weights.quantization.removeprefix("mlx-").removesuffix("bit")
            name = f"{spec.name}-{bits}bit"
            found.append(Reason(code="desktop.mlx.convert", values={"name": name}))
        found.append(Reason(code="desktop.mlx.grows", values={"context": self.options.context}))
        return tuple(found)

    def _refused(self, spec: ModelSpec, quantization: str, reason: Reason) -> Estimate:
        return self._blank(spec, quantization, reason, fits=False, verdict=Verdict.NO)

    def _blank(
        self, spec: ModelSpec, quantization: str, reason: Reason, *, fits: bool | None, verdict: Verdict
    ) -> Estimate:
        return Estimate(
            model_id=spec.id,
            engine=ENGINE,
            quantization=quantization,
            context=self.options.context,
            parallel=self.options.parallel,
            kv_type=self.request().kv_type_k,
            placement=Placement(kind=PlacementKind.UNIFIED),
            file_bytes=None,
            memory=MemoryBreakdown(per_device=()),
            speed=SpeedFigures(),
            fits=fits,
            fits_now=fits,
            max_context=None,
            verdict=verdict,
            reasons=(reason,),
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, quantization),
        )


def _range(layout: MemoryBreakdown, prompt: ByteRange) -> ByteRange | None:
    """The total's ends: weights and cache are counted, the prompt's room and the program are bands."""
    total = layout.total_bytes
    if total is None:
        return None
    low = total - prompt.value + prompt.low - mlx_lm.PROCESS.value + mlx_lm.PROCESS.low
    high = total - prompt.value + prompt.high - mlx_lm.PROCESS.value + mlx_lm.PROCESS.high
    return ByteRange(low=low, value=total, high=high)


def _not_modeled(spec: ModelSpec) -> tuple[Reason, ...]:
    codes = ["kept_buffers", "server_caches", "speed"]
    d = spec.dimensions
    if d is not None and d.num_experts:
        codes.append("router_bits")
    if d is not None and d.layer_pattern and set(d.layer_pattern) & set("LMCP"):
        codes.append("states")
    return tuple(Reason(code=f"desktop.mlx.not_modeled.{code}") for code in codes)
