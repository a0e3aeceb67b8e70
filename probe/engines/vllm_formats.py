"""Which weight formats vLLM loads on which GPU: our names of formats, vLLM's names of methods.

Minimum capabilities and plugins: catalogs/engines/vllm_quantization.json.
"""

from functools import cache
from typing import Final

from probe.catalog.quantizations import all_recipes
from probe.catalog.vllm_quantization import QuantizationMethod, method_named
from probe.messages.reason import Reason

# catalog rows by the name a config.json or our format catalog uses
_METHOD_ROWS: Final = {
    "auto_awq": "awq",
    "awq_marlin": "awq",
    "auto_gptq": "gptq",
    "gptq_marlin": "gptq",
    "gptq-int4": "gptq",
    "gptq-int8": "gptq",
    "compressed-tensors": "compressed_tensors_w4a16",
    "w4a16": "compressed_tensors_w4a16",
    "int4-experts": "compressed_tensors_w4a16",
    "mxfp4-fp8": "mxfp4",
    "int8": "int8_w8a8",
    "fp8-block": "fp8",
    "deepseek_v4_fp8": "fp8",
    "modelopt": "modelopt_fp8",
    "modelopt_fp4": "nvfp4",
    "modelopt_mxfp8": "mxfp8",
    "gpt_oss_mxfp4": "mxfp4",
    "inc": "inc_autoround",
    "auto-round": "inc_autoround",
    "bnb-nf4": "bitsandbytes",
    "bnb-nf4-double": "bitsandbytes",
    "bnb-int8": "bitsandbytes",
}
_FAMILIES: Final = (("mlx-", "mlx"), ("exl2-", "exl2_exl3"), ("exl3-", "exl2_exl3"))
_DTYPES: Final = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_PLAIN: Final = ("bf16", "fp16", "fp32")
_NO_METHOD: Final = ("bitnet ternary packed",)  # published formats that no registered method reads


@cache
def _gguf_names() -> frozenset[str]:
    return frozenset(recipe.name for recipe in all_recipes())


def _is_gguf(quantization: str) -> bool:
    return quantization in _gguf_names() or quantization == "gguf"


def method_row(name: str) -> QuantizationMethod | None:
    """The catalog row of a method or format name; None for 16-bit weights and names nobody listed."""
    for prefix, row in _FAMILIES:
        if name.startswith(prefix):
            return method_named(row)
    return method_named(_METHOD_ROWS.get(name, name))


def lowest_capability(name: str) -> str | None:
    """Compute capability below which vLLM refuses the method; None where nothing is asked or known."""
    row = method_row(name)
    return row.min_cc if row is not None else None


def is_below(capability: tuple[int, int], least: str | None) -> bool:
    """Whether a compute capability is below a written one."""
    if least is None:
        return False
    major, _, minor = least.partition(".")
    return capability < (int(major), int(minor or 0))


def format_refusal(quantization: str, capability: tuple[int, int]) -> Reason | None:
    """Why vLLM as installed cannot load this weight format on this GPU; None when it can."""
    if quantization in _PLAIN:
        return None
    row = method_named("gguf") if _is_gguf(quantization) else method_row(quantization)
    if row is None:
        return None if quantization not in _NO_METHOD else _not_supported(quantization)
    if row.plugin is not None:
        plugin = row.plugin.split(" ", maxsplit=1)[0]
        return Reason(code="vllm.format.plugin", values={"format": quantization, "plugin": plugin})
    if row.use_instead is not None or (row.min_cc is None and not row.support):
        return _not_supported(quantization)
    if not is_below(capability, row.min_cc):
        return None
    return Reason(
        code="vllm.format.capability",
        values={"format": quantization, "least": row.min_cc, "capability": written(capability)},
    )


def _not_supported(quantization: str) -> Reason:
    return Reason(code="vllm.format.not_supported", values={"format": quantization})


def dtype_refusal(quantization: str, dtype: str | None) -> Reason | None:
    """Why a format cannot compute in the data type that the model gets here; None when it can.

    Source: vllm 0.32.0, config/vllm.py (get_supported_act_dtypes of each method).
    """
    row = None if quantization in _PLAIN else method_row(quantization)
    name = _DTYPES.get(dtype or "")
    if row is None or name is None or not row.activation_dtypes or name in row.activation_dtypes:
        return None
    return Reason(code="vllm.format.dtype", values={"format": quantization, "dtype": dtype})


def written(capability: tuple[int, int]) -> str:
    """Compute capability as it is written: `8.9`."""
    return f"{capability[0]}.{capability[1]}"
