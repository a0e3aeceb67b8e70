"""Single rules of the speed model, whatever its constants are."""

import math

import msgspec
import pytest

from probe.catalog.models import find_model
from probe.catalog.speculative import speculative_table
from probe.catalog.speed_constants import SpeedConstants, speed_constants
from probe.engines.llama_cpp import hparams_of
from probe.estimate.speculative import RoundCost, best_drafted, expected_tokens, verify_share
from probe.estimate.speed import estimate_speed, experts_touched, prompt_figures, prompt_shape
from probe.estimate.speed_bytes import kv_read_bytes
from probe.estimate.speed_calibration import RunInputs, fit_shifts, run_decode_speed, run_prompt_speed
from probe.estimate.speed_class import cores, wideness
from probe.estimate.speed_decode import decode_times
from probe.estimate.speed_device import Shifts, SpeedDevice
from probe.estimate.speed_prompt import chain_seconds, matrix_ratio, overlaps, prompt_seconds
from probe.estimate.weights import gguf_weights
from probe.machine.accelerator import ComputeRates
from probe.machine.ranges import Range, exact

MODEL = find_model("llama-3.1-8b")
WEIGHTS = gguf_weights(MODEL, "Q4_K_M")
SHAPE = prompt_shape(MODEL)
CACHE = 268_435_456  # 2,048 tokens of 128 KiB
GPU = SpeedDevice(
    device="gpu0",
    vendor="nvidia",
    backend="cuda",
    name="NVIDIA GeForce RTX 4090",
    architecture="Ada Lovelace",
    compute_capability="8.9",
    bandwidth=exact(1008e9, "catalog"),
    compute=ComputeRates(fp32_tflops=82.58, fp16_tflops=330.3, bf16_tflops=165.2),
    active_weight_bytes=WEIGHTS.active_bytes,
    kv_bytes=CACHE,
    layers=32,
)
CPU = SpeedDevice(
    device="cpu",
    vendor="intel",
    backend="cpu",
    name="i5-8500",
    bandwidth=exact(42.656e9, "modules"),
    usable_cores=6,
    physical_cores=6,
    logical_cores=6,
    isa=("avx", "avx2"),
    active_weight_bytes=WEIGHTS.active_bytes,
    kv_bytes=CACHE,
    layers=32,
)


def cpu(**changes: object) -> SpeedDevice:
    return msgspec.structs.replace(CPU, **changes)


def decode(device: SpeedDevice, **asked: bool) -> float:
    found = estimate_speed(MODEL, WEIGHTS, (device,), **asked).decode_tokens_per_s  # type: ignore[arg-type]  # switches only
    assert found is not None
    return found.value


def run(
    quantization: str = "Q4_K_M", *, size: int = 1, flash_attention: bool = True, old_build: bool = False
) -> RunInputs:
    """A run of `probe bench` with Llama 3.1 8B, or a model so many times smaller."""
    return RunInputs(
        device="cpu",
        quantization=quantization,
        weight_bytes=WEIGHTS.active_bytes // size,
        batch_bytes=WEIGHTS.active_bytes // size,
        kv_bytes=CACHE,
        layers=32 // size,
        operations=SHAPE.operations / size,
        attention_width=SHAPE.attention_width / size,
        sliding_width=0.0,
        window=0,
        experts=False,
        prompt_tokens=512,
        threads=None,
        flash_attention=flash_attention,
        old_build=old_build,
        attention_per_cache_byte=SHAPE.attention_per_cache_byte,
    )


def test_tokens_together_read_the_experts_that_any_of_them_needs() -> None:
    """Qwen3-30B-A3B uses 8 of 128: two tokens touch 15.5 on average, very many touch all."""
    spec = find_model("qwen3-30b-a3b")
    weights = gguf_weights(spec, "Q4_K_M")
    experts = sum(weights.layer_experts)
    more = [(experts_touched(spec, weights, tokens) - 1) * weights.active_bytes for tokens in (1, 2, 10_000)]
    assert more == pytest.approx([0, experts * 7.5 / 128, experts * 120 / 128], abs=1)


def test_models_without_experts_read_no_more_for_many_tokens() -> None:
    assert experts_touched(MODEL, WEIGHTS, 512) == 1.0


@pytest.mark.parametrize("device", [GPU, CPU])
def test_the_newest_engine_is_meant_unless_an_old_one_is_named(device: SpeedDevice) -> None:
    assert decode(device) == decode(device, old_build=False) != decode(device, old_build=True)
    constants = speed_constants()
    plain = decode_times(device, constants, kernel="k4", experts=False)
    assert plain == decode_times(device, constants, kernel="k4", experts=False, old_build=False)
    prompt = prompt_figures(MODEL, WEIGHTS, (device,))
    assert prompt == prompt_figures(MODEL, WEIGHTS, (device,), old_build=False)
    assert prompt != prompt_figures(MODEL, WEIGHTS, (device,), old_build=True)


