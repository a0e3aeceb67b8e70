"""What each tool may be asked: the types that make its input schema and check every call."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from probe.api.limits import MAX_CONTEXT, MAX_PARALLEL
from probe.catalog.from_spec import MAX_SPEC_LENGTH
from probe.units import MAX_BYTES

MAX_PATH: int = 4096
_Words = Annotated[str, Meta(min_length=1, max_length=200)]

Lang = Annotated[
    Literal["en", "ko"] | None,
    Meta(description="Language of the sentences; codes and figures are the same. Default: the system's."),
]
MachineFile = Annotated[
    Annotated[str, Meta(min_length=1, max_length=MAX_PATH)] | None,
    Meta(description="Path of another machine's report or scan (JSON file). Default: this computer."),
]
MachineSpec = Annotated[
    Annotated[str, Meta(min_length=1, max_length=MAX_SPEC_LENGTH)] | None,
    Meta(
        description="A machine in words instead of this computer: parts separated by `;`, such as "
        "`2x RTX 3060 12GB; 64GB DDR4-3200 x2`, `Core i5-8500; 16GB DDR4-2666 x1; windows 11`, "
        "`M4 Max 64GB`. GPUs with a count, one processor, RAM with its populated channels, operating system."
    ),
]
_MODEL = (
    "Catalog name or alias (qwen3-8b, llama-3.1-8b, exaone-4.0-32b), or the path of a GGUF or safetensors "
    "file, a folder or a config.json."
)
Model = Annotated[str, Meta(min_length=1, max_length=MAX_PATH, description=_MODEL)]
MaybeModel = Annotated[
    Annotated[str, Meta(min_length=1, max_length=MAX_PATH)] | None, Meta(description=_MODEL)
]
Context = Annotated[
    Annotated[int, Meta(ge=1, le=MAX_CONTEXT)] | None,
    Meta(description="Tokens that one conversation may hold, prompt and answer. Default 8192."),
]
Parallel = Annotated[
    Annotated[int, Meta(ge=1, le=MAX_PARALLEL)] | None,
    Meta(description="Conversations held at once. Default 1."),
]
Quantization = Annotated[
    _Words | None,
    Meta(description="As the engine spells it (Q4_K_M, Q8_0, awq, fp8). Default: the best that fits."),
]
KvType = Annotated[
    _Words | None,
    Meta(description="Element type of the KV cache (f16, q8_0; fp8 with vllm). Default: the engine's."),
]
Reserve = Annotated[int, Meta(ge=0, le=MAX_BYTES, description="Bytes of memory to leave to other programs.")]


class ScanArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`scan`."""

    machine: MachineFile = None
    as_: MachineSpec = field(default=None, name="as")
    lang: Lang = None


class CheckArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`check`."""

    model: Model
    machine: MachineFile = None
    as_: MachineSpec = field(default=None, name="as")
    engine: Annotated[
        _Words | None, Meta(description="Judge this engine: llama.cpp (default), vllm, ollama ...")
    ] = None
    quantization: Quantization = None
    context: Context = None
    parallel: Parallel = None
    kv_type: KvType = None
    reserve_bytes: Reserve = 0
    with_model: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_PATH)] | None,
        Meta(description="Another model that stays loaded beside it."),
    ] = None
    draft: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_PATH)] | None,
        Meta(description="Model that drafts for it (speculative decoding), or auto, or mtp."),
    ] = None
    lang: Lang = None


class PlanArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`plan`."""

    model: MaybeModel = None
    upgrade: Annotated[
        bool,
        Meta(
            description="Instead of a model: what one change to this computer, `machine` or `as` would bring."
        ),
    ] = False
    machine: MachineFile = None
    as_: MachineSpec = field(default=None, name="as")
    quantization: Quantization = None
    context: Context = None
    parallel: Parallel = None
    kv_type: KvType = None
    tokens_per_s: Annotated[
        Annotated[float, Meta(gt=0, lt=1_000_000)] | None,
        Meta(description="Speed of one conversation that must be reached."),
    ] = None
    lang: Lang = None


class PreflightArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`preflight`."""

    engine: Annotated[
        str,
        Meta(min_length=1, max_length=200, description="vllm, sglang, llama.cpp, ollama, transformers ..."),
    ]
    model: MaybeModel = None
    target_version: Annotated[
        _Words | None,
        Meta(description="Judge this version of the engine. Default: the newest this driver runs."),
    ] = None
    build: Annotated[
        Literal["cpu", "rocm", "xpu"] | None, Meta(description="Judge another build than the NVIDIA one.")
    ] = None
    machine: MachineFile = None
    as_: MachineSpec = field(default=None, name="as")
    quantization: Quantization = None
    context: Context = None
    parallel: Parallel = None
    kv_type: KvType = None
    lang: Lang = None


class FleetArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`fleet`."""

    folder: Annotated[
        str,
        Meta(
            min_length=1, max_length=MAX_PATH, description="Folder of reports; its subfolders are read too."
        ),
    ]
    model: Annotated[_Words | None, Meta(description="Who can run this model (a catalog name).")] = None
    what_if: Annotated[
        _Words | None,
        Meta(description="Compute the group anew with changed hardware: ram=32GB, channels=2, gpu=NAME."),
    ] = None
    include: Annotated[
        Literal["totals", "machines", "models"],
        Meta(
            description="How much: totals alone (`machines` and `models` stay empty), the machines too, or "
            "every model of every machine as well (large)."
        ),
    ] = "machines"
    lang: Lang = None
