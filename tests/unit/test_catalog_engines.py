"""Engines, drivers and CUDA: the facts that decide whether a server can be installed."""

import pytest

from probe.catalog.cuda import (
    CudaFit,
    code_runs,
    cuda_fit,
    cuda_tables,
    driver_cuda,
    full_driver,
    last_driver_branch,
    minimum_driver,
    torch_releases,
)
from probe.catalog.engines import all_engines, all_releases, builds_of, find_engine, release_of
from probe.catalog.limits import limits
from probe.catalog.preflight import known_errors, preflight_checks
from probe.catalog.versions import at_least, in_range, version_key
from probe.catalog.vllm_quantization import generation_of, method_named, support_on, vllm_quantization
from probe.errors import UnknownNameError
from probe.machine import OperatingSystem, OsFamily
from probe.units import GIB


def test_vllm_break_between_0_19_and_0_20() -> None:
    """0.19.1 is CUDA 12.8 with Volta code and driver 525; 0.20.0 CUDA 13, no Volta, driver 580."""
    old, new = release_of("vllm", "0.19.1"), release_of("vllm", "0.20.0")
    assert old is not None
    assert new is not None
    assert (old.cuda, old.min_cc, old.min_driver_linux) == ("12.8", "7.0", "525")
    assert (new.cuda, new.min_cc, new.min_driver_linux) == ("13.0", "7.5", "580")
    assert (old.gpu_memory_utilization_default, new.glibc_min) == (0.9, "2.35")


def test_row_holds_until_the_next_row() -> None:
    """0.19.5 was not sampled: the row of 0.19.1 holds; a later version than all: the newest."""
    between, later = release_of("vllm", "0.19.5"), release_of("vllm", "0.99")
    assert between is not None
    assert later is not None
    assert between.version == "0.19.1"
    assert later == release_of("vllm")
    assert release_of("vllm", "0.1") is None
    assert release_of("no such engine") is None


def test_vllm_0_33_needs_what_its_wheel_says() -> None:
    row = release_of("vllm", "0.33.0")
    assert row is not None
    assert (row.torch, row.cuda, row.glibc_min, row.python) == ("2.14.0", "13.0", "2.28", ">=3.11,<3.15")
    assert row.gpu_memory_utilization_default == 0.92
    assert (row.min_cc, row.min_cc_aarch64) == ("7.5", "8.0")


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ("6.0", False),
        ("7.0", False),
        ("7.5", True),
        ("8.6", True),
        ("8.9", True),
        ("9.0", True),
        ("10.3", True),
        ("12.1", True),
    ],
)
def test_code_in_the_vllm_wheel_by_gpu(capability: str, runs: bool) -> None:
    """P100 and V100 have none; GB10 (12.1) runs the 12.0 family code."""
    row = release_of("vllm", "0.33.0")
    assert row is not None
    assert code_runs(row.sass_x86_64, row.ptx, capability) is runs


@pytest.mark.parametrize(
    ("driver", "cuda", "system", "fit"),
    [
        ("580.82.07", "13.0", OsFamily.LINUX, CudaFit.FULL),
        ("580.82.07", "13.2", OsFamily.LINUX, CudaFit.MINOR_VERSION),
        ("580.82.07", "12.8", OsFamily.LINUX, CudaFit.FULL),
        ("535.104.05", "12.8", OsFamily.LINUX, CudaFit.MINOR_VERSION),
        ("535.104.05", "13.0", OsFamily.LINUX, CudaFit.TOO_OLD),
        ("470.82.01", "12.0", OsFamily.LINUX, CudaFit.TOO_OLD),
        ("551.61", "12.4", OsFamily.WINDOWS, CudaFit.FULL),
        ("527.41", "12.4", OsFamily.WINDOWS, CudaFit.MINOR_VERSION),
        (None, "13.0", OsFamily.LINUX, CudaFit.UNKNOWN),
        ("580.82.07", "99.0", OsFamily.LINUX, CudaFit.UNKNOWN),
    ],
)
def test_driver_against_cuda(driver: str | None, cuda: str, system: OsFamily, fit: CudaFit) -> None:
    assert cuda_fit(driver, cuda, system) is fit