def test_flash_attention_is_meant_unless_it_is_switched_off() -> None:
    plain, on, off = (
        prompt_seconds(
            GPU, speed_constants(), SHAPE, tokens=512, kernel="k4", weight_bytes=0.0, depth=8192.0, **asked
        )
        for asked in ({}, {"without_flash_attention": False}, {"without_flash_attention": True})
    )
    assert plain is not None
    assert off is not None
    assert plain == on
    assert plain < off


@pytest.mark.parametrize(
    ("name", "operations", "window"),
    [
        # 2 x (parameters less the input table and the head): 128,256 rows of 4,096 and of 2,048.
        ("llama-3.1-8b", 2 * (8_030_261_248 - 2 * 128_256 * 4096), 0),
        ("llama-3.2-1b", 2 * (1_235_814_400 - 128_256 * 2048), 0),
        ("gemma-3-4b", None, 1024),
        ("llama-4-scout", None, 8192),
    ],
)
def test_a_prompt_token_costs_its_matrices_and_sees_its_window(
    name: str, operations: int | None, window: int
) -> None:
    """config.json: tied or two tables; sliding_window, and attention_chunk_size of Llama 4."""
    shape = prompt_shape(find_model(name))
    assert shape.window == window
    if operations is not None:
        assert shape.operations == pytest.approx(operations, rel=1e-6)


def test_a_layer_with_a_window_reads_no_more_than_the_window() -> None:
    """Gemma 3 4B: 29 of 34 layers see 1,024 tokens; 4 heads of 256, keys and values of two bytes."""
    h = hparams_of(find_model("gemma-3-4b"))
    row = 2 * 2 * 4 * 256
    assert kv_read_bytes(h, 512) == 34 * 512 * row
    assert kv_read_bytes(h, 32_768) == (29 * 1024 + 5 * 32_768) * row


def test_explained_parts_add_up_to_the_figure() -> None:
    figures = estimate_speed(MODEL, WEIGHTS, (GPU,))
    told = figures.inputs
    parts = [told[part] for part in ("weights_s", "cache_s", "overhead_s")]
    assert all(isinstance(part, float) and part > 0 for part in parts)
    assert figures.decode_tokens_per_s is not None
    assert sum(map(float, parts)) == pytest.approx(1 / figures.decode_tokens_per_s.value)
    assert (told["bandwidth_bytes_per_s"], told["bandwidth_basis"]) == (1008e9, "catalog")
    assert told["weight_bytes"] == WEIGHTS.active_bytes


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        # Intel N100: four efficiency cores and no others.
        ({"architecture": "Alder Lake-N", "physical_cores": 4, "logical_cores": 4, "usable_cores": 4}, 2.0),
        ({"architecture": "Alder Lake-N", "physical_cores": 8, "logical_cores": 8, "usable_cores": 2}, 1.0),
        # i5-1240P, nothing known of what may be used: 4 large, 8 small.
        ({"physical_cores": 12, "logical_cores": 16, "usable_cores": None}, 8.0),
        ({"physical_cores": None, "logical_cores": None, "usable_cores": None}, None),
    ],
)
def test_efficiency_cores_count_half(changes: dict[str, object], count: float | None) -> None:
    assert cores(cpu(**changes)) == count


def test_a_processor_of_unknown_cores_is_one_of_six() -> None:
    """The median of what benchmarks list; fast memory, so that the cores decide."""
    fast = exact(150e9, "measured")
    unknown = cpu(bandwidth=fast, physical_cores=None, logical_cores=None, usable_cores=None)
    assert decode(unknown) == decode(cpu(bandwidth=fast))


def test_only_memory_that_outruns_the_cores_ports_is_wide() -> None:
    """A laptop's LPDDR5X-8533 against a desktop's DDR4; a measured rate has the ports in it."""
    fast = 136.5e9
    assert wideness(cpu(bandwidth=exact(fast, "modules"))) > 0.5
    assert wideness(CPU) < 0.1
    assert wideness(cpu(bandwidth=exact(fast, "measured"))) == 0
    assert wideness(GPU) == 0.0


ARC = SpeedDevice(
    device="gpu0",
    vendor="intel",
    backend="sycl",
    architecture="Xe-HPG",
    compute=ComputeRates(fp32_tflops=19.66, fp16_tflops=157.3),
)
RADEON = SpeedDevice(
    device="gpu0",
    vendor="amd",
    backend="vulkan",
    architecture="RDNA 3.0",
    compute=ComputeRates(fp32_tflops=61.39, fp16_tflops=122.8),
)


