"""Which estimator answers for which engine: the one list of engines whose memory is computed.

A new engine is one function here and one entry in `_BUILDERS`; everything that asks
for an engine (`check`, `plan`) comes through `estimator_for`.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from probe.catalog.engines import find_engine
from probe.catalog.model_spec import ModelSpec
from probe.errors import UnknownNameError
from probe.machine import Machine
from probe.recommender.answer import Estimate
from probe.recommender.options import Options

LLAMA_CPP: Final = "llama.cpp"


class EngineEstimator(Protocol):
    """What the estimator of any engine answers, for one machine and one set of options."""

    def estimate(self, spec: ModelSpec, quantization: str, *, full: bool = True) -> Estimate:
        """`spec` in one form of its weights; `full` also asks for the longest context and the command."""

    def best(self, spec: ModelSpec) -> Estimate:
        """`spec` in the form to take where none was asked."""


def _llama_cpp(machine: Machine, options: Options) -> EngineEstimator:
    from probe.recommender.survey import LlamaCppChoice

    return LlamaCppChoice(machine, options)


def _vllm(machine: Machine, options: Options) -> EngineEstimator:
    from probe.recommender.fit_vllm import VllmEstimator

    return VllmEstimator(machine, options)


def _ollama(machine: Machine, options: Options) -> EngineEstimator:
    from probe.recommender.fit_ollama import OllamaEstimator

    return OllamaEstimator(machine, options)


def _lmstudio(machine: Machine, options: Options) -> EngineEstimator:
    from probe.recommender.fit_lmstudio import LmStudioEstimator

    return LmStudioEstimator(machine, options)


def _checkpoint(engine: str, machine: Machine, options: Options) -> EngineEstimator:
    from probe.recommender.fit_checkpoint import CheckpointEstimator

    return CheckpointEstimator(engine, machine, options)


def _mlx(machine: Machine, options: Options) -> EngineEstimator:
    from probe.recommender.fit_mlx import MlxEstimator

    return MlxEstimator(machine, options)


_BUILDERS: Final[dict[str, Callable[[Machine, Options], EngineEstimator]]] = {
    LLAMA_CPP: _llama_cpp,
    "vllm": _vllm,
    "sglang": partial(_checkpoint, "sglang"),
    "tensorrt-llm": partial(_checkpoint, "tensorrt-llm"),
    "exllamav3": partial(_checkpoint, "exllamav3"),
    "exllamav2": partial(_checkpoint, "exllamav2"),
    "transformers": partial(_checkpoint, "transformers"),
    "ollama": _ollama,
    "lmstudio": _lmstudio,
    "mlx-lm": _mlx,
}


def computed_engines() -> tuple[str, ...]:
    """Engines whose memory is computed, by their catalog names."""
    return tuple(_BUILDERS)


def engine_asked(options: Options) -> str:
    """The catalog name of the asked engine; llama.cpp where none was asked.

    Raises:
        UnknownNameError: no such engine.
    """
    return find_engine(options.engine).id if options.engine is not None else LLAMA_CPP


def estimator_for(machine: Machine, options: Options) -> EngineEstimator:
    """The estimator of the asked engine.

    Raises:
        UnknownNameError: no such engine, or one whose memory is not computed yet.
    """
    engine = engine_asked(options)
    builder = _BUILDERS.get(engine)
    if builder is None:
        raise UnknownNameError("answer.engine.not_computed", engine, computed_engines())
    return builder(machine, options)


def answer_of(machine: Machine, spec: ModelSpec, options: Options) -> Estimate:
    """The asked engine's answer, in the asked quantization or the one to take."""
    estimator = estimator_for(machine, options)
    if options.quantization is not None:
        return estimator.estimate(spec, options.quantization)
    return estimator.best(spec)
