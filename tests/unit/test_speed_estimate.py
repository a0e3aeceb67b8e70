"""What the speed estimate must get right whatever its constants are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.catalog.models import find_model
from probe.catalog.speed_constants import speed_constants
from probe.estimate.roofline import decode_limit
from probe.estimate.speed import depth_tokens, estimate_speed
from probe.estimate.speed_class import class_keys, cores, isa_class, kernel_class
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.weights import gguf_weights
from probe.machine import Range
from probe.machine.accelerator import ComputeRates
from probe.machine.ranges import exact

MODEL = find_model("llama-3.1-8b")
WEIGHTS = gguf_weights(MODEL, "Q4_K_M")
GB = 10**9


def gpu(**changes: object) -> SpeedDevice:
    """An RTX 4090 that holds all of the model."""
    device = SpeedDevice(
        device="gpu0",
        vendor="nvidia",
        backend="cuda",
        name="NVIDIA GeForce RTX 4090",
        architecture="Ada Lovelace",
        compute_capability="8.9",
        bandwidth=exact(1008 * GB, "catalog"),
        compute=ComputeRates(fp32_tflops=82.58, fp16_tflops=330.3, bf16_tflops=165.2),
        active_weight_bytes=WEIGHTS.active_bytes,
        kv_bytes=268_435_456,
        layers=32,
    )
    return msgspec.structs.replace(device, **changes)


def cpu(**changes: object) -> SpeedDevice:
    """An i5-8500 with two DDR4-2666 modules."""
    device = SpeedDevice(
        device="cpu",
        vendor="intel",
        backend="cpu",
        name="i5-8500",
        bandwidth=exact(42.656 * GB, "modules"),
        usable_cores=6,
        physical_cores=6,
        logical_cores=6,
        isa=("avx", "avx2", "fma"),
        active_weight_bytes=WEIGHTS.active_bytes,
        kv_bytes=268_435_456,
        layers=32,
    )
    return msgspec.structs.replace(device, **changes)


def value(*devices: SpeedDevice, split: str = "none") -> float:
    decode = estimate_speed(MODEL, WEIGHTS, devices, split=split).decode_tokens_per_s
    assert decode is not None
    return decode.value


@given(
    bandwidth=st.floats(5 * GB, 5000 * GB),
    cores_=st.integers(1, 128),
    weights=st.integers(10**6, 10**12),
    kv=st.integers(0, 10**11),
    layers=st.integers(1, 130),
)
def test_no_estimate_beats_the_memory(
    bandwidth: float, cores_: int, weights: int, kv: int, layers: int
) -> None:
    """Bandwidth over bytes is the bound; low, middle and high stay in order."""
    rate = exact(bandwidth, "catalog")
    for device in (gpu(bandwidth=rate), cpu(bandwidth=rate, usable_cores=cores_, physical_cores=cores_)):
        own = msgspec.structs.replace(device, active_weight_bytes=weights, kv_bytes=kv, layers=layers)
        figures = estimate_speed(MODEL, WEIGHTS, (own,))
        decode, limit = figures.decode_tokens_per_s, figures.decode_limit_tokens_per_s
        assert decode is not None
        assert limit is not None
        assert 0 < decode.low <= decode.value <= decode.high
        assert decode.value <= limit * (1 + 1e-9)


@given(more=st.floats(1.01, 20))
def test_faster_memory_and_smaller_models_are_never_slower(more: float) -> None:
    base = gpu()
    assert base.bandwidth is not None
    faster = gpu(bandwidth=base.bandwidth.scaled(more))
    smaller = gpu(active_weight_bytes=round(WEIGHTS.active_bytes / more))
    assert value(faster) >= value(base)
    assert value(smaller) >= value(base)


def test_one_memory_module_costs_about_half_the_speed() -> None:
    """The office PC's main unknown: SPEED.md's single-DIMM case."""
    one, two = cpu(bandwidth=exact(21.328 * GB, "modules")), cpu()
    assert 0.45 < value(one) / value(two) < 0.75


def test_range_of_the_bandwidth_widens_the_range_of_the_speed() -> None:
    unknown = cpu(bandwidth=Range(low=21 * GB, value=35 * GB, high=43 * GB, basis="prior"))
    known = cpu(bandwidth=exact(35 * GB, "modules"))
    wide = estimate_speed(MODEL, WEIGHTS, (unknown,)).decode_tokens_per_s
    narrow = estimate_speed(MODEL, WEIGHTS, (known,)).decode_tokens_per_s
    assert wide is not None
    assert narrow is not None
    assert wide.value == pytest.approx(narrow.value)
    assert wide.low < narrow.low
    assert wide.high > narrow.high


def test_unknown_bandwidth_gives_no_figure() -> None:
    figures = estimate_speed(MODEL, WEIGHTS, (gpu(bandwidth=None, compute=None),))
    assert figures.decode_tokens_per_s is None
    assert figures.decode_limit_tokens_per_s is None
    assert figures.time_to_first_token_s is None


def test_layer_split_adds_no_decode_bandwidth() -> None:
    """Two cards that share the layers take the sum of their times: 2 x 3090 run at 0.97 of one."""
    half = gpu(active_weight_bytes=WEIGHTS.active_bytes // 2, kv_bytes=134_217_728, layers=16)
    pair = (half, msgspec.structs.replace(half, device="gpu1"))
    assert 0.90 < value(*pair, split="layer") / value(gpu()) < 1.0


def test_tensor_split_reads_at_the_same_time_and_pays_for_every_exchange() -> None:
    half = gpu(active_weight_bytes=WEIGHTS.active_bytes // 2, kv_bytes=134_217_728, layers=16)
    pair = (half, msgspec.structs.replace(half, device="gpu1"))
    assert 1.0 < value(*pair, split="tensor") / value(gpu()) < 2.0
    limit = decode_limit(pair, together=True)
    alone = decode_limit((gpu(),))
    assert limit is not None
    assert alone is not None
    assert limit == pytest.approx(2 * alone)


def test_offloaded_layers_are_at_most_the_sum_of_both_parts() -> None:
    """SPEED.md: reality is 0.6 to 0.9 of what both parts' times add up to."""
    on_gpu = gpu(active_weight_bytes=WEIGHTS.active_bytes // 2, layers=16)
    on_cpu = cpu(active_weight_bytes=WEIGHTS.active_bytes // 2, layers=16, kv_bytes=0)
    decode = estimate_speed(MODEL, WEIGHTS, (on_gpu, on_cpu), split="layer").decode_tokens_per_s
    assert decode is not None
    assert decode.basis == "offload"
    assert value(cpu()) < decode.value < value(gpu())
    assert 0.6 <= decode.value / decode.high <= 0.9


def test_memory_over_the_link_is_read_at_the_links_rate() -> None:
    """GH200: what exceeds HBM is read over NVLink-C2C, not at HBM's rate and not at nothing."""
    hbm = gpu(bandwidth=exact(4000 * GB, "catalog"), active_weight_bytes=40 * GB, kv_bytes=0)
    beyond = SpeedDevice(
        device="c2c",
        vendor="nvidia",
        backend="cuda",
        name="NVLink-C2C",
        bandwidth=exact(500 * GB, "catalog"),
        link_bytes_per_s=450e9,
        active_weight_bytes=45 * GB,
    )
    assert decode_limit((hbm, beyond)) == pytest.approx(1 / (40 / 4000 + 45 / 450))


def test_hyper_threads_do_not_count_and_small_cores_count_half() -> None:
    """12th gen laptop: 4 performance cores with two threads, 8 efficiency cores."""
    assert cores(cpu(physical_cores=12, logical_cores=16, usable_cores=16)) == 8
    assert cores(cpu(physical_cores=6, logical_cores=12, usable_cores=12)) == 6
    assert cores(cpu(physical_cores=8, logical_cores=16, usable_cores=2)) == 2


def test_few_cores_bound_decoding() -> None:
    """A container with one core of a fast machine."""
    fast = exact(300 * GB, "modules")
    one = cpu(bandwidth=fast, usable_cores=1)
    six = cpu(bandwidth=fast, usable_cores=6)
    assert value(six) > 2 * value(one)


def test_batching_shares_the_weights() -> None:
    """Published: 8 conversations reach 6.7 times one on a dense model (GB10, Qwen2.5-7B Q8_0)."""
    figures = estimate_speed(MODEL, WEIGHTS, (gpu(),), parallel=8)
    one = figures.decode_tokens_per_s
    assert one is not None
    assert figures.aggregate_tokens_per_s is not None
    assert 4 < figures.aggregate_tokens_per_s / one.value <= 8


def test_first_token_is_the_prompt_and_one_token() -> None:
    figures = estimate_speed(MODEL, WEIGHTS, (cpu(),))
    prompt, decode = figures.prefill_tokens_per_s, figures.decode_tokens_per_s
    assert prompt is not None
    assert decode is not None
    assert figures.time_to_first_token_s == pytest.approx(2000 / prompt.value + 1 / decode.value)


@pytest.mark.parametrize(("context", "depth"), [(8192, 2048), (4096, 2048), (2000, 1000), (1, 0)])
def test_depth_is_2048_or_half_the_context(context: int, depth: int) -> None:
    assert depth_tokens(context) == depth


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("Q4_K_M", "k4"),
        ("UD-Q4_K_XL", "k4"),
        ("q8_0", "q8"),
        ("BF16", "f16"),
        ("IQ2_XXS", "iq"),
        ("Q3_K_S", "k23"),
        ("Q4_0", "q4"),
        ("IQ4_NL", "q4"),
        ("Q5_0", "q5"),
        ("Q5_1", "q41"),
        ("MXFP4_MOE", "fp4"),
        ("IQ4_XS", "iq4"),
    ],
)
def test_kernel_class_of_a_quantization(name: str, kernel: str) -> None:
    assert kernel_class(name) == kernel