@pytest.mark.parametrize(
    ("device", "ratio"),
    [
        (GPU, 330.3 / 82.58),
        (msgspec.structs.replace(GPU, compute=ComputeRates(fp32_tflops=11.3)), 1.0),  # no matrix units
        (ARC, 8.0),
        (msgspec.structs.replace(ARC, backend="vulkan"), 1.0),  # left alone before Xe2
        (msgspec.structs.replace(ARC, backend="vulkan", architecture="Xe2-HPG"), 8.0),
        (RADEON, 4.0),  # its FP32 rate counts two operations issued at once
        (CPU, 1.0),
    ],
)
def test_matrix_units_count_where_the_engine_uses_them(device: SpeedDevice, ratio: float) -> None:
    assert matrix_ratio(device, {}) == pytest.approx(ratio, rel=2e-3)


@pytest.mark.parametrize("compute", [None, ComputeRates(fp16_tflops=22.0)])
def test_a_gpu_without_rates_gets_the_usual_ratio_of_its_generation(compute: ComputeRates | None) -> None:
    unknown = msgspec.structs.replace(GPU, compute=compute)
    assert matrix_ratio(unknown, {"nvidia": 4.0, "nvidia:ada": 5.0}) == 5.0
    assert matrix_ratio(unknown, {"nvidia": 4.0}) == 4.0
    assert matrix_ratio(unknown, {}) == 1.0
    assert speed_constants().matrix_ratio["intel:xe2-hpg"] == 8.0


@pytest.mark.parametrize("flash_attention", [True, False])
@pytest.mark.parametrize("old_build", [True, False])
def test_a_run_is_computed_as_the_estimate_is(flash_attention: bool, old_build: bool) -> None:
    """Else a machine measured without flash attention would be calibrated as a slow one."""
    inputs = run(flash_attention=flash_attention, old_build=old_build)
    constants = speed_constants()
    expected = decode(CPU, flash_attention=flash_attention, old_build=old_build)
    assert run_decode_speed(CPU, inputs, constants) == pytest.approx(expected)
    prompt = prompt_figures(
        MODEL, WEIGHTS, (CPU,), tokens=512, flash_attention=flash_attention, old_build=old_build
    )
    assert prompt is not None
    assert run_prompt_speed(CPU, inputs, constants) == pytest.approx(prompt.value)


def misfit(
    shifts: Shifts, device: SpeedDevice, runs: list[tuple[RunInputs, float]], constants: SpeedConstants
) -> float:
    """Half the negative logarithm of how likely these shifts are, up to a constant."""
    sd = constants.decode.device_sd
    assert device.bandwidth is not None
    doubt = math.hypot(sd["efficiency"], math.log(device.bandwidth.high / device.bandwidth.low) / 2.56)
    total = (shifts.efficiency / doubt) ** 2
    total += (shifts.kernel / sd["kernel"]) ** 2 + (shifts.layer / sd["layer"]) ** 2
    for inputs, speed in runs:
        own = run_decode_speed(msgspec.structs.replace(device, shifts=shifts), inputs, constants)
        assert own is not None
        total += (math.log(own / speed) / sd["noise"]) ** 2
    return total


@pytest.mark.parametrize(
    "bandwidth", [exact(42.656e9, "modules"), Range(low=18e9, value=30e9, high=42.656e9, basis="prior")]
)
@pytest.mark.parametrize("real", [(-0.3, 0.4, 0.5), (0.1, -0.5, 0.8), (-0.6, 0.0, 0.0)])
def test_no_other_shifts_explain_the_measured_runs_better(
    bandwidth: Range, real: tuple[float, float, float]
) -> None:
    """Three runs of a device that differs from its class; Gaussian spreads around the class."""
    device, constants = cpu(bandwidth=bandwidth), speed_constants()
    own = msgspec.structs.replace(device, shifts=Shifts(efficiency=real[0], kernel=real[1], layer=real[2]))
    runs = []
    for inputs in (run(), run("Q8_0"), run(size=16)):
        speed = run_decode_speed(own, inputs, constants)
        assert speed is not None
        runs.append((inputs, speed))
    found = fit_shifts(device, runs, constants)
    best = misfit(found, device, runs, constants)
    assert best < misfit(Shifts(), device, runs, constants)
    for name in ("efficiency", "kernel", "layer"):
        for step in (-0.02, 0.02):
            other = msgspec.structs.replace(found, **{name: getattr(found, name) + step})
            assert best < misfit(other, device, runs, constants)


def test_nothing_measured_shifts_nothing() -> None:
    """Also where not even the bandwidth is known: only the prompt was measured then."""
    for bandwidth in (CPU.bandwidth, None):
        assert fit_shifts(cpu(bandwidth=bandwidth), [], speed_constants()) == Shifts()