def test_driver_branches_and_their_cuda() -> None:
    assert driver_cuda("580.82.07") == "13.0"
    assert driver_cuda("535.183.01") == "12.2"
    assert driver_cuda("585.00") == "13.0"
    assert driver_cuda("340.108") is None
    assert driver_cuda("") is None


def test_old_gpus_end_with_a_driver_branch() -> None:
    """Pascal and Volta stay on 580, Kepler on 470."""
    assert last_driver_branch("6.0") == 580
    assert last_driver_branch("7.0") == 580
    assert last_driver_branch("3.7") == 470
    assert last_driver_branch("7.5") is None


def test_driver_floors_rise_with_the_toolkit() -> None:
    """Within Linux, a newer toolkit never came with an older driver."""
    drivers = [
        (version_key(row.toolkit), version_key(row.linux)) for row in cuda_tables().toolkits if row.linux
    ]
    ordered = [driver for _, driver in sorted(drivers)]
    assert ordered == sorted(ordered)
    assert minimum_driver(13, OsFamily.LINUX) == "580"
    assert minimum_driver(12, OsFamily.WINDOWS) == "527.41"
    assert full_driver("12.8", OsFamily.LINUX) == "570.26"


def test_torch_wheels_that_old_gpus_need() -> None:
    """2.7.1 is the last default with Pascal code, 2.10.0 the last with Volta."""
    rows = {row.version: row for row in torch_releases() if row.architecture == "x86_64"}
    assert "6.0" in rows["2.7.1"].archs
    assert "6.0" not in rows["2.8.0"].archs
    assert "7.0" in rows["2.10.0"].archs
    assert "7.0" not in rows["2.11.0"].archs


@pytest.mark.parametrize(
    ("method", "capability", "support"),
    [
        ("awq", "7.5", "yes"),
        ("awq", "6.1", "no"),
        ("fp8", "8.6", "weight_only"),
        ("fp8", "8.9", "yes"),
        ("nvfp4", "12.0", "yes"),
        ("nvfp4", "9.0", "weight_only"),
        ("mxfp4", "7.5", "no"),
        ("bitsandbytes", "8.6", "plugin"),
        ("gptq", "7.0", "documented_only"),
    ],
)
def test_quantization_by_gpu_generation(method: str, capability: str, support: str) -> None:
    row = method_named(method)
    assert row is not None
    assert support_on(row, capability) == support


def test_generation_of_a_capability() -> None:
    assert generation_of("8.7") == "ampere"
    assert generation_of("12.1") == "blackwell_rtx"
    assert generation_of("6.1") is None
    assert method_named("no such method") is None


def test_bfloat16_needs_ampere() -> None:
    rules = {row.name: row.min_cc for row in vllm_quantization().dtypes}
    assert (rules["bf16"], rules["fp8_compute_w8a8"]) == ("8.0", "8.9")


def test_old_server_needs_the_cuda_12_build() -> None:
    """P100: llama.cpp's CUDA 13 build starts at 7.5; the CUDA 12 build wants a 580 driver at most."""
    builds = {row.id: row for row in builds_of("llama.cpp", "cuda")}
    assert builds["cuda13"].min_cc == "7.5"
    assert builds["cuda12"].min_cc == "5.0"
    assert builds["cuda12"].max_driver_branch_for_old == "580"
    assert builds_of("llama.cpp", "tpu") == ()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("vllm", "vllm"),
        ("vLLM", "vllm"),
        ("LM Studio", "lmstudio"),
        ("llama-cpp", "llama.cpp"),
        ("mlx", "mlx-lm"),
    ],
)
def test_engine_names(typed: str, expected: str) -> None:
    assert find_engine(typed).id == expected


