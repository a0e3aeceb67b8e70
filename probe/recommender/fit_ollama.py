"""Ollama's answer: llama.cpp's memory with the context, batch and GPUs that Ollama chooses by itself."""

from collections.abc import Iterator
from typing import Final

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines import ollama
from probe.engines.ollama import OllamaGpu
from probe.engines.request import LayerSplit, Request
from probe.engines.vllm_budget import parse_capability
from probe.errors import FactValue
from probe.estimate.breakdown import MemoryBreakdown
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weight_bytes import WeightBytes
from probe.estimate.weights import gguf_weights
from probe.machine import ByteRange, Machine, OsFamily
from probe.recommender.answer import Estimate, PlacementKind, Reason
from probe.recommender.figures import generates_text
from probe.recommender.fit import Estimator
from probe.recommender.front_ends import ollama_name, own_file, runtime_range, with_towers
from probe.recommender.options import Options
from probe.recommender.placements import Tried, compute_groups
from probe.recommender.pools import Pool
from probe.recommender.quantization_choice import ANCHOR, best_quantization, native_only

ENGINE: Final = "ollama"


class _Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What Ollama starts its llama-server with, and what it would have taken had nothing been asked."""

    request: Request
    own: Request
    gpu_bytes: int
    one_gpu: bool
    tower_bytes: int


class _LlamaServer(Estimator):
    """llama.cpp under Ollama: its request, its image part, and its rule of one GPU or all."""

    def __init__(self, parent: Estimator, launch: _Launch) -> None:
        asked = launch.request
        options = msgspec.structs.replace(parent.options, context=asked.context, parallel=asked.parallel)
        super().__init__(parent.machine, options)
        self.pools = parent.pools
        self.launch = launch

    def request(self, *, backend: str) -> Request:  # one request whatever the device
        """As Ollama passes it."""
        return self.launch.request

    def lay_out(
        self, spec: ModelSpec, weights: WeightBytes, split: LayerSplit, request: Request | None = None
    ) -> MemoryBreakdown:
        """With the image part, which Ollama puts on the first GPU."""
        return with_towers(super().lay_out(spec, weights, split, request), self.launch.tower_bytes)

    def tries(self, spec: ModelSpec, weights: WeightBytes) -> Iterator[Tried]:
        """One GPU where Ollama's forecast says so, else all of the group; never some of them."""
        groups = compute_groups(self.pools)
        count = len(groups[0]) if groups else 0
        for tried in super().tries(spec, weights):
            kind = tried.placement.kind
            if count > 1 and kind is PlacementKind.GPU and not self.launch.one_gpu:
                continue
            if kind is PlacementKind.MULTI_GPU and (
                self.launch.one_gpu or len(tried.placement.devices) < count
            ):
                continue
            yield tried


