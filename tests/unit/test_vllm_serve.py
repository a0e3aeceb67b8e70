"""vLLM on real servers: budget, split, verdict and the line that starts it."""

import re
from pathlib import Path
from typing import Any

import pytest

from probe.catalog.model_spec import ModelSpec
from probe.engines.request import Request
from probe.engines.vllm import Serving, lay_out, serve, serve_on, split_refusals
from probe.engines.vllm_budget import Budget, VllmGpu, budget_of, default_utilization, gpus_of
from probe.engines.vllm_command import serve_command
from probe.engines.vllm_requirements import vllm_verdict
from probe.engines.vllm_split import Parallel, stage_layers, weights_of_stages
from probe.estimate.weights.checkpoint import checkpoint_weights
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    Cpu,
    Host,
    Machine,
    Memory,
    NvidiaDriver,
    OperatingSystem,
    OsFamily,
)
from probe.messages import LANGUAGES, has
from probe.model_files.hf_config import spec_from_config
from probe.model_files.llama_cpp_form import as_llama_cpp_converts
from probe.units import GIB


def dense(model_type: str, *, hidden: int, layers: int, heads: int, width: int, vocabulary: int) -> ModelSpec:
    """A model of 8 key heads 128 wide, as Qwen3 and Llama 3 are published."""
    config = {
        "architectures": [{"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}[model_type]],
        "model_type": model_type, "torch_dtype": "bfloat16", "hidden_size": hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": width,
        "vocab_size": vocabulary, "max_position_embeddings": 131_072, "tie_word_embeddings": False,
    }  # fmt: skip
    return as_llama_cpp_converts(spec_from_config(config, model_id=f"org/{model_type}-{hidden}"))


QWEN3_8B = dense("qwen3", hidden=4_096, layers=36, heads=32, width=12_288, vocabulary=151_936)
QWEN3_14B = dense("qwen3", hidden=5_120, layers=40, heads=40, width=17_408, vocabulary=151_936)
QWEN3_32B = dense("qwen3", hidden=5_120, layers=64, heads=64, width=25_600, vocabulary=151_936)
LLAMA_70B = dense("llama", hidden=8_192, layers=80, heads=64, width=28_672, vocabulary=128_256)


def gpus(count: int, total_gib: float, capability: tuple[int, int], **more: Any) -> tuple[VllmGpu, ...]:
    return tuple(
        VllmGpu(device=f"gpu{index}", capability=capability, total_bytes=int(total_gib * GIB), **more)
        for index in range(count)
    )


RTX_3060 = gpus(1, 11.74, (8, 6))
TWO_RTX_3060 = gpus(2, 11.74, (8, 6))
T4 = gpus(1, 14.6, (7, 5))
GH200 = gpus(1, 94.57, (9, 0))
H200 = gpus(1, 139.8, (9, 0))
GB10 = gpus(1, 119.7, (12, 1), unified=True)
RTX_5090 = gpus(1, 31.84, (12, 0))


def served(spec: ModelSpec, quantization: str, on: tuple[VllmGpu, ...], **request: Any) -> Serving:
    answer = serve(spec, checkpoint_weights(spec, quantization), Request(**request), on)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("spec", "quantization", "on", "weights_gib", "kv_gib", "tokens"),
    [
        (QWEN3_14B, "awq", TWO_RTX_3060, 4.65, 4.4, 57_000),
        (QWEN3_8B, "awq", RTX_3060, 5.7, 3.6, 26_000),
        (QWEN3_8B, "awq", T4, 5.7, 6.2, 45_000),
        (LLAMA_70B, "fp8", GH200, 67.7, 15.3, 50_000),
        (LLAMA_70B, "fp8", H200, 67.7, 57.0, 186_000),
        (QWEN3_32B, "fp8", GB10, 32.0, 60.0, 245_000),
        (LLAMA_70B, "nvfp4", GB10, 39.8, 52.0, 170_000),
        (QWEN3_32B, "awq", RTX_5090, 18.0, 9.3, 38_000),
        (QWEN3_32B, "nvfp4", RTX_5090, 19.2, 8.05, 32_900),
    ],
)
def test_worked_servers_hold_what_was_computed_by_hand(  # noqa: PLR0917  # one column of the table each
    spec: ModelSpec,
    quantization: str,
    on: tuple[VllmGpu, ...],
    weights_gib: float,
    kv_gib: float,
    tokens: int,
) -> None:
    """Servers worked through by hand: weights from shapes, 0.92 (GB10 0.80) asked for, overhead by tier."""
    answer = served(spec, quantization, on, context=16_384)
    budget = answer.budgets[0]
    assert budget.weights_bytes / GIB == pytest.approx(weights_gib, abs=0.05)
    assert budget.kv_bytes.value / GIB == pytest.approx(kv_gib, abs=0.25)
    assert answer.kv_tokens == pytest.approx(tokens, rel=0.02)
    assert answer.fits is True


@pytest.mark.parametrize(
    ("spec", "quantization", "on", "code"),
    [
        (QWEN3_14B, "awq", RTX_3060, "vllm.kv_short"),  # 0.01 GiB left for the cache
        (QWEN3_32B, "awq", TWO_RTX_3060, "vllm.kv_short"),  # 9.0 GiB of weights, no room
        (QWEN3_8B, "fp16", T4, "vllm.weights_short"),  # 15.3 GiB
        (LLAMA_70B, "bf16", H200, "vllm.weights_short"),  # 131.4 of 128.6 GiB: needs two
        (QWEN3_8B, "Q4_K_M", T4, "vllm.format.plugin"),
        (QWEN3_8B, "mlx-4bit", RTX_3060, "vllm.format.not_supported"),
        (QWEN3_8B, "mxfp4", T4, "vllm.format.capability"),
    ],
)
def test_what_does_not_fit_says_why(
    spec: ModelSpec, quantization: str, on: tuple[VllmGpu, ...], code: str
) -> None:
    weights = checkpoint_weights(spec, "awq" if quantization == "Q4_K_M" else quantization)
    if quantization == "Q4_K_M":
        import msgspec

        weights = msgspec.structs.replace(weights, quantization="Q4_K_M")
    answer = serve(spec, weights, Request(context=8_192), on)
    assert answer is not None
    assert answer.fits is False
    assert code in [cause.code for cause in answer.causes]


def test_two_h200_hold_what_one_does_not() -> None:
    answer = served(LLAMA_70B, "bf16", gpus(2, 139.8, (9, 0)), context=8_192)
    assert answer.fits is True
    assert answer.parallel == Parallel(tp=2, pp=1)
    assert [device.device for device in answer.memory.per_device] == ["gpu0", "gpu1"]


def test_memory_of_a_placement_fits_exactly_when_the_budget_says_so() -> None:
    """What the page adds up per GPU is what vLLM asks for plus the context beside it."""
    for context in (1_024, 16_384, 57_000, 60_000, 120_000):
        answer = served(QWEN3_14B, "awq", TWO_RTX_3060, context=context)
        by_sum = all(
            (device.total_bytes or 0) <= (device.available_bytes or 0) for device in answer.memory.per_device
        )
        assert answer.fits is by_sum


def test_conversations_share_the_cache() -> None:
    one = served(QWEN3_14B, "awq", TWO_RTX_3060, context=8_192)
    six = served(QWEN3_14B, "awq", TWO_RTX_3060, context=8_192, parallel=6)
    assert (one.fits, six.fits) == (True, True)
    assert served(QWEN3_14B, "awq", TWO_RTX_3060, context=8_192, parallel=8).fits is False
    assert six.max_context is not None
    assert one.max_context is not None
    assert one.max_context / six.max_context == pytest.approx(6, rel=0.02)


def test_a_context_above_the_trained_length_does_not_fit_but_is_computed() -> None:
    answer = served(QWEN3_8B, "awq", H200, context=200_000)
    assert answer.fits is False
    assert "vllm.context_above_trained" in [cause.code for cause in answer.causes]
    assert answer.max_context == 131_072


def test_start_condition_needs_free_memory_not_total() -> None:
    """A desktop that takes 2 GiB: vLLM stops, a lower utilization starts."""
    busy = gpus(1, 31.84, (12, 0), free_bytes=int(28.9 * GIB))
    answer = served(QWEN3_32B, "awq", busy, context=8_192)
    assert (answer.fits, answer.fits_now) == (True, True)
    assert answer.budgets[0].starts is False
    assert answer.budgets[0].suggested_utilization == 0.89
    line = serve_command(QWEN3_32B, "awq", Request(context=8_192), answer).line
    assert "--gpu-memory-utilization 0.89" in line
    idle = served(QWEN3_32B, "awq", gpus(1, 31.84, (12, 0), free_bytes=int(30.12 * GIB)), context=8_192)
    assert idle.budgets[0].starts is True


def test_foreign_memory_that_leaves_no_room_is_said_now_not_for_ever() -> None:
    busy = gpus(1, 31.84, (12, 0), free_bytes=18 * GIB)
    answer = served(QWEN3_32B, "awq", busy, context=8_192)
    assert (answer.fits, answer.fits_now) == (True, False)


def test_utilization_default_changed_with_0_20() -> None:
    assert (default_utilization("0.19.1"), default_utilization("0.20.2"), default_utilization()) == (
        0.9,
        0.92,
        0.92,
    )


@pytest.mark.parametrize(
    ("layers", "stages", "expected"),
    [(32, 2, (16, 16)), (61, 4, (15, 15, 16, 15)), (62, 4, (15, 16, 16, 15)), (7, 3, (2, 3, 2))],
)
def test_a_remainder_of_layers_spares_the_last_stage(
    layers: int, stages: int, expected: tuple[int, ...]
) -> None:
    assert stage_layers(layers, stages) == expected


def test_shards_hold_all_weights_once() -> None:
    weights = checkpoint_weights(QWEN3_14B, "awq")
    total = weights.file_bytes - weights.mtp_bytes
    for parallel in (Parallel(), Parallel(tp=2), Parallel(pp=2), Parallel(tp=2, pp=4)):
        stages = weights_of_stages(weights, parallel, with_vision=False)
        assert sum(stages) * parallel.tp == pytest.approx(total, abs=parallel.gpus)


@pytest.mark.parametrize(
    ("spec", "quantization", "tp", "codes"),
    [
        (QWEN3_14B, "awq", 2, []),
        (QWEN3_14B, "awq", 3, ["vllm.split.heads", "vllm.split.kv_heads", "vllm.split.width"]),
        # 17,408 / 16 = 1,088 is no multiple of the group of 128; in 16 bits only the heads matter
        (QWEN3_14B, "awq", 16, ["vllm.split.heads", "vllm.split.width"]),
        (QWEN3_32B, "awq", 16, ["vllm.split.width"]),
        (QWEN3_32B, "bf16", 16, []),
    ],
)
def test_splits_that_do_not_divide_are_refused(
    spec: ModelSpec, quantization: str, tp: int, codes: list[str]
) -> None:
    assert [cause.code for cause in split_refusals(spec, quantization, tp)] == codes


def test_three_gpus_use_pipeline_parallel_or_two() -> None:
    """Qwen3-14B cannot be cut in three: two GPUs are enough here, pipeline takes three where needed."""
    assert served(QWEN3_14B, "awq", gpus(3, 11.74, (8, 6)), context=8_192).parallel == Parallel(tp=2)
    assert served(QWEN3_32B, "awq", gpus(3, 11.74, (8, 6)), context=4_096).parallel == Parallel(tp=1, pp=3)


def test_gemma_doubles_on_turing() -> None:
    """gemma2, gemma3 and glm4 refuse float16; without bfloat16 that leaves float32."""
    config = {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "torch_dtype": "bfloat16",
        "hidden_size": 1_152, "intermediate_size": 6_912, "num_attention_heads": 4, "num_hidden_layers": 26,
        "num_key_value_heads": 1, "sliding_window": 512, "max_position_embeddings": 32_768,
        "vocab_size": 262_144, "tie_word_embeddings": True,
    }  # fmt: skip
    gemma = as_llama_cpp_converts(spec_from_config(config, model_id="google/gemma-3-1b-it"))
    turing, ampere = served(gemma, "bf16", T4, context=8_192), served(gemma, "bf16", RTX_3060, context=8_192)
    assert turing.budgets[0].weights_bytes == 2 * ampere.budgets[0].weights_bytes
    assert "vllm.float32" in [cause.code for cause in turing.causes]
    assert "--dtype float32" in serve_command(gemma, "bf16", Request(context=8_192), turing).line


def test_the_line_sets_what_was_computed() -> None:
    answer = served(QWEN3_14B, "awq", TWO_RTX_3060, context=32_768)
    line = serve_command(QWEN3_14B, "awq", Request(context=32_768), answer).line
    assert line == "vllm serve org/qwen3-5120 --tensor-parallel-size 2 --max-model-len 32768"


def test_turing_is_started_in_half_precision() -> None:
    answer = served(QWEN3_8B, "awq", T4, context=32_768)
    assert serve_command(QWEN3_8B, "awq", Request(context=32_768), answer).line.endswith("--dtype half")


def test_layout_names_every_gpu_it_uses() -> None:
    memory = lay_out(QWEN3_14B, checkpoint_weights(QWEN3_14B, "awq"), Request(context=8_192), TWO_RTX_3060)
    assert memory is not None
    assert [device.device for device in memory.per_device] == ["gpu0", "gpu1"]


def test_a_given_split_is_taken_as_asked() -> None:
    weights = checkpoint_weights(QWEN3_14B, "awq")
    answer = serve_on(QWEN3_14B, weights, Request(context=8_192), TWO_RTX_3060, Parallel(tp=1, pp=2))
    assert answer.fits is True
    assert len(answer.budgets) == 2


# -- machines -----------------------------------------------------------------


def gpu(name: str, capability: str | None, memory_gib: float, **more: Any) -> Accelerator:
    return Accelerator(
        index=more.pop("index", 0),
        kind=more.pop("kind", AcceleratorKind.DISCRETE),
        vendor=more.pop("vendor", "nvidia"),
        name=name,
        state=more.pop("state", AcceleratorState.USABLE),
        compute_capability=capability,
        memory_total_bytes=int(memory_gib * GIB),
        **more,
    )


def machine(*devices: Accelerator, driver: str | None = "580.95.05", **system: Any) -> Machine:
    architecture = system.pop("architecture", "x86_64")
    isa = system.pop("isa", ("avx2",))
    return Machine(
        host=Host(os=OperatingSystem(**{"family": OsFamily.LINUX, "glibc": "2.35", **system})),
        cpu=Cpu(architecture=architecture, isa=isa),
        memory=Memory(total_bytes=64 * GIB, available_bytes=50 * GIB),
        accelerators=devices,
        nvidia=NvidiaDriver(driver_version=driver) if driver else None,
    )


P100 = gpu("Tesla P100-PCIE-12GB", "6.0", 12)
TITAN_V = gpu("TITAN V", "7.0", 12)
GH200_96 = gpu("NVIDIA GH200 480GB", "9.0", 96)
TESLA_T4 = gpu("Tesla T4", "7.5", 15)
RTX_3090 = gpu("NVIDIA GeForce RTX 3090", "8.6", 24)
RTX_4090 = gpu("NVIDIA GeForce RTX 4090", "8.9", 24)
B300 = gpu("NVIDIA B300", "10.3", 280)
SPARK = gpu("NVIDIA GB10", "12.1", 119, kind=AcceleratorKind.UNIFIED, memory_shared=True)
THOR = gpu("NVIDIA Thor", "11.0", 128, kind=AcceleratorKind.UNIFIED, memory_shared=True)


@pytest.mark.parametrize(
    ("where", "verdict", "version", "codes"),
    [
        (machine(RTX_4090), "ok", "0.33.0", []),
        (machine(B300), "ok", "0.33.0", []),
        (machine(SPARK, architecture="aarch64"), "ok", "0.33.0", []),
        (machine(THOR, architecture="aarch64"), "ok", "0.33.0", []),
        (machine(TESLA_T4, driver="580.82.07"), "limited", "0.33.0", ["turing"]),
        # the aarch64 wheel has no 7.5 code, and releases before 0.20 bring a torch without CUDA there
        (machine(TESLA_T4, architecture="aarch64"), "no", None, ["capability"]),
        (machine(GH200_96, architecture="aarch64", driver="570.172.08"), "no", None, ["driver"]),
        (machine(RTX_3090, driver="550.54.15"), "limited", "0.19.1", ["older_release", "driver"]),
        (machine(TITAN_V), "limited", "0.19.1", ["older_release", "capability", "turing"]),
        (machine(P100), "no", None, ["capability"]),
        (machine(P100, driver="470.82.01"), "no", None, ["driver", "capability"]),
        (machine(RTX_4090, glibc="2.17"), "no", None, ["glibc"]),
        (machine(RTX_4090, driver=None), "unknown", "0.33.0", ["driver_unknown"]),
        (machine(gpu("NVIDIA X", None, 24)), "unknown", "0.33.0", ["capability_unknown"]),
        (machine(RTX_4090, wsl=2), "ok", "0.33.0", []),
        (machine(RTX_4090, wsl=1), "no", None, ["wsl2"]),
        (machine(RTX_4090, family=OsFamily.WINDOWS), "no", None, ["windows"]),
        (machine(family=OsFamily.MACOS), "no", None, ["macos"]),
        (machine(RTX_4090, architecture="ppc64le"), "no", None, ["architecture"]),
        (machine(gpu("NVIDIA GeForce RTX 4090", "8.9", 24, state=AcceleratorState.NO_DRIVER)), "no", None,
         ["usable_gpu"]),
        (machine(gpu("AMD Instinct MI300X", None, 192, vendor="amd")), "limited", None, ["amd_build"]),
        (machine(gpu("Intel Arc B580", None, 12, vendor="intel")), "limited", None, ["intel_build"]),
        (machine(), "limited", None, ["cpu_build"]),
        (machine(isa=("sse4_2",)), "no", None, ["cpu_isa"]),
    ],
)  # fmt: skip
def test_may_vllm_be_installed_here(
    where: Machine, verdict: str, version: str | None, codes: list[str]
) -> None:
    """Wheels of 0.33.0 (CUDA 13, driver 580, code from 7.5, aarch64 8.0), 0.19.1 (CUDA 12, 525, 7.0)."""
    answer = vllm_verdict(where)
    assert answer.verdict == verdict
    assert (answer.release.version if answer.release else None) == version
    assert [cause.code.removeprefix("vllm.needs.") for cause in answer.causes] == codes


def test_shared_memory_is_asked_of_the_system() -> None:
    """GB10: vLLM takes free memory from psutil, and 0.80 instead of 0.92 is asked for."""
    found = gpus_of(machine(SPARK, architecture="aarch64"))
    assert found[0].unified
    assert (found[0].total_bytes, found[0].free_bytes) == (64 * GIB, 50 * GIB)
    assert budget_of(found[0], 0, tp=1).utilization == 0.8


def test_gpus_without_known_memory_or_capability_are_left_out() -> None:
    assert gpus_of(machine(gpu("NVIDIA X", None, 24), gpu("AMD", "9.0", 24, vendor="amd", index=1))) == ()


def test_cuda_sees_less_than_the_driver_reports() -> None:
    found = gpus_of(machine(gpu("Tesla T4", "7.5", 15, memory_reserved_bytes=400_000_000)))
    assert found[0].total_bytes == 15 * GIB - 400_000_000


def test_every_code_has_a_sentence_in_both_languages() -> None:
    folder = Path(__file__).parent.parent.parent / "probe" / "engines"
    codes = {
        code
        for path in folder.glob("vllm*.py")
        for code in re.findall(r'"(vllm\.[a-z_0-9.]+)"', path.read_text(encoding="utf-8"))
        if not code.endswith(".")
    }
    kinds = ("unsupported_architecture", "max_model_len", "heads", "kv_heads", "groups", "quant_unsupported",
             "no_backend", "fp8_unsupported")  # fmt: skip
    codes |= {f"vllm.refused.{kind}" for kind in kinds}
    codes |= {f"vllm.needs.{vendor}_build" for vendor in ("amd", "intel")}
    missing = [(code, lang) for code in sorted(codes) for lang in LANGUAGES if not has(code, lang)]
    assert missing == []


def test_budget_never_promises_negative_memory() -> None:
    budget: Budget = budget_of(T4[0], 100 * GIB, tp=1)
    assert (budget.kv_bytes.low, budget.kv_bytes.value, budget.kv_bytes.high) == (0, 0, 0)
