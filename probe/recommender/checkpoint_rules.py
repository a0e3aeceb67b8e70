"""What each engine that loads checkpoints loads, on which GPUs, and who places it."""

from collections.abc import Callable
from functools import cache, partial

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.engines import exllama, sglang, tensorrt_llm, transformers
from probe.engines.engine_answer import EngineAnswer
from probe.engines.engine_devices import EngineDevices
from probe.engines.request import Request
from probe.estimate.weight_bytes import WeightBytes

Place = Callable[[ModelSpec, WeightBytes, Request, EngineDevices], EngineAnswer | None]


class EngineRules(msgspec.Struct, frozen=True, kw_only=True):
    """One engine as its estimator needs it.

    `loads`: formats with the least compute capability; a name that ends with `-` stands
    for all formats that begin so. `architectures` None: no list is published.
    """

    engine: str
    formats: tuple[str, ...]
    loads: dict[str, tuple[int, int]]
    place: Place
    not_modeled: tuple[str, ...]
    architectures: tuple[str, ...] | None = None
    on_cpu: bool = False


@cache
def engine_rules() -> dict[str, EngineRules]:
    """The rules of each such engine, by its catalog name."""
    known = (
        EngineRules(
            engine=sglang.ENGINE,
            formats=sglang.FORMATS,
            loads=sglang.LOADS,
            place=sglang.place,
            not_modeled=sglang.NOT_MODELED,
        ),
        EngineRules(
            engine=tensorrt_llm.ENGINE,
            formats=tensorrt_llm.FORMATS,
            loads=tensorrt_llm.LOADS,
            place=tensorrt_llm.place,
            not_modeled=tensorrt_llm.NOT_MODELED,
        ),
        EngineRules(
            engine=exllama.V3,
            formats=exllama.FORMATS_V3,
            loads={
                "exl3-": exllama.LEAST_CAPABILITY,
                "fp16": exllama.LEAST_CAPABILITY,
                "bf16": exllama.LEAST_CAPABILITY,
            },
            place=partial(exllama.place, engine=exllama.V3),
            not_modeled=exllama.NOT_MODELED,
            architectures=exllama.rules_of(exllama.V3).architectures,
        ),
        EngineRules(
            engine=exllama.V2,
            formats=exllama.FORMATS_V2,
            loads={
                "exl2-": exllama.LEAST_CAPABILITY_V2,
                "gptq-int4": exllama.LEAST_CAPABILITY_V2,
                "fp16": exllama.LEAST_CAPABILITY_V2,
                "bf16": exllama.LEAST_CAPABILITY_V2,
            },
            place=partial(exllama.place, engine=exllama.V2),
            not_modeled=exllama.NOT_MODELED,
            architectures=exllama.rules_of(exllama.V2).architectures,
        ),
        EngineRules(
            engine=transformers.ENGINE,
            formats=transformers.FORMATS,
            loads=transformers.LOADS,
            place=transformers.place,
            not_modeled=transformers.NOT_MODELED,
            on_cpu=True,
        ),
    )
    return {rules.engine: rules for rules in known}


def least_capability(rules: EngineRules, quantization: str) -> tuple[int, int] | None:
    """The least compute capability for a format; None where the engine does not load it."""
    for name, least in rules.loads.items():
        if quantization == name or (name.endswith("-") and quantization.startswith(name)):
            return least
    return None