def test_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as refused:
        find_engine("vlm")
    assert "vllm" in refused.value.suggestions


def test_windows_has_no_vllm_but_has_llama_cpp() -> None:
    systems = {row.id: row.os for row in all_engines()}
    assert systems["vllm"]["windows"] == "no"
    assert systems["vllm"]["wsl2"] == "yes"
    assert systems["llama.cpp"]["windows"] == "yes"


def test_preflight_checks_block_what_no_flag_cures() -> None:
    checks = {row.id: row for row in preflight_checks()}
    assert len(checks) == 61
    always = {row.id for row in checks.values() if row.blocking == "always"}
    assert always == {
        "os",
        "wsl2",
        "arch",
        "glibc",
        "python",
        "gpu_present",
        "driver",
        "driver_cuda",
        "driver_mismatch",
        "compute_capability",
        "nouveau",
        "nvidia_module",
        "compute_mode",
        "disk_wheels",
    }
    assert {row.id for row in checks.values() if row.blocking == "several_gpus"} == {"shm", "fabric_manager"}
    assert checks["vram_free"].blocking is None
    assert len(known_errors()) == 12


def test_every_engine_row_has_a_source() -> None:
    for row in (
        *all_engines(),
        *all_releases(),
        *preflight_checks(),
        *known_errors(),
        *cuda_tables().toolkits,
    ):
        assert row.source
        assert row.retrieved


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0.9.2", "0.10.2"),
        ("0.19.1", "0.20.0"),
        ("570.26", "570.124.06"),
        ("2.9.1", "2.14.0"),
        ("b9999", "b11434"),
    ],
)
def test_versions_compare_as_numbers(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)
    assert at_least(newer, older) is True
    assert at_least(older, newer) is False


def test_version_details() -> None:
    assert version_key("13.0") == version_key("13")
    assert version_key("2.14.0+cu130") == version_key("2.14")
    assert at_least(None, "580") is None
    assert at_least("580", None) is True
    assert in_range("3.12", ">=3.11,<3.15")
    assert not in_range("3.10.13", ">=3.11,<3.15")
    assert not in_range("3.15.0", ">=3.11,<3.15")


@pytest.mark.parametrize(
    ("system", "total_gib", "reserve_gib"),
    [
        (OperatingSystem(family=OsFamily.LINUX), 64, 1.5),
        (OperatingSystem(family=OsFamily.LINUX, desktop=True), 64, 2.5),
        (OperatingSystem(family=OsFamily.WINDOWS), 8, 3.5),
        (OperatingSystem(family=OsFamily.WINDOWS), 16, 5),
        (OperatingSystem(family=OsFamily.MACOS), 24, 5),
        (OperatingSystem(), 16, 5),
    ],
)
def test_ram_kept_for_the_system(system: OperatingSystem, total_gib: int, reserve_gib: float) -> None:
    assert limits().memory_reserve.reserve_bytes(system, total_gib * GIB) == reserve_gib * GIB


def test_verdict_limits_and_margins() -> None:
    rules = limits()
    assert rules.comfortable.free_bytes == 2 * GIB
    assert (rules.comfortable.free_share, rules.comfortable.decode_tokens_per_s_low) == (0.05, 10)
    assert (rules.usable.decode_tokens_per_s, rules.usable.context_tokens) == (5, 4096)
    assert rules.slow.decode_tokens_per_s == 1
    assert rules.gpu.driver_reserve_bytes(24 * GIB, 400) == 400
    assert 0.2 * GIB < rules.gpu.driver_reserve_bytes(24 * GIB, None) < 0.5 * GIB
    wired = rules.apple_wired_limit.of(24 * GIB)
    assert (wired.low / GIB, wired.high / GIB) == (pytest.approx(15.6), pytest.approx(20.16))
