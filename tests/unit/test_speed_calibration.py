"""Measured here: one run sharpens the estimates of the same device, and of no other."""

import msgspec
import pytest

from probe.catalog.models import find_model
from probe.estimate.speed import estimate_speed
from probe.estimate.speed_calibration import DECODE, PROMPT, RunInputs, calibrated, inputs_of
from probe.estimate.speed_device import SpeedDevice
from probe.estimate.weights import gguf_weights
from probe.machine.description import Measurement
from probe.machine.ranges import Range

MODEL = find_model("llama-3.1-8b")
WEIGHTS = gguf_weights(MODEL, "Q4_K_M")
SMALL = find_model("llama-3.2-1b")
SMALL_WEIGHTS = gguf_weights(SMALL, "Q4_K_M")
RUN = RunInputs(
    device="cpu",
    quantization="Q4_K_M",
    weight_bytes=WEIGHTS.active_bytes,
    batch_bytes=WEIGHTS.active_bytes,
    kv_bytes=8_388_608,
    layers=32,
    operations=1.4e10,
    attention_width=131072.0,
    sliding_width=0.0,
    window=0,
    experts=False,
    prompt_tokens=512,
    threads=6,
)
OFFICE_PC = SpeedDevice(
    device="cpu",
    vendor="intel",
    backend="cpu",
    name="i5-8500",
    bandwidth=Range(low=18e9, value=30e9, high=42.656e9, basis="prior"),
    usable_cores=6,
    physical_cores=6,
    logical_cores=6,
    isa=("avx", "avx2"),
)


def measured(what: str, value: float, **changes: str) -> Measurement:
    """One figure that `probe bench` stored."""
    return Measurement(
        what=what,
        low=value * 0.98,
        value=value,
        high=value * 1.02,
        unit="tokens/s",
        at="2026-11-21T10:00:00Z",
        fingerprint="0123456789abcdef",
        subject=RUN.as_subject() | changes,
    )


def speed(device: SpeedDevice, small: bool = False) -> float:
    spec, weights, layers = (SMALL, SMALL_WEIGHTS, 16) if small else (MODEL, WEIGHTS, 32)
    own = msgspec.structs.replace(
        device, active_weight_bytes=weights.active_bytes, kv_bytes=8_388_608, layers=layers
    )
    decode = estimate_speed(spec, weights, (own,)).decode_tokens_per_s
    assert decode is not None
    return decode.value


def test_inputs_survive_the_way_through_text() -> None:
    assert inputs_of(RUN.as_subject()) == RUN


@pytest.mark.parametrize("damage", [{"layers": "many"}, {"operations": ""}])
def test_damaged_subject_is_no_calibration(damage: dict[str, str]) -> None:
    device = calibrated(OFFICE_PC, [measured(DECODE, 4.0, **damage)])
    assert device == OFFICE_PC


@pytest.mark.parametrize("share", [0.5, 0.7, 1.2, 1.7])
def test_the_measured_run_itself_comes_out_as_measured(share: float) -> None:
    """A PC has one memory module where two were expected, or two where one was."""
    real = speed(OFFICE_PC) * share
    device = calibrated(OFFICE_PC, [measured(DECODE, real)])
    assert speed(device) == pytest.approx(real, rel=0.06)
    assert device.measured


def test_a_smaller_model_follows_the_measured_one() -> None:
    real = speed(OFFICE_PC) * 0.5
    device = calibrated(OFFICE_PC, [measured(DECODE, real)])
    assert 0.4 < speed(device, small=True) / speed(OFFICE_PC, small=True) < 0.9


def test_range_after_measuring_is_narrower_and_says_so() -> None:
    own = msgspec.structs.replace(
        OFFICE_PC, active_weight_bytes=WEIGHTS.active_bytes, kv_bytes=8_388_608, layers=32
    )
    before = estimate_speed(MODEL, WEIGHTS, (own,)).decode_tokens_per_s
    after = estimate_speed(
        MODEL, WEIGHTS, (calibrated(own, [measured(DECODE, speed(OFFICE_PC) * 0.8)]),)
    ).decode_tokens_per_s
    assert before is not None
    assert after is not None
    assert after.high / after.low < before.high / before.low
    assert after.basis == "measured"


def test_prompt_speed_is_scaled_by_its_own_measurement() -> None:
    own = msgspec.structs.replace(
        OFFICE_PC, active_weight_bytes=WEIGHTS.active_bytes, kv_bytes=8_388_608, layers=32
    )
    before = estimate_speed(MODEL, WEIGHTS, (own,)).prefill_tokens_per_s
    after = estimate_speed(MODEL, WEIGHTS, (calibrated(own, [measured(PROMPT, 15.0)]),)).prefill_tokens_per_s
    assert before is not None
    assert after is not None
    assert after.basis == "measured"
    assert after.value != pytest.approx(before.value, rel=0.05)


@pytest.mark.parametrize(
    "useless",
    [
        measured(DECODE, 5.0, device="gpu0"),  # another device
        measured(DECODE, 5.0, busy="yes"),  # other programs ran
        measured(DECODE, 500.0),  # 60 times the estimate: another cause
        measured("ram_read_bytes_per_s", 30e9),
    ],
)
def test_what_says_nothing_about_this_device_changes_nothing(useless: Measurement) -> None:
    assert calibrated(OFFICE_PC, [useless]) == OFFICE_PC
