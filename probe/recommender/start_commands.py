"""The command with which each engine or front end gets and starts exactly this file."""

from typing import Final

from probe.catalog.model_spec import ModelSpec
from probe.engines import lmstudio, ollama
from probe.recommender.answer import Estimate
from probe.recommender.front_ends import lmstudio_name, ollama_name

_LOADS_GGUF: Final = ("llama.cpp", "ollama", "lmstudio")


def start_commands(spec: ModelSpec, answer: Estimate) -> dict[str, str]:
    """Commands by engine (`llama.cpp`, `ollama`, `lmstudio`); engines without a known file are left out.

    Only the command of the engine that was computed sets what was computed; the other
    front ends take their own default context.
    """
    found: dict[str, str] = {}
    if not answer.fits:
        return found
    if answer.command is not None:
        found[answer.engine] = answer.command
    if answer.engine not in _LOADS_GGUF:
        return found
    library = ollama_name(spec, answer.quantization)
    if library is not None:
        found.setdefault("ollama", ollama.run_command(library))
    hub = lmstudio_name(spec, answer.quantization)
    if hub is not None:
        found.setdefault("lmstudio", lmstudio.get_command(hub))
    return found
