"""The one estimator: model x engine x quantization on a machine -> Estimate.

Every page, the size map, the ranking, `check` and `plan` come through here, so a
figure cannot appear with two values.
"""

from collections.abc import Iterator

import msgspec

from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.catalog.repositories import file_tag, gguf_repository
from probe.engines import llama_cpp
from probe.engines.llama_cpp_command import command
from probe.engines.llama_cpp_rejections import rejections
from probe.engines.request import LayerSplit, Request
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.kv_cache import CONTEXT_PADDING
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed import estimate_speed
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_weights
from probe.machine import Machine
from probe.recommender.answer import Estimate, Placement, PlacementKind, Reason, Split, Verdict
from probe.recommender.figures import generates_text, rule_of_thumb_bytes, speed_of
from probe.recommender.last_fit import Point, last_fit
from probe.recommender.options import Options
from probe.recommender.placements import (
    Tried,
    attempt,
    compute_groups,
    offloaded,
    on_cpu,
    whole_on_gpus,
    with_capacities,
)
from probe.recommender.pools import Pools, machine_pools
from probe.recommender.speed_devices import speed_devices
from probe.recommender.verdict import Fit, judge

ENGINE = "llama.cpp"


class Estimator:
    """Answers for one machine and one set of options; keeps the pools."""

    def __init__(self, machine: Machine, options: Options) -> None:
        self.machine = machine
        self.options = options
        self.pools: Pools = machine_pools(machine, options.reserve_bytes)
        self.rules = limits()
        self._request = _request_of(options)

    def request(self, *, backend: str) -> Request:
        """What is asked of the engine, with its own defaults where nothing was asked."""
        return self._request

    def estimate(self, spec: ModelSpec, quantization: str, *, full: bool = True) -> Estimate:
        """The best placement of `spec` in `quantization` with llama.cpp.

        Args:
            full: also search the longest context and write the command (slower); pages
                of many models ask for the verdict only.
        """
        try:
            weights = gguf_weights(spec, quantization)
        except NotModeledError as error:
            return self._unanswered(
                spec, quantization, Reason(code="verdict.weights_unknown", values={"detail": str(error)})
            )
        refused = rejections(spec, self.request(backend="cpu"))
        if refused:
            return self._refused(spec, quantization, weights, refused)
        tried, alternatives = self._place(spec, weights)
        answer = self._finish(spec, weights, tried, alternatives, full=full)
        if (
            answer.verdict is Verdict.UNKNOWN
            and answer.fits
            and tried.placement.kind is not PlacementKind.CPU
        ):
            return self._on_cpu_instead(spec, weights, answer, full=full)
        return answer

    def _on_cpu_instead(
        self, spec: ModelSpec, weights: WeightBytes, on_gpu: Estimate, *, full: bool
    ) -> Estimate:
        """The CPU's answer where the GPU holds the model but its speed cannot be known.

        A GPU shared out by a hypervisor does not tell its bandwidth. What the CPU does is
        known and is the least that can be had; the GPU's answer stands beside it.
        """
        if self.pools.cpu.capacity_bytes is None:
            return on_gpu

        def lay_out(split: LayerSplit) -> MemoryBreakdown:
            return self.lay_out(spec, weights, split)

        tried = on_cpu(self.pools, lay_out, len(weights.layers))
        answer = self._finish(spec, weights, tried, (), full=full) if tried.fit.fits else None
        if answer is None or answer.verdict in (Verdict.NO, Verdict.UNKNOWN):
            return on_gpu
        need = on_gpu.memory.total_bytes
        device = on_gpu.placement.devices[0]
        shared = on_gpu.placement.kind is PlacementKind.HYBRID
        code = "verdict.shared_speed_unknown" if shared else "verdict.gpu_speed_unknown"
        reason = Reason(code=code, values={"device": device, "need_bytes": need})
        return msgspec.structs.replace(
            answer, reasons=(reason, *answer.reasons), alternatives=(on_gpu,) if full else ()
        )

    def lay_out(
        self, spec: ModelSpec, weights: WeightBytes, split: LayerSplit, request: Request | None = None
    ) -> MemoryBreakdown:
        """What llama.cpp takes for `split`; front ends say here what they give it.

        Args:
            request: another one than was asked, to try its context.
        """
        backend = self._backend(split)
        wanted = request or self.request(backend=backend)
        return llama_cpp.lay_out(spec, weights, wanted, split, backend=backend)

    def _backend(self, split: LayerSplit) -> str:
        return self.pools.by_device(split.shares[0][0]).backend if split.shares else "cpu"

    def tries(self, spec: ModelSpec, weights: WeightBytes) -> Iterator[Tried]:
        """Placements to try, best first; front ends leave out what they would not choose."""
        layers = len(weights.layers)

        def lay_out(split: LayerSplit) -> MemoryBreakdown:
            return self.lay_out(spec, weights, split)

        yield from whole_on_gpus(self.pools, lay_out, layers)
        yield from self._coherent(spec, weights)
        yield from offloaded(self.pools, lay_out, weights)
        yield on_cpu(self.pools, lay_out, layers)

    def _place(self, spec: ModelSpec, weights: WeightBytes) -> tuple[Tried, tuple[Tried, ...]]:
        """The first placement that fits; what was better placed but did not fit stands beside it.

        A model that fills one GPU to the brim goes over several where that leaves room:
        a layer split costs next to no speed.
        """
        unknown: Tried | None = None
        failed: list[Tried] = []
        tight: Tried | None = None
        for tried in self.tries(spec, weights):
            several = tried.placement.kind is PlacementKind.MULTI_GPU
            if tight is not None and not (several and tried.fit.fits and not self._is_tight(tried)):
                if several or tried.placement.kind is PlacementKind.GPU:
                    continue
                return tight, ()
            if tried.fit.fits:
                if (
                    tried.placement.kind is PlacementKind.GPU
                    and len(self.pools.gpus) > 1
                    and self._is_tight(tried)
                ):
                    tight = tried
                    continue
                plain = [
                    other
                    for other in failed
                    if tried.placement.kind is PlacementKind.UNIFIED and self.pools.coherent is not None
                ]
                return tried, tuple(_as_plain_memory(other) for other in plain[:1])
            if tried.fit.fits is None:
                unknown = unknown or tried
            else:
                failed.append(tried)
        if unknown is not None and not (failed and self.pools.cpu.capacity_bytes is None):
            return unknown, ()
        return self._least_short(failed), ()

    def _is_tight(self, tried: Tried) -> bool:
        """Whether less stays free than a comfortable placement leaves."""
        left, pool = tried.fit.left_bytes, tried.fit.pool_bytes
        if left is None or pool is None:
            return False
        wanted = self.rules.comfortable
        return left < max(wanted.free_bytes, round(wanted.free_share * pool))

    def _least_short(self, failed: list[Tried]) -> Tried:
        """Of the placements that do not fit, the one whose reason helps most: on the biggest pool."""

        def room(tried: Tried) -> int:
            devices = tried.memory.per_device
            return sum(device.available_bytes or 0 for device in devices if device.total_bytes)

        gpus = [tried for tried in failed if tried.placement.kind is not PlacementKind.CPU]
        chosen = max(gpus or failed, key=room)
        if gpus and self.pools.cpu.capacity_bytes is None:
            reasons = (*chosen.fit.reasons, Reason(code="verdict.ram_unknown"))
            return msgspec.structs.replace(chosen, fit=msgspec.structs.replace(chosen.fit, reasons=reasons))
        if gpus:
            return self._with_ram_reason(chosen, failed)
        return chosen

    def _with_ram_reason(self, chosen: Tried, failed: list[Tried]) -> Tried:
        cpu_only = next((tried for tried in failed if tried.placement.kind is PlacementKind.CPU), None)
        if cpu_only is None:
            return chosen
        total = cpu_only.memory.total_bytes
        combined = (self.pools.cpu.capacity_bytes or 0) + sum(
            pool.capacity_bytes or 0 for pool in self.pools.gpus if not pool.in_ram
        )
        reason = Reason(
            code="verdict.combined_short", values={"need_bytes": total, "capacity_bytes": combined}
        )
        if any(pool.in_ram for pool in self.pools.gpus):
            return chosen
        fit = msgspec.structs.replace(chosen.fit, reasons=(*chosen.fit.reasons, reason))
        return msgspec.structs.replace(chosen, fit=fit)

    def _coherent(self, spec: ModelSpec, weights: WeightBytes) -> Iterator[Tried]:
        """GH200, GB200: all on the GPU, what exceeds HBM stays in CPU memory and is read over C2C."""
        if self.pools.coherent is None or self.pools.cpu.capacity_bytes is None:
            return
        pool = compute_groups(self.pools)[0][0]
        if pool.capacity_bytes is None:
            return
        layers = len(weights.layers)
        split = LayerSplit(gpu_layers=layers + 1, shares=((pool.device, 1.0),))
        tried = attempt(split, lambda s: self.lay_out(spec, weights, s), self.pools, layers)
        if tried.fit.fits is not False:
            return
        gpu = next(device for device in tried.memory.per_device if device.device == pool.device)
        spill = (gpu.total_bytes or 0) - pool.capacity_bytes
        if spill <= 0 or spill > gpu.weights_bytes:
            return
        moved = []
        for device in tried.memory.per_device:
            if device.device == pool.device:
                moved.append(msgspec.structs.replace(device, weights_bytes=device.weights_bytes - spill))
            elif device.device == "cpu":
                moved.append(msgspec.structs.replace(device, weights_bytes=device.weights_bytes + spill))
        memory = with_capacities(MemoryBreakdown(per_device=tuple(moved)), self.pools)
        cpu = next(device for device in memory.per_device if device.device == "cpu")
        ram = self.pools.cpu.capacity_bytes
        need = cpu.total_bytes or 0
        if need > ram:
            reason = Reason(
                code="verdict.ram_short", values={"need_bytes": need, "capacity_bytes": ram, "device": "cpu"}
            )
            fit = Fit(fits=False, fits_now=False, reasons=(reason,))
        else:
            fit = Fit(
                fits=True,
                left_bytes=ram - need,
                pool_bytes=ram + pool.capacity_bytes,
                reasons=(Reason(code="verdict.coherent", values={"spill_bytes": spill}),),
            )
        yield Tried(
            split=split,
            placement=Placement(
                kind=PlacementKind.UNIFIED, gpu_layers=layers + 1, devices=(pool.device, "cpu")
            ),
            memory=memory,
            fit=fit,
        )

    def _speed(self, spec: ModelSpec, weights: WeightBytes, tried: Tried) -> SpeedFigures:
        request = self.request(backend=self._backend(tried.split))
        devices = speed_devices(
            spec, weights, tried, self.machine, self.pools, context=request.context, parallel=request.parallel
        )
        return estimate_speed(
            spec,
            weights,
            devices,
            split=tried.placement.split.value,
            context=request.context,
            parallel=request.parallel,
        )

    def _finish(
        self,
        spec: ModelSpec,
        weights: WeightBytes,
        tried: Tried,
        alternatives: tuple[Tried, ...],
        *,
        full: bool,
    ) -> Estimate:
        asked = self.options
        # A placement that does not fit has no speed: a figure beside "no" would read as a promise.
        speed = SpeedFigures()
        if tried.fit.fits is not False:
            speed = speed_of(spec, self._speed(spec, weights, tried))
        longest = self._longest_context(spec, weights, tried) if full and tried.fit.fits else None
        if longest is None and tried.fit.fits:
            longest = max(asked.context, 0) if not full else None
        verdict, reasons = judge(
            tried.fit,
            speed,
            kind=tried.placement.kind,
            max_context=longest,
            generates=generates_text(spec),
            rules=self.rules,
        )
        if spec.max_context is not None and asked.context > spec.max_context:
            reasons = (
                *reasons,
                Reason(
                    code="verdict.above_trained_context",
                    values={"context": asked.context, "trained": spec.max_context},
                ),
            )
        return Estimate(
            model_id=spec.id,
            engine=ENGINE,
            quantization=weights.quantization,
            context=asked.context,
            parallel=asked.parallel,
            kv_type=self.request(backend="cpu").kv_type_k,
            placement=tried.placement,
            file_bytes=weights.file_bytes,
            memory=tried.memory,
            speed=speed,
            fits=tried.fit.fits,
            fits_now=tried.fit.fits_now,
            max_context=longest if full else None,
            verdict=verdict,
            reasons=reasons,
            command=self._command(spec, weights, tried) if full and tried.fit.fits else None,
            alternatives=tuple(
                self._finish(spec, weights, other, (), full=False) for other in alternatives if full
            ),
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, weights.quantization),
        )

    def _longest_context(self, spec: ModelSpec, weights: WeightBytes, tried: Tried) -> int | None:
        """The longest context a conversation may have in this placement, not above the trained length."""
        ceiling = spec.max_context or 1_048_576
        request = self.request(backend=self._backend(tried.split))

        def left_at(steps: int) -> int:
            context = min(steps * CONTEXT_PADDING, ceiling)
            asked = msgspec.structs.replace(request, context=context)
            memory = self.lay_out(spec, weights, tried.split, asked)
            if _is_managed(tried.placement):
                return self._left_over_link(memory)
            return self._left(attempt(tried.split, lambda _split: memory, self.pools, len(weights.layers)))

        most = -(-ceiling // CONTEXT_PADDING)
        at_most = left_at(most)
        if at_most >= 0:
            return ceiling
        here = Point(request.context // CONTEXT_PADDING, max(self._left(tried), 0))
        return (last_fit(1, most - 1, left_at, here, Point(most, at_most)) or 0) * CONTEXT_PADDING

    def _left(self, tried: Tried) -> int:
        """Bytes left of the pool that is shortest, below 0 where the placement does not fit."""
        fits = tried.fit.fits
        devices = tried.memory.per_device
        left = [
            device.available_bytes - device.total_bytes
            for device in devices
            if device.available_bytes is not None and device.total_bytes is not None
        ]
        least = min(left, default=-1)
        return max(least, 0) if fits else min(least, -1)

    def _left_over_link(self, memory: MemoryBreakdown) -> int:
        """Bytes left where weights that exceed HBM lie in CPU memory: of the RAM, and of weights to move."""
        pool = compute_groups(self.pools)[0][0]
        gpu = next(device for device in memory.per_device if device.device == pool.device)
        ram = sum(device.total_bytes or 0 for device in memory.per_device if device.device == "cpu")
        spill = max((gpu.total_bytes or 0) - (pool.capacity_bytes or 0), 0)
        return min((self.pools.cpu.capacity_bytes or 0) - ram - spill, gpu.weights_bytes - spill)

    def _command(self, spec: ModelSpec, weights: WeightBytes, tried: Tried) -> str:
        backend = self._backend(tried.split)
        line = command(
            model_argument(spec, weights.quantization),
            self.request(backend=backend),
            tried.split,
            prediction_layers=llama_cpp.prediction_layers(spec),
            modality=spec.modality,
            alone_among=tuple(pool.device for pool in self.pools.gpus if pool.backend == backend),
        )
        return f"GGML_CUDA_ENABLE_UNIFIED_MEMORY=1 {line}" if _is_managed(tried.placement) else line

    def _unanswered(self, spec: ModelSpec, quantization: str, reason: Reason) -> Estimate:
        return self._blank(spec, quantization, (reason,), fits=None, verdict=Verdict.UNKNOWN, file_bytes=None)

    def _refused(
        self, spec: ModelSpec, quantization: str, weights: WeightBytes, reasons: tuple[Reason, ...]
    ) -> Estimate:
        return self._blank(
            spec, quantization, reasons, fits=False, verdict=Verdict.NO, file_bytes=weights.file_bytes
        )

    def _blank(
        self,
        spec: ModelSpec,
        quantization: str,
        reasons: tuple[Reason, ...],
        *,
        fits: bool | None,
        verdict: Verdict,
        file_bytes: int | None,
    ) -> Estimate:
        return Estimate(
            model_id=spec.id,
            engine=ENGINE,
            quantization=quantization,
            context=self.options.context,
            parallel=self.options.parallel,
            kv_type=self.request(backend="cpu").kv_type_k,
            placement=Placement(kind=PlacementKind.CPU, split=Split.NONE, devices=("cpu",)),
            file_bytes=file_bytes,
            memory=MemoryBreakdown(per_device=()),
            speed=SpeedFigures(),
            fits=fits,
            fits_now=fits,
            max_context=None,
            verdict=verdict,
            reasons=reasons,
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, quantization),
        )


def _is_managed(placement: Placement) -> bool:
    """Whether the GPU computes on weights that lie in CPU memory, over a coherent link."""
    return placement.kind is PlacementKind.UNIFIED and "cpu" in placement.devices


def _as_plain_memory(tried: Tried) -> Tried:
    """The placement that a program without managed memory would take, refused in its own words."""
    gpu = next(device for device in tried.memory.per_device if device.device != "cpu")
    reason = Reason(
        code="verdict.plain_gpu_short",
        values={"need_bytes": gpu.total_bytes, "capacity_bytes": gpu.available_bytes},
    )
    return msgspec.structs.replace(tried, fit=msgspec.structs.replace(tried.fit, reasons=(reason,)))


def _request_of(asked: Options) -> Request:
    default = Request()
    kv_type = asked.kv_type or default.kv_type_k
    return Request(
        context=asked.context,
        parallel=asked.parallel,
        kv_type_k=kv_type,
        kv_type_v=kv_type,
        ubatch=asked.ubatch or default.ubatch,
        flash_attention=asked.flash_attention,
        kv_unified=asked.kv_unified,
    )


def model_argument(spec: ModelSpec, quantization: str) -> str:
    """What llama-server is told to load: the user's own file, a known repository, else the usual name."""
    if spec.origin == "gguf":
        return spec.path or _repository_argument(spec.id, quantization)
    repository = gguf_repository(spec, quantization)
    if repository is not None:
        return f"{repository}{file_tag(quantization)}"
    return f"{spec.name}-{quantization}.gguf"


def _repository_argument(file_id: str, quantization: str) -> str:
    """`org/name:Q4_K_M` of a file on the hub, `org/name/file.gguf`."""
    parts = file_id.split("/")
    return f"{parts[0]}/{parts[1]}:{quantization}" if len(parts) > 2 else file_id