class OllamaEstimator(Estimator):
    """Answers of Ollama for one machine and one set of options."""

    def __init__(self, machine: Machine, options: Options) -> None:
        super().__init__(machine, options)
        groups = compute_groups(self.pools)
        margin = self.rules.gpu.llama_cpp_margin_bytes
        self.gpus = tuple(_gpu(pool, margin) for pool in groups[0]) if groups else ()
        self.gpu_bytes = ollama.ollama_gpu_bytes(machine)

    @property
    def _system(self) -> OsFamily:
        return self.machine.host.os.family or OsFamily.LINUX

    def best(self, spec: ModelSpec) -> Estimate:
        """In the quantization of Ollama's own tag where it has one and it fits, else in the one to take."""
        if self.options.quantization is not None:
            return self.estimate(spec, self.options.quantization)
        only = native_only(spec)
        name = only[0] if only else ANCHOR
        if spec.ollama_tags and generates_text(spec):
            answer = self.estimate(spec, name)
            if answer.fits is not False:
                return answer
        chosen = best_quantization(spec, lambda other: self.estimate(spec, other, full=False))
        return self.estimate(spec, chosen.quantization)

    def estimate(self, spec: ModelSpec, quantization: str, *, full: bool = True) -> Estimate:
        """`spec` as Ollama would load it here."""
        try:
            weights = gguf_weights(spec, quantization)
        except NotModeledError:
            return self._named(super().estimate(spec, quantization, full=full))
        launch = self._launch(spec, weights)
        if ollama.refuses(launch.request):
            reason = Reason(code="desktop.ollama.kv_type", values={"kv_type": launch.request.kv_type_k})
            return self._named(self._refused(spec, quantization, weights, (reason,)))
        answer = self._named(_LlamaServer(self, launch).estimate(spec, quantization, full=full))
        if not full:
            return answer
        lines = self._commands(spec, answer, launch) if answer.fits else ()
        return msgspec.structs.replace(
            answer,
            reasons=(*answer.reasons, *self._notes(spec, answer, launch)),
            command="\n".join(lines) or None,
            memory_range=self._range(spec, weights, answer),
            not_modeled=_not_modeled(spec, launch),
        )

    def _range(self, spec: ModelSpec, weights: WeightBytes, answer: Estimate) -> ByteRange | None:
        """The band of the runtime; its high end also with prediction layers that draft."""
        band = runtime_range(answer.memory, self.pools)
        if band is None or not spec.params_mtp:
            return band
        states = sum(device.recurrent_state_bytes or 0 for device in answer.memory.per_device)
        more = ollama.drafting_bytes(weights.mtp_bytes, states)
        return msgspec.structs.replace(band, high=band.high + more)

    def request_for(self, spec: ModelSpec, quantization: str) -> Request:
        """What Ollama would start its server with for this model here."""
        return self._launch(spec, gguf_weights(spec, quantization)).request

    def _named(self, answer: Estimate) -> Estimate:
        others = tuple(msgspec.structs.replace(other, engine=ENGINE) for other in answer.alternatives)
        return msgspec.structs.replace(answer, engine=ENGINE, alternatives=others)

    def _launch(self, spec: ModelSpec, weights: WeightBytes) -> _Launch:
        asked = self.options
        kv_type = asked.kv_type or Request().kv_type_k
        flash = ollama.own_flash_attention(asked.flash_attention, self.gpus)
        parallel = ollama.own_parallel(spec, asked.parallel)
        context = ollama.own_context(spec, asked.context if asked.context_asked else None, self.gpu_bytes)
        predicted = ollama.predicted_bytes(spec, weights.file_bytes, context * parallel)
        batch = asked.ubatch or ollama.own_batch(
            spec, context * parallel, predicted, self.gpus, flash_attention=flash
        )
        request = Request(
            context=context,
            parallel=parallel,
            kv_type_k=kv_type,
            kv_type_v=kv_type,
            ubatch=batch,
            flash_attention=flash,
        )
        own = Request(
            context=ollama.own_context(spec, None, self.gpu_bytes),
            flash_attention=ollama.own_flash_attention(None, self.gpus),
        )
        return _Launch(
            request=request,
            own=own,
            gpu_bytes=self.gpu_bytes,
            one_gpu=ollama.takes_one_gpu(predicted, self.gpus),
            tower_bytes=_tower_bytes(spec),
        )

    def _commands(self, spec: ModelSpec, answer: Estimate, launch: _Launch) -> tuple[str, ...]:
        wanted = ollama.settings(launch.request, launch.own)
        own = own_file(spec)
        if own is not None:
            return ollama.file_commands(own, wanted, self._system)
        name = ollama_name(spec, answer.quantization)
        return ollama.commands(name, wanted, self._system) if name else ()

    def _notes(self, spec: ModelSpec, answer: Estimate, launch: _Launch) -> tuple[Reason, ...]:
        """What a person must know of Ollama's own choices; the silent cut first."""
        asked, request, own = self.options, launch.request, launch.own
        found = []
        context: dict[str, FactValue] = {
            "context": request.context,
            "own": own.context,
            "gpu_bytes": launch.gpu_bytes,
        }
        if not asked.context_asked:
            code = "default_context" if launch.gpu_bytes else "default_context_cpu"
            found.append(Reason(code=f"desktop.ollama.{code}", values=context))
        elif request.context > own.context:
            found.append(Reason(code="desktop.ollama.context_set", values=context))
        if asked.context_asked and request.context < asked.context:
            values: dict[str, FactValue] = {"asked": asked.context, "context": request.context}
            found.append(Reason(code="desktop.ollama.context_lowered", values=values))
        if request.parallel < asked.parallel:
            found.append(Reason(code="desktop.ollama.one_conversation", values={"asked": asked.parallel}))
        if launch.tower_bytes:
            found.append(Reason(code="desktop.ollama.image_part", values={"bytes": launch.tower_bytes}))
        if asked.reserve_bytes and self.gpus and answer.fits:
            found.append(Reason(code="desktop.ollama.others_first"))
        if answer.placement.kind is PlacementKind.MULTI_GPU:
            found.append(
                Reason(code="desktop.ollama.all_gpus", values={"count": len(answer.placement.devices)})
            )
        set_outside = ollama.settings(request, own)
        if own_file(spec) is not None:
            set_outside = tuple(pair for pair in set_outside if pair[0] != "OLLAMA_CONTEXT_LENGTH")
        if set_outside and answer.fits:
            found.append(Reason(code=f"desktop.ollama.restart_{self._system.value}"))
        if answer.fits and not self._commands(spec, answer, launch):
            found.append(Reason(code="desktop.no_known_file", values={"program": "Ollama"}))
        return tuple(found)


def _gpu(pool: Pool, margin: int) -> OllamaGpu:
    """Free memory as Ollama would see it on an idle machine: capacity, and the margin that fitting leaves."""
    capacity = pool.capacity_bytes or 0
    device = pool.accelerator
    return OllamaGpu(
        total_bytes=pool.total_bytes or 0,
        free_bytes=capacity if pool.in_ram else capacity + margin,
        cuda=pool.backend == "cuda",
        capability=parse_capability(device.compute_capability) if device else None,
    )


def _tower_bytes(spec: ModelSpec) -> int:
    """The 16-bit image part of a model of Ollama's library, which is always loaded with it."""
    return 2 * spec.params_other if spec.ollama_tags and spec.params_other else 0


def _not_modeled(spec: ModelSpec, launch: _Launch) -> tuple[Reason, ...]:
    codes = ["older_versions", "prompt_cache", "retry"]
    if launch.tower_bytes:
        codes.append("image_buffers")
    if spec.params_mtp:
        codes.append("prediction_layers")
    return tuple(Reason(code=f"desktop.ollama.not_modeled.{code}") for code in codes)