@pytest.mark.parametrize(
    ("isa", "label"),
    [
        (("sse3", "avx", "avx2", "avx512f", "amx_int8"), "amx"),
        (("avx2", "avx512bw"), "avx512"),
        (("avx2", "avx_vnni"), "avxvnni"),
        (("avx", "avx2"), "avx2"),
        (("asimd", "asimddp", "i8mm"), "i8mm"),
        (("sse3",), "base"),
        ((), "avx2"),  # a processor that nobody named is a common one
    ],
)
def test_instruction_set_class(isa: tuple[str, ...], label: str) -> None:
    assert isa_class(isa) == label


def test_a_device_of_an_unknown_generation_takes_its_parents_constants() -> None:
    new = gpu(architecture="Rubin", compute_capability="14.0")
    assert class_keys(new) == ("", "nvidia", "nvidia/cuda")
    assert 0.5 < value(new) / value(gpu()) < 1.5


def test_estimate_is_fast_enough_for_hundreds_of_models() -> None:
    """A report estimates some hundreds of placements in a budget of milliseconds."""
    import time

    devices = (gpu(),)
    estimate_speed(MODEL, WEIGHTS, devices)
    best = min(_seconds(devices, time.perf_counter) for _ in range(20))
    assert (
        best < 1e-3
    )  # 45 us on an idle computer; with coverage counted on Python 3.10 about four times that


def _seconds(devices: tuple[SpeedDevice, ...], clock: object) -> float:
    assert callable(clock)
    began = clock()
    for _ in range(20):
        estimate_speed(MODEL, WEIGHTS, devices)
    return float((clock() - began) / 20)


def test_constants_say_where_they_come_from() -> None:
    constants = speed_constants()
    assert constants.script == "scripts/fit_speed.py"
    assert constants.data.split() == ["catalogs/benchmarks/speed.csv", "catalogs/benchmarks/speed_2026.csv"]
    assert constants.decode_spread[""].low < 1 < constants.decode_spread[""].high