def test_longer_checks_than_computed_cost_as_the_last_one_did() -> None:
    cost = RoundCost(draft_step=0.1, passes=(1.0, 1.1, 1.3))
    assert [cost.pass_over(tokens) for tokens in (1, 2, 3, 5)] == pytest.approx([1.0, 1.1, 1.3, 1.7])


def test_a_round_yields_at_most_what_was_drafted_and_one() -> None:
    """Leviathan, Kalman, Matias 2023, theorem 3.8: 1 + a + a^2 + ... + a^k."""
    assert expected_tokens(0.5, 3) == pytest.approx(1 + 0.5 + 0.25 + 0.125)
    assert expected_tokens(0.0, 3) == 1
    assert expected_tokens(1.0, 3) == 4


def test_metal_pays_for_every_token_of_a_quantized_model() -> None:
    """Its matrix kernels for few rows unpack the weights for each; formats without blocks need none."""
    table = speculative_table().verify
    assert verify_share("metal", "Q4_K_M") > verify_share("metal", "F16")
    assert verify_share("cuda", "Q4_K_M") == verify_share("cuda", "F16") == table.share


def test_no_more_than_eight_tokens_are_drafted() -> None:
    """Longer drafts were measured by nobody; where they cost nothing, eight is the answer."""
    free = RoundCost(draft_step=0.0, passes=(1.0,) * 10)
    assert best_drafted("mtp", free, backend="cuda", quantization="Q4_K_M") == 8


# --- prompts over several GPUs ------------------------------------------------------------


def halves(**changes: object) -> tuple[SpeedDevice, SpeedDevice]:
    part = msgspec.structs.replace(
        GPU, active_weight_bytes=WEIGHTS.active_bytes // 2, kv_bytes=CACHE // 2, layers=16, **changes
    )
    return part, msgspec.structs.replace(part, device="gpu1")


@pytest.mark.parametrize(
    ("times", "batches", "gain", "seconds"),
    [
        ([4.0], 8, 1.0, 4.0),  # one GPU has nobody to wait for
        ([2.0, 2.0], 1, 1.0, 4.0),  # one batch goes through both, one after the other
        ([2.0, 2.0], 4, 0.0, 4.0),
        ([2.0, 2.0], 4, 1.0, 2.5),  # 5 steps of half a second
        ([1.0, 3.0], 4, 1.0, 3.25),  # the slower one never waits
        ([2.0, 2.0], 4, 0.5, 3.25),
    ],
)
def test_a_chain_of_gpus_overlaps_batches(
    times: list[float], batches: int, gain: float, seconds: float
) -> None:
    assert chain_seconds(times, batches, gain) == pytest.approx(seconds)


def test_only_gpus_with_events_overlap() -> None:
    assert overlaps(halves())
    assert not overlaps(halves()[:1])
    assert not overlaps(halves(backend="vulkan"))
    assert not overlaps((halves()[0], CPU))


def test_two_gpus_read_long_prompts_faster_than_one_and_short_ones_not() -> None:
    def speed(devices: tuple[SpeedDevice, ...], tokens: int) -> Range:
        found = prompt_figures(MODEL, WEIGHTS, devices, split="layer", tokens=tokens)
        assert found is not None
        return found

    assert speed(halves(), 512).value == pytest.approx(speed((GPU,), 512).value)
    one, two = speed((GPU,), 8192), speed(halves(), 8192)
    gain = speed_constants().split
    assert two.value / one.value == pytest.approx(1 / (1 - gain.overlap * (1 - 17 / 32)), rel=1e-6)
    # 16 batches through 2 GPUs take 17 of 32 steps; some published runs hardly overlap, and the range says so
    assert two.low / two.value < one.low / one.value
    assert 0 <= gain.overlap_low < gain.overlap < gain.overlap_high <= 1


@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-27b"])
def test_terms_kept_for_a_device_are_those_of_its_class(model: str) -> None:
    """Equal constants that are not this installation's own are never kept."""
    spec = find_model(model)
    weights = gguf_weights(spec, "Q4_K_M")
    equal = msgspec.structs.replace(speed_constants())
    wide = cpu(bandwidth=Range(low=40e9, value=80e9, high=100e9, basis="prior"))
    for devices in ((GPU,), (CPU,), (wide,), (GPU, wide), halves()):
        for asked in ({}, {"flash_attention": False}, {"old_build": True}, {"parallel": 4}):
            kept = estimate_speed(spec, weights, devices, split="layer", **asked)
            assert kept == estimate_speed(spec, weights, devices, split="layer", constants=equal, **asked)
