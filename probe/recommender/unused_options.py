"""Options that were asked and that an engine lacks, or that stand elsewhere than on its command line."""

from typing import Final

import msgspec

from probe.messages.reason import Reason
from probe.recommender.answer import Estimate
from probe.recommender.options import Options

_LLAMA_CPP: Final = "llama.cpp"
_OLLAMA: Final = "ollama"
_LM_STUDIO: Final = "lmstudio"
_NO_CACHE_TYPE: Final = frozenset({"transformers", "onnxruntime"})


def with_unused_options(answer: Estimate, options: Options) -> Estimate:
    """`answer` with a sentence on what the figures or the command leave out of what was asked.

    llama.cpp takes everything. Ollama and LM Studio are computed with `--ubatch`, and LM Studio
    with flash attention on or off, but both are set elsewhere than in the printed line.
    """
    if answer.engine == _LLAMA_CPP or answer.fits is None or not answer.memory.per_device:
        return answer
    found = [*_ignored(answer, options), *_set_elsewhere(answer, options)]
    return msgspec.structs.replace(answer, reasons=(*answer.reasons, *found)) if found else answer


def _ignored(answer: Estimate, options: Options) -> list[Reason]:
    front_end = answer.engine in (_OLLAMA, _LM_STUDIO)
    asked = {
        "--ubatch": options.ubatch is not None and not front_end,
        "--flash-attn" if options.flash_attention else "--no-flash-attn": (
            options.flash_attention is not None and not front_end
        ),
        "--kv-unified": options.kv_unified and answer.engine != _LM_STUDIO,
        "--kv-type": options.kv_type is not None and answer.engine in _NO_CACHE_TYPE,
    }
    names = ", ".join(name for name, dropped in asked.items() if dropped)
    return [Reason(code="engines.unused_options", values={"options": names})] if names else []


def _set_elsewhere(answer: Estimate, options: Options) -> list[Reason]:
    found = []
    if options.ubatch is not None and answer.engine in (_OLLAMA, _LM_STUDIO):
        found.append(Reason(code=f"desktop.{answer.engine}.batch", values={"ubatch": options.ubatch}))
    if options.flash_attention is not None and answer.engine == _LM_STUDIO:
        state = "on" if options.flash_attention else "off"
        found.append(Reason(code=f"desktop.lmstudio.flash_attention_{state}"))
    return found
