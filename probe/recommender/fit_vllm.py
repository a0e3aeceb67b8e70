"""vLLM's answer in the contract's form: the planner's memory, the split, the serve line."""

from collections.abc import Iterable, Iterator

from probe.catalog.engines import EngineRelease
from probe.catalog.limits import limits
from probe.catalog.model_spec import ModelSpec
from probe.engines.request import Request
from probe.engines.vllm import Serving, serve
from probe.engines.vllm_budget import VllmGpu, gpus_of
from probe.engines.vllm_command import serve_command
from probe.engines.vllm_formats import format_refusal
from probe.engines.vllm_requirements import vllm_releases, vllm_verdict
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.speed import depth_tokens, estimate_speed
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.speed_figures import SpeedFigures
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.machine import Machine
from probe.messages.reason import Reason
from probe.recommender.answer import Estimate, Placement, PlacementKind, Split, Verdict
from probe.recommender.figures import generates_text, rule_of_thumb_bytes, speed_of
from probe.recommender.options import Options
from probe.recommender.verdict import Fit, judge

ENGINE = "vllm"
# Formats tried when none is asked, best first: as published, 8-bit floats, 4-bit integers.
FORMATS = ("bf16", "fp8", "awq")


class VllmEstimator:
    """Answers of vLLM for one machine and one set of options."""

    def __init__(self, machine: Machine, options: Options) -> None:
        self.machine = machine
        self.options = options
        self.gpus: tuple[VllmGpu, ...] = gpus_of(machine)
        self.rules = limits()

    def request(self) -> Request:
        """What is asked of vLLM: its own cache type unless an 8-bit one is asked."""
        asked = self.options
        kv_type = asked.kv_type or "auto"
        return Request(context=asked.context, parallel=asked.parallel, kv_type_k=kv_type, kv_type_v=kv_type)

    def formats(self, spec: ModelSpec) -> tuple[str, ...]:
        """Weight formats to try for `spec`, best first; one published in its own format has only that."""
        own = spec.file_quantization or spec.native_quantization
        return (own,) if own else FORMATS

    def best(self, spec: ModelSpec) -> Estimate:
        """The first format that is comfortable, else the first that fits, else the last one tried."""
        answers = [self.estimate(spec, name) for name in self.formats(spec)]
        for wanted in (Verdict.COMFORTABLE, Verdict.USABLE, Verdict.SLOW):
            for answer in answers:
                if answer.verdict is wanted:
                    return answer
        return answers[-1]

    def estimate(self, spec: ModelSpec, quantization: str, *, full: bool = True) -> Estimate:
        """`spec` in one weight format on this machine's NVIDIA GPUs."""
        needs = vllm_verdict(self.machine)
        if needs.verdict == "no":
            return self._blank(spec, quantization, needs.causes, fits=False, verdict=Verdict.NO)
        if not self.gpus:
            # Another build (ROCm, XPU, CPU, Metal) may run here: nothing of it is computed.
            causes = (*needs.causes, Reason(code="vllm.needs.not_computed"))
            return self._blank(spec, quantization, causes, fits=None, verdict=Verdict.UNKNOWN)
        refusal = format_refusal(quantization, min(gpu.capability for gpu in self.gpus))
        if refusal is not None:
            return self._blank(spec, quantization, (refusal,), fits=False, verdict=Verdict.NO)
        try:
            weights = checkpoint_weights(spec, quantization)
        except NotModeledError as error:
            cause = Reason(code="verdict.weights_unknown", values={"detail": str(error)})
            return self._blank(spec, quantization, (cause,), fits=None, verdict=Verdict.UNKNOWN)
        serving = self.serve(spec, weights)
        if serving is None:
            cause = Reason(code="verdict.weights_unknown")
            return self._blank(spec, quantization, (cause,), fits=None, verdict=Verdict.UNKNOWN)
        return self._answer(spec, weights, serving, full=full)

    def serve(self, spec: ModelSpec, weights: WeightBytes) -> Serving | None:
        """The way vLLM would serve it; with a draft beside it, that one's too."""
        return serve(spec, weights, self.request(), self.gpus)

    def _answer(self, spec: ModelSpec, weights: WeightBytes, serving: Serving, *, full: bool) -> Estimate:
        speed = SpeedFigures() if serving.fits is False else self._speed(spec, weights, serving)
        speed = speed_of(spec, speed)
        room = sum(budget.kv_bytes.value for budget in serving.budgets)
        kv = sum(device.kv_cache_bytes or 0 for device in serving.memory.per_device)
        causes = (*_older_release(vllm_verdict(self.machine).release), *serving.causes)
        fit = Fit(
            fits=serving.fits,
            fits_now=serving.fits_now,
            left_bytes=max(0, room - kv),
            pool_bytes=sum(budget.requested_bytes for budget in serving.budgets),
            reasons=causes,
        )
        kind = PlacementKind.MULTI_GPU if len(serving.devices) > 1 else PlacementKind.GPU
        if len(serving.devices) == 1 and self.gpus[0].unified:
            kind = PlacementKind.UNIFIED
        verdict, reasons = judge(
            fit,
            speed,
            kind=kind,
            max_context=serving.max_context,
            generates=generates_text(spec),
            rules=self.rules,
        )
        return Estimate(
            model_id=spec.id,
            engine=ENGINE,
            quantization=weights.quantization,
            context=self.options.context,
            parallel=self.options.parallel,
            kv_type=serving.plan.request.kv_dtype,
            placement=Placement(kind=kind, split=_split_of(serving), devices=serving.devices),
            file_bytes=weights.file_bytes,
            memory=serving.memory,
            speed=speed,
            fits=serving.fits,
            fits_now=serving.fits_now,
            max_context=serving.max_context,
            verdict=verdict,
            reasons=reasons,
            command=serve_command(spec, weights.quantization, self.request(), serving).line if full else None,
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, weights.quantization),
        )

    def _speed(self, spec: ModelSpec, weights: WeightBytes, serving: Serving) -> SpeedFigures:
        """Speed of one stream on the GPUs that share the weights."""
        return estimate_speed(
            spec,
            weights,
            self.speed_devices(weights, serving),
            split=_split_of(serving).value,
            context=self.options.context,
            parallel=self.options.parallel,
            engine=ENGINE,
        )

    def speed_devices(self, weights: WeightBytes, serving: Serving) -> tuple[SpeedDevice, ...]:
        """The GPUs with the bytes one token reads on each; the cache is read as far as filled."""
        by_name = {f"gpu{device.index}": device for device in self.machine.accelerators}
        context, parallel = self.options.context, self.options.parallel
        filled = depth_tokens(context) / context / parallel
        count = len(serving.devices)
        devices = []
        for memory in serving.memory.per_device:
            device = by_name.get(memory.device)
            if device is None:
                continue
            devices.append(
                SpeedDevice(
                    device=memory.device,
                    vendor=device.vendor,
                    backend="cuda",
                    name=device.catalog_name or device.name,
                    architecture=device.architecture,
                    compute_capability=device.compute_capability,
                    bandwidth=device.bandwidth_bytes_per_s,
                    compute=device.compute,
                    unified=device.memory_shared,
                    laptop=device.laptop,
                    active_weight_bytes=weights.active_bytes // count,
                    kv_bytes=round((memory.kv_cache_bytes or 0) * filled),
                    layers=len(weights.layers) // serving.parallel.pp,
                )
            )
        return tuple(devices)

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
            engine=ENGINE,
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
            reasons=tuple(_once(causes)),
            rule_of_thumb_bytes=rule_of_thumb_bytes(spec, quantization),
        )


def _once(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Each reason once: two equal cards are refused for one reason."""
    seen: list[Reason] = []
    for reason in reasons:
        if reason not in seen:
            seen.append(reason)
            yield reason


def _older_release(release: EngineRelease | None) -> tuple[Reason, ...]:
    """Which release must be installed, where the newest is not for these GPUs or this driver."""
    if release is None or release == vllm_releases()[0]:
        return ()
    return (Reason(code="vllm.needs.older_release", values={"version": release.version}),)


def _split_of(serving: Serving) -> Split:
    if serving.parallel.tp > 1:
        return Split.TENSOR
    return Split.LAYER if serving.parallel.pp > 1 else Split.NONE
