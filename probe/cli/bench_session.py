"""One run of `probe bench`: what is measured in which order, said while it goes on."""

import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from probe.machine.description import Machine, Measurement
from probe.messages.reason import Reason

if TYPE_CHECKING:
    from probe.benchmark.engine_bench import EngineBench, Rates
    from probe.catalog.model_spec import ModelSpec
    from probe.estimate.weight_bytes import WeightBytes
    from probe.report.bench_documents import BenchRun

ENGINE_LIMIT_S: Final = 180.0
PROMPT_TOKENS: Final = 512
GENERATED: Final = 64
_SECONDS_A_PART: Final = 6.0
_RUNS: Final = 3
_SERVERS: Final = ("ollama", "llama.cpp", "vllm", "lm-studio")


class EngineAsk(NamedTuple):
    """Which engine and model the user wants measured; None: what is found running."""

    model: str | None = None
    program: str | None = None


Tell = Callable[[str], None]  # a message key


class BenchSession:
    """Measures one machine; every figure is kept as soon as it is there."""

    def __init__(self, machine: Machine, fingerprint: str, tell: Tell) -> None:
        self.machine = machine
        self.fingerprint = fingerprint
        self.tell = tell
        self.measurements: list[Measurement] = []
        self.busy = False
        self.runs: list[BenchRun] = []
        self.notes: list[Reason] = []

    def _keep(self, what: str, low: float, value: float, high: float, unit: str, **subject: str) -> None:
        self.measurements.append(
            Measurement(
                what=what,
                low=low,
                value=value,
                high=high,
                unit=unit,
                at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                fingerprint=self.fingerprint,
                subject=subject,
            )
        )

    def measure_memory(self) -> None:
        """RAM over all usable cores."""
        from probe.benchmark.busy import other_load
        from probe.benchmark.ram import measure_ram

        self.tell("bench.talk.ram")
        memory = self.machine.memory
        free = min((size for size in (memory.available_bytes, memory.limit_bytes) if size), default=None)
        threads = self.machine.cpu.usable_cores or 1
        try:
            result = measure_ram(threads, free_bytes=free, other_load=other_load())
        except (OSError, MemoryError, AttributeError) as error:
            self.notes.append(Reason(code="bench.note.ram_failed", values={"detail": str(error)[:120]}))
            return
        for what, runs in (
            ("ram_read_bytes_per_s", result.read),
            ("ram_copy_bytes_per_s", result.copy),
            ("ram_read_one_core_bytes_per_s", result.read_one_core),
        ):
            self._keep(what, runs.low, runs.best, runs.best, "bytes/s", device="cpu", threads=str(threads))
        self.busy = result.busy
        if result.busy:
            self.notes.append(
                Reason(
                    code="bench.note.busy",
                    values={"load": result.other_load, "spread": round(result.read.spread, 2)},
                )
            )

    def measure_gpus(self) -> None:
        """VRAM, host link and GPU-GPU of NVIDIA cards, in a child process."""
        from probe.benchmark.cuda import measure_cuda

        if not any(device.vendor == "nvidia" for device in self.machine.accelerators):
            return
        self.tell("bench.talk.gpu")
        result = measure_cuda()
        for figure in result.figures:
            subject = {"device": self._gpu_of(figure.device)}
            if figure.to is not None:
                subject["to"] = self._gpu_of(figure.to)
                subject["peer_access"] = "yes" if figure.peer_access else "no"
            self._keep(figure.what, figure.low, figure.best, figure.best, "bytes/s", **subject)
        if result.timed_out:
            self.notes.append(Reason(code="bench.note.gpu_timeout"))
        elif result.error is not None:
            self.notes.append(Reason(code="bench.note.gpu_failed", values={"detail": result.error}))

    def _gpu_of(self, address: str) -> str:
        for device in self.machine.accelerators:
            if device.pci_address is not None and device.pci_address.lower()[-12:] == address[-12:]:
                return f"gpu{device.index}"
        return address

    def measure_engine(self, ask: EngineAsk) -> None:
        """A real prompt and decode run, when an engine and a model are at hand."""
        found = False
        for run in self._engine_runs(ask):
            found = True
            if run.error is not None:
                self.notes.append(
                    Reason(
                        code="bench.note.engine_failed", values={"engine": run.engine, "detail": run.error}
                    )
                )
        if not found and ask.model is None:
            self.notes.append(Reason(code="bench.note.no_engine"))

    def _engine_runs(self, ask: EngineAsk) -> "Iterator[EngineBench]":
        if ask.model is not None:
            program = ask.program or self._llama_bench()
            if program is None:
                self.notes.append(Reason(code="bench.note.no_llama_bench"))
                return
            yield self._llama_bench_run(program, ask.model)
            return
        for engine in self.machine.software.engines:
            if engine.running and engine.address and engine.models and engine.id in _SERVERS:
                self.tell("bench.talk.engine")
                yield self._server_run(engine.id, engine.address, engine.models[0])

    def _llama_bench(self) -> str | None:
        name = "llama-bench.exe" if sys.platform == "win32" else "llama-bench"
        found = shutil.which(name)
        if found:
            return found
        for engine in self.machine.software.engines:
            beside = Path(engine.path).parent / name if engine.id == "llama.cpp" and engine.path else None
            if beside is not None and beside.is_file():
                return str(beside)
        return None

    # -- llama-bench ----------------------------------------------------------

    def _llama_bench_run(self, program: str, model: str) -> "EngineBench":
        from probe.api.models import model_of
        from probe.benchmark.engine_bench import llama_bench_command, run_llama_bench
        from probe.estimate.weights import gguf_weights

        spec = model_of(model)
        weights = gguf_weights(spec, spec.file_quantization or "F16")
        self.tell("bench.talk.engine")
        device, gpu_layers, threads = self._where()
        prompt_tokens, generated = self._lengths(spec, weights, device)
        command = llama_bench_command(
            program,
            model,
            prompt_tokens=prompt_tokens,
            generated=generated,
            runs=_RUNS,
            threads=threads,
            gpu_layers=gpu_layers,
        )
        done = run_llama_bench(command, spec.name, time_limit_s=ENGINE_LIMIT_S)
        if done.error is None:
            # A build without this GPU's backend runs on the CPU and says so.
            where = device if device == "cpu" or (done.backend or "").upper() != "CPU" else "cpu"
            self._compare(done, spec, weights, where, behind_prompt=False)
        return done

    def _where(self) -> tuple[str, int, int | None]:
        """Device, layers on it and threads: the GPU when there is one, else the usable physical cores."""
        gpus = self.machine.usable_gpus()
        if gpus:
            return f"gpu{gpus[0].index}", 999, None
        cpu = self.machine.cpu
        counts = [count for count in (cpu.usable_cores, cpu.physical_cores) if count]
        return "cpu", 0, min(counts, default=None)

    def _lengths(self, spec: "ModelSpec", weights: "WeightBytes", device: str) -> tuple[int, int]:
        """Tokens that take about _SECONDS_A_PART by our own estimate: a slow PC is not asked for 512."""
        from probe.recommender.measured_run import run_figures, run_inputs

        run = run_inputs(
            spec,
            weights,
            device,
            prompt_tokens=PROMPT_TOKENS,
            generated_tokens=GENERATED,
            behind_prompt=False,
            threads=None,
        )
        figures = run_figures(self.machine, spec, weights, run)
        each = _SECONDS_A_PART / _RUNS
        prompt = PROMPT_TOKENS if figures.prompt is None else int(figures.prompt.value * each)
        decode = GENERATED if figures.decode is None else int(figures.decode.value * each)
        return max(64, min(PROMPT_TOKENS, prompt)), max(16, min(128, decode))

    # -- servers --------------------------------------------------------------

    def _server_run(self, engine: str, address: str, model: str) -> "EngineBench":
        from probe.benchmark.engine_bench import run_llama_server, run_ollama, run_openai

        base = address if "://" in address else f"http://{address}"
        if engine == "ollama":
            done = run_ollama(base, model, words=300, generated=GENERATED, runs=_RUNS)
        elif engine == "llama.cpp":
            done = run_llama_server(base, model, words=300, generated=GENERATED, runs=_RUNS)
        else:
            done = run_openai(base, model, engine=engine, words=300, generated=GENERATED, runs=_RUNS)
        if done.error is None:
            known = self._catalog_model(model, done.quantization)
            if known is None:
                self._plain(done)
            else:
                self._compare(done, *known, self._where()[0], behind_prompt=True)
        return done

    def _catalog_model(self, name: str, quantization: str | None) -> "tuple[ModelSpec, WeightBytes] | None":
        from probe.catalog.models import find_model
        from probe.errors import ProbeError
        from probe.estimate.not_modeled import NotModeledError
        from probe.estimate.weights import gguf_weights

        if quantization is None:
            return None
        try:
            spec = find_model(name)
            return spec, gguf_weights(spec, quantization)
        except (ProbeError, NotModeledError):
            return None

    # -- figures --------------------------------------------------------------

    def _compare(
        self,
        done: "EngineBench",
        spec: "ModelSpec",
        weights: "WeightBytes",
        device: str,
        *,
        behind_prompt: bool,
    ) -> None:
        """Keep the run and put our estimate, before and after, beside it."""
        from probe.machine import Range
        from probe.recommender.measured_run import run_figures, run_inputs
        from probe.report.bench_documents import BenchRun

        run = run_inputs(
            spec,
            weights,
            device,
            prompt_tokens=done.prompt_tokens,
            generated_tokens=done.generated_tokens,
            behind_prompt=behind_prompt,
            threads=done.threads if device == "cpu" else None,
        )
        before = run_figures(self.machine, spec, weights, run)
        subject = {
            **run.as_subject(),
            "engine": done.engine,
            "model": done.model,
            "version": done.version or "",
            "busy": "yes" if self.busy else "no",
        }
        for what, rates in (("decode_tokens_per_s", done.decode), ("prompt_tokens_per_s", done.prompt)):
            if rates is not None:
                self._keep(what, rates.low, rates.value, rates.high, "tokens/s", **subject)
        after = run_figures(self.machine, spec, weights, run, tuple(self.measurements))

        def measured(rates: "Rates | None") -> Range | None:
            if rates is None:
                return None
            return Range(low=rates.low, value=rates.value, high=rates.high, basis="measured")

        self.runs.append(
            BenchRun(
                engine=done.engine,
                version=done.version,
                model=done.model,
                quantization=weights.quantization,
                device=device,
                threads=done.threads,
                prompt_tokens=done.prompt_tokens,
                generated_tokens=done.generated_tokens,
                decode_measured=measured(done.decode),
                decode_estimated=before.decode,
                decode_calibrated=after.decode,
                prompt_measured=measured(done.prompt),
                prompt_estimated=before.prompt,
                prompt_calibrated=after.prompt,
            )
        )

    def _plain(self, done: "EngineBench") -> None:
        """A run of a model that we do not know: the figures alone."""
        for what, rates in (("decode_tokens_per_s", done.decode), ("prompt_tokens_per_s", done.prompt)):
            if rates is not None:
                self._keep(
                    what, rates.low, rates.value, rates.high, "tokens/s", engine=done.engine, model=done.model
                )
