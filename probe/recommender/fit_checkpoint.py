"""Answers of the engines that load checkpoints: SGLang, TensorRT-LLM, ExLlama, Transformers.

Each engine's module says what it loads, where and with what memory; here its answer
gets a speed, a verdict and the contract's form.
"""

from typing import Final

import msgspec

from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.catalog.quantizations import all_recipes
from probe.engines import sglang, tensorrt_llm, transformers
from probe.engines.engine_answer import EngineAnswer
from probe.engines.engine_devices import EngineDevices, EngineGpu
from probe.engines.request import Request
from probe.engines.vllm_budget import gpus_of
from probe.engines.vllm_formats import written
from probe.engines.vllm_layers import architecture_of
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.machine import LinkKind, Machine
from probe.messages.reason import Reason
from probe.recommender.answer import Estimate, Placement, PlacementKind, Split, Verdict
from probe.recommender.checkpoint_rules import engine_rules, least_capability
from probe.recommender.checkpoint_speed import checkpoint_speed
from probe.recommender.engine_verdicts import NO, engine_verdict
from probe.recommender.figures import generates_text, rule_of_thumb_bytes, speed_of
from probe.recommender.options import Options
from probe.recommender.pools import machine_pools
from probe.recommender.verdict import Fit, judge

_GGUF: Final = frozenset(recipe.name.upper() for recipe in all_recipes())


def engine_devices(machine: Machine, keep_bytes: int) -> EngineDevices:
    """What a process of PyTorch finds here; `keep_bytes` (`--reserve`) is kept on what computes."""
    pools = machine_pools(machine, keep_bytes)
    listed = {f"gpu{device.index}": device.memory_total_bytes for device in machine.accelerators}
    found = [
        EngineGpu(
            device=gpu.device,
            vendor="nvidia",
            backend="cuda",
            capability=gpu.capability,
            listed_bytes=listed.get(gpu.device) or gpu.total_bytes,
            total_bytes=max(0, gpu.total_bytes - keep_bytes),
            free_bytes=gpu.free_bytes,
            in_ram=gpu.unified,
        )
        for gpu in gpus_of(machine)
    ]
    known = {gpu.device for gpu in found}
    margin = limits().gpu.llama_cpp_margin_bytes
    for pool in pools.gpus:
        device = pool.accelerator
        if pool.device in known or pool.capacity_bytes is None or device is None or device.vendor == "nvidia":
            continue
        total = pool.capacity_bytes + (0 if pool.in_ram else margin)
        found.append(
            EngineGpu(
                device=pool.device,
                vendor=device.vendor,
                backend=pool.backend,
                listed_bytes=pool.total_bytes or total,
                total_bytes=total,
                free_bytes=pool.free_bytes,
                in_ram=pool.in_ram,
            )
        )
    return EngineDevices(
        gpus=tuple(sorted(found, key=lambda gpu: gpu.total_bytes, reverse=True)),
        ram_bytes=pools.cpu.capacity_bytes,
        ram_free_bytes=pools.cpu.free_bytes,
    )


class CheckpointEstimator:
    """Answers of one such engine for one machine and one set of options."""

    def __init__(self, engine: str, machine: Machine, options: Options) -> None:
        self.rules = engine_rules()[engine]
        self.machine = machine
        self.options = options
        self.devices = engine_devices(machine, options.reserve_bytes)
        self.verdict = engine_verdict(engine, machine)

    def request(self) -> Request:
        """What is asked of the engine: its own cache type unless another one is asked."""
        asked = self.options
        kv_type = asked.kv_type or "auto"
        return Request(context=asked.context, parallel=asked.parallel, kv_type_k=kv_type, kv_type_v=kv_type)

    def formats(self, spec: ModelSpec) -> tuple[str, ...]:
        """Formats to try, best first; a file of the user's has its own, a model published in one has that."""
        if spec.file_quantization is not None:
            return (spec.file_quantization,)
        own = spec.native_quantization
        return (own,) if own and least_capability(self.rules, own) is not None else self.rules.formats

    def best(self, spec: ModelSpec) -> Estimate:
        """The first format that is comfortable, else usable, else slow, else the last one tried."""
        answers = [self.estimate(spec, name) for name in self.formats(spec)]
        for wanted in (Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW):
            for answer in answers:
                if answer.verdict is wanted:
                    return answer
        return answers[-1]

    def estimate(self, spec: ModelSpec, quantization: str, *, full: bool = True) -> Estimate:
        """`spec` in one weight format.

        Raises:
            UnknownNameError: no such format.
        """
        refused = self._refused(spec, quantization)
        if refused is not None:
            return self._blank(spec, quantization, (refused,), fits=False, verdict=Verdict.NO)
        if self.verdict.verdict == NO:
            causes = self.verdict.reasons
            return self._blank(spec, quantization, causes, fits=False, verdict=Verdict.NO)
        try:
            weights = checkpoint_weights(spec, quantization)
        except NotModeledError as error:
            cause = Reason(code="verdict.weights_unknown", values={"detail": str(error)})
            return self._blank(spec, quantization, (cause,), fits=None, verdict=Verdict.UNKNOWN)
        answer = self.rules.place(spec, weights, self.request(), self._able(quantization))
        if answer is None:
            causes = (self._no_place(spec, quantization),)
            unknown = spec.dimensions is None or not self.rules.on_cpu
            return self._blank(
                spec,
                quantization,
                causes,
                fits=None if unknown else False,
                verdict=Verdict.UNKNOWN if unknown else Verdict.NO,
            )
        return self._answer(spec, weights, answer, full=full)

    def _refused(self, spec: ModelSpec, quantization: str) -> Reason | None:
        """A format or architecture the engine has no code for, on any GPU or on these."""
        engine = self.rules.engine
        if quantization.upper() in _GGUF and least_capability(self.rules, quantization) is None:
            return Reason(code="engines.gguf", values={"engine": engine, "format": quantization})
        least = least_capability(self.rules, quantization)
        if least is None:
            return Reason(code="engines.format", values={"engine": engine, "format": quantization})
        name = architecture_of(spec)
        listed = self.rules.architectures
        if listed is not None and name is not None and name not in listed:
            return Reason(code="engines.architecture", values={"engine": engine, "architecture": name})
        capable = [gpu for gpu in self.devices.nvidia if gpu.capability and gpu.capability >= least]
        if self.devices.nvidia and not capable and not self.rules.on_cpu:
            highest = max(gpu.capability or (0, 0) for gpu in self.devices.nvidia)
            values = {"format": quantization, "least": written(least), "capability": written(highest)}
            return Reason(code="vllm.format.capability", values={**values})
        return None

    def _able(self, quantization: str) -> EngineDevices:
        """Without the NVIDIA GPUs that are too old for the format."""
        least = least_capability(self.rules, quantization) or (0, 0)
        able = tuple(gpu for gpu in self.devices.gpus if gpu.capability is None or gpu.capability >= least)
        return msgspec.structs.replace(self.devices, gpus=able)

    def _no_place(self, spec: ModelSpec, quantization: str) -> Reason:
        if spec.dimensions is None:
            return Reason(code="verdict.weights_unknown", values={"detail": spec.id})
        if self.rules.on_cpu:
            return Reason(code="engines.transformers.no_device", values={"format": quantization})
        return Reason(code="engines.no_nvidia", values={"engine": self.rules.engine})

    def _answer(self, spec: ModelSpec, weights: WeightBytes, found: EngineAnswer, *, full: bool) -> Estimate:
        engine = self.rules.engine
        asked = self.options
        speed = SpeedFigures()
        if found.fits is not False:
            speed = checkpoint_speed(
                engine, spec, weights, found, self.machine, context=asked.context, parallel=asked.parallel
            )
        speed = speed_of(spec, speed)
        fit = Fit(
            fits=found.fits,
            fits_now=found.fits_now,
            left_bytes=found.left_bytes,
            pool_bytes=found.pool_bytes,
            reasons=found.causes,
        )
        kind = _kind_of(found)
        verdict, reasons = judge(
            fit,
            speed,
            kind=kind,
            max_context=found.max_context,
            generates=generates_text(spec),
            rules=limits(),
        )
        # A verdict of "too slow" names the speed alone: what the engine does still helps.
        reasons = (*reasons, *(reason for reason in fit.reasons if reason not in reasons))
        if self.verdict.verdict != "ok" and found.devices != ("cpu",):
            reasons = (*reasons, *self.verdict.reasons)
        if engine == tensorrt_llm.ENGINE and found.fits:
            reasons = (*reasons, *self._not_named(found))
        if engine == transformers.ENGINE and found.devices == ("cpu",) and self._is_coherent():
            reasons = (*reasons, Reason(code="engines.transformers.managed_memory"))
        if engine == sglang.ENGINE and generates_text(spec):
            reasons = (*reasons, *sglang.no_class(spec))
        return Estimate(
            model_id=spec.id,
            engine=engine,
            quantization=weights.quantization,
            context=asked.context,
            parallel=asked.parallel,
            kv_type=found.kv_type,
            placement=Placement(kind=kind, split=Split(found.split), devices=found.devices),
            file_bytes=weights.file_bytes,
            memory=found.memory,
            speed=speed,
            fits=found.fits,
            fits_now=found.fits_now,
            max_context=found.max_context,
            verdict=verdict,
            reasons=reasons,
            command=found.command if full else None,
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, weights.quantization),
            memory_range=found.memory_range,
            not_modeled=self._not_modeled(),
        )

    def _not_named(self, found: EngineAnswer) -> tuple[Reason, ...]:
        """GPUs of a generation that NVIDIA supports, but not on its list of products."""
        names = {
            device.catalog_name or device.name
            for device in self.machine.accelerators
            if f"gpu{device.index}" in found.devices
        }
        return tuple(
            Reason(code="engines.tensorrt_llm.not_named", values={"name": name})
            for name in sorted(names)
            if not any(part in tensorrt_llm.NAMED_GPUS for part in name.replace("-", " ").split())
        )

    def _is_coherent(self) -> bool:
        """Whether a GPU may compute on what lies in RAM (GH200, GB200)."""
        return any(link.kind is LinkKind.C2C for link in self.machine.links)

    def _not_modeled(self) -> tuple[Reason, ...]:
        topic = self.rules.engine.replace("-", "_").replace("v3", "").replace("v2", "")
        return tuple(Reason(code=f"engines.not_modeled.{topic}.{name}") for name in self.rules.not_modeled)

    def _blank(
        self,
        spec: ModelSpec,
        quantization: str,
        causes: tuple[Reason, ...],
        *,
        fits: bool | None,
        verdict: Verdict,
    ) -> Estimate:
        return Estimate(
            model_id=spec.id,
            engine=self.rules.engine,
            quantization=quantization,
            context=self.options.context,
            parallel=self.options.parallel,
            kv_type=self.request().kv_type_k,
            placement=Placement(kind=PlacementKind.GPU),
            file_bytes=None,
            memory=MemoryBreakdown(per_device=()),
            speed=SpeedFigures(),
            fits=fits,
            fits_now=fits,
            max_context=None,
            verdict=verdict,
            reasons=causes,
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, quantization),
            not_modeled=self._not_modeled(),
        )


def _kind_of(found: EngineAnswer) -> PlacementKind:
    if found.devices == ("cpu",):
        return PlacementKind.CPU
    if len(found.devices) > 1:
        return PlacementKind.MULTI_GPU
    return PlacementKind.UNIFIED if found.unified else PlacementKind.GPU
