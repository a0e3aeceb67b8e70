"""What `probe doctor` finds, on recorded machines, and what it says each fix would bring."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.catalog.models import find_model
from probe.collectors.host import RecordedHost
from probe.collectors.run import scan_machine
from probe.machine import (
    Accelerator,
    AcceleratorKind,
    AcceleratorState,
    Attempt,
    AttemptResult,
    Disk,
    InstalledEngine,
    Machine,
    MemoryModule,
    MigSlice,
    NvidiaDriver,
    PcieLink,
    Runtime,
    Software,
)
from probe.machine.accelerator import ForeignProcess
from probe.messages import has
from probe.recommender.findings import Finding, Severity, find_problems
from probe.recommender.fit import Estimator
from probe.recommender.options import Options
from probe.report.build import build_doctor
from probe.units import GIB

FOLDER = Path(__file__).parents[1] / "machines"


@cache
def recorded(name: str) -> Machine:
    return enrich(scan_machine(RecordedHost(FOLDER / name), deadline_s=30))


def found_on(machine: Machine, finding: str) -> Finding:
    (one,) = [one for one in find_problems(machine, effects=True) if one.id == finding]
    return one


def ids(machine: Machine) -> set[str]:
    return {finding.id for finding in find_problems(machine)}


@pytest.mark.parametrize(
    ("name", "finding", "severity"),
    [
        ("linux-rtx2080ti-nouveau", "device.nouveau", "critical"),
        ("linux-rtx3060-module-not-loaded", "device.module_not_loaded", "critical"),
        ("linux-rtx3090-driver-mismatch", "device.driver_mismatch", "critical"),
        ("linux-t4-no-permission", "device.no_permission", "critical"),
        ("linux-2x-rtx4090-one-lost", "device.gpu_lost", "critical"),
        ("docker-without-nvidia-runtime", "device.container_without_gpu", "critical"),
        ("docker-mi210-without-devices", "device.device_node_missing", "critical"),
        ("linux-rx7900xtx-no-render-group", "device.no_render_access", "critical"),
        ("linux-r9-290-old-driver", "device.old_kernel_driver", "critical"),
        ("wsl2-gpu-blocked", "device.wsl_access_blocked", "critical"),
        ("windows-10-gtx1650-no-driver", "device.no_driver", "critical"),
        ("linux-2x-h100-mig", "device.mig_without_slices", "critical"),
        ("linux-2x-h100-mig", "mig_enabled", "notice"),
        ("slurm-job-one-of-four-a4000", "device.hidden_by_mask", "notice"),
        ("linux-vfio-passthrough-host", "device.given_to_virtual_machine", "notice"),
        ("linux-driver-without-card", "device.driver_without_card", "notice"),
        ("macos-intel-i7-radeon", "device.intel_mac_gpu", "info"),
        ("windows-10-office-i5-8500", "single_memory_module", "warning"),
        ("linux-laptop-iris-xe-8gb", "swap_in_use", "warning"),
        ("linux-laptop-iris-xe-8gb", "disk_full", "warning"),
        ("linux-laptop-iris-xe-8gb", "ollama_ignores_igpu", "info"),
        ("linux-laptop-iris-xe-8gb", "ollama_short_context", "notice"),
        ("linux-rx7900xtx-x4-slot", "llama_cpp_without_gpu", "warning"),
        ("linux-rx7900xtx-x4-slot", "pcie_narrow", "notice"),
        ("linux-rx7900xtx-x4-slot", "pcie_older_slot", "info"),
        ("macos-m2-pro-rosetta", "python_under_rosetta", "warning"),
        ("linux-gh200-480gb", "driver_below_cuda_13", "notice"),
        ("linux-gh200-480gb", "python_unfit_for_vllm", "notice"),
        ("linux-t4-notebook", "ecc_enabled", "info"),
        ("linux-t4-notebook", "persistence_off", "info"),
        ("linux-vgpu-a40-12q", "vgpu_guest", "info"),
        ("linux-server-2x-epyc-9554", "hugepages_reserved", "notice"),
        ("docker-cgroup2-limits", "memory_limited", "notice"),
        ("docker-cgroup2-limits", "few_cores_usable", "notice"),
        ("linux-laptop-ryzen-7840hs-battery", "on_battery", "notice"),
        ("linux-laptop-ryzen-7840hs-battery", "power_saver", "notice"),
        ("windows-11-laptop-ryzen-7840u", "memory_carved_out", "notice"),
        ("wsl2-rtx4070-laptop", "wsl_memory_share", "info"),
        ("macos-m3-ultra-512gb", "wired_limit_default", "info"),
    ],
)
def test_recorded_machine_has_its_finding(name: str, finding: str, severity: str) -> None:
    assert found_on(recorded(name), finding).severity is Severity(severity)


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("linux-dgx-spark-gb10", "driver_below_cuda_13"),
        ("linux-jetson-orin-jetpack6", "driver_below_cuda_13"),  # numbered with its own system
        ("linux-2x-p100-12gb", "driver_below_cuda_13"),  # CUDA 13 has dropped these cards
        ("wsl2-rtx4070-laptop", "disk_hdd"),  # a virtual disk says so whatever is under it
        ("windows-11-strix-halo-128gb", "memory_carved_out"),  # set aside for models
        ("linux-strix-halo-gtt-96gib", "gtt_limit_default"),
        ("linux-strix-halo-carveout-96gib", "gtt_limit_default"),
        ("macos-m1-8gb", "wired_limit_default"),
        ("macos-m4-max-128gb-wired", "wired_limit_default"),
        ("macos-m4-24gb-engines", "ollama_ignores_igpu"),
        ("linux-8x-h100-nvswitch", "ecc_enabled"),  # HBM keeps its check bits beside the memory
        ("linux-arc-a770-i915", "pcie_narrow"),  # the GPU's own link reads x1
        ("linux-8x-mi300x", "pcie_narrow"),
    ],
)
def test_must_not_be_found(name: str, finding: str) -> None:
    assert finding not in ids(recorded(name))


@pytest.mark.parametrize(
    "name", ["linux-rtx4090", "linux-dgx-spark-gb10", "linux-8x-mi300x", "linux-strix-halo-gtt-96gib"]
)
def test_healthy_machine_has_no_findings(name: str) -> None:
    assert find_problems(recorded(name)) == ()


def test_worst_comes_first() -> None:
    order = list(Severity)
    for name in ("linux-2x-h100-mig", "slurm-job-one-of-four-a4000", "linux-rx7900xtx-x4-slot"):
        ranks = [order.index(finding.severity) for finding in find_problems(recorded(name))]
        assert ranks == sorted(ranks)


def test_equal_cards_are_one_finding() -> None:
    finding = found_on(recorded("slurm-job-one-of-four-a4000"), "device.hidden_by_mask")
    assert finding.values["name"] == "3 × NVIDIA RTX A4000"


# -- what fixes bring -----------------------------------------------------------------------------


def decode(machine: Machine, model: str) -> float:
    answer = Estimator(machine, Options()).estimate(find_model(model), "Q4_K_M", full=False)
    assert answer.speed.decode_tokens_per_s is not None
    return answer.speed.decode_tokens_per_s.value


def test_second_module_is_worth_what_the_two_module_machine_does() -> None:
    one = from_spec("Core i5-8500; 16GB DDR4-2666 x1; windows 11")
    two = from_spec("Core i5-8500; 32GB DDR4-2666 x2; windows 11")
    effect = found_on(one, "single_memory_module").effect
    assert effect is not None
    assert effect.model is not None
    assert effect.before_tokens_per_s == decode(one, effect.model)
    assert effect.after_tokens_per_s == decode(two, effect.model)
    assert effect.after_tokens_per_s > effect.before_tokens_per_s * 1.3


def test_driver_is_worth_what_the_machine_with_the_card_does() -> None:
    broken = recorded("linux-rtx3090-driver-mismatch")
    effect = found_on(broken, "device.driver_mismatch").effect
    assert effect is not None
    assert effect.before_tokens_per_s is not None
    assert effect.after_tokens_per_s is not None
    assert effect.after_tokens_per_s > 5 * effect.before_tokens_per_s
    whole = from_spec("RTX 3090; Ryzen 9 5950X; 64GB DDR4-3200 x2; ubuntu 24.04")
    assert effect.model is not None
    assert effect.after_tokens_per_s == pytest.approx(decode(whole, effect.model), rel=0.05)
    assert (effect.verdict, effect.largest_after) == ("comfortable", "14B")


def test_card_whose_id_fits_two_boards_promises_nothing() -> None:
    """10de:2504 is an RTX 3060 with 8 or with 12 GB."""
    assert found_on(recorded("linux-rtx3060-module-not-loaded"), "device.module_not_loaded").effect is None


def test_cpu_build_is_compared_with_the_gpu_it_ignores() -> None:
    machine = recorded("linux-rx7900xtx-x4-slot")
    effect = found_on(machine, "llama_cpp_without_gpu").effect
    assert effect is not None
    alone = msgspec.structs.replace(machine, accelerators=(), links=())
    assert effect.model is not None
    assert effect.before_tokens_per_s == decode(alone, effect.model)
    assert effect.after_tokens_per_s == decode(machine, effect.model)


def test_raised_share_of_ram_lets_larger_models_in() -> None:
    raised = recorded("linux-strix-halo-gtt-96gib")
    (gpu, npu) = raised.accelerators
    default = msgspec.structs.replace(
        raised,
        accelerators=(msgspec.structs.replace(gpu, memory_total_bytes=63 * GIB), npu),
    )
    finding = found_on(default, "gtt_limit_default")
    assert finding.severity is Severity.WARNING
    effect = finding.effect
    assert effect is not None
    assert effect.model == "GLM-4.5-Air"
    assert effect.before_tokens_per_s == decode(default, "glm-4.5-air")
    assert effect.after_tokens_per_s is not None
    assert effect.after_tokens_per_s > effect.before_tokens_per_s


def test_limit_of_a_container_costs_model_size() -> None:
    machine = enrich(from_spec("Ryzen 9 5950X; 64GB DDR4-3200 x2; ubuntu 24.04"))
    limited = msgspec.structs.replace(
        machine, memory=msgspec.structs.replace(machine.memory, limit_bytes=6 * GIB)
    )
    effect = found_on(limited, "memory_limited").effect
    assert effect is not None
    assert effect.largest_before == "4B"
    assert effect.largest_after in ("8B", "14B")


def test_huge_pages_are_no_capacity() -> None:
    machine = enrich(from_spec("Ryzen 9 5950X; 64GB DDR4-3200 x2; ubuntu 24.04"))
    taken = msgspec.structs.replace(
        machine, memory=msgspec.structs.replace(machine.memory, hugepages_bytes=58 * GIB)
    )
    whole, left = Estimator(machine, Options()).pools.cpu, Estimator(taken, Options()).pools.cpu
    assert whole.capacity_bytes is not None
    assert left.capacity_bytes == whole.capacity_bytes - 58 * GIB
    assert found_on(taken, "hugepages_reserved").effect is not None


def test_effects_are_left_out_where_nobody_asks() -> None:
    machine = recorded("windows-10-office-i5-8500")
    assert [finding.effect for finding in find_problems(machine)] == [None]


# -- findings of machines that no recording has ------------------------------------------------------


def with_gpu(**fields: object) -> Machine:
    machine = from_spec("RTX 3090; Ryzen 9 5950X; 64GB DDR4-3200 x2; ubuntu 24.04")
    device = msgspec.structs.replace(machine.accelerators[0], **fields)
    return msgspec.structs.replace(machine, accelerators=(device,))


def with_memory(**fields: object) -> Machine:
    machine = from_spec("Ryzen 9 5950X; 64GB DDR4-3200 x2; ubuntu 24.04")
    return msgspec.structs.replace(machine, memory=msgspec.structs.replace(machine.memory, **fields))


def module(size: int, rated: int, configured: int) -> MemoryModule:
    return MemoryModule(
        size_bytes=size * GIB, type="DDR4", rated_mt_per_s=rated, configured_mt_per_s=configured
    )


def changed(**fields: object) -> Machine:
    return msgspec.structs.replace(with_gpu(), **fields)


def of_host(**fields: object) -> Machine:
    machine = with_gpu()
    return msgspec.structs.replace(machine, host=msgspec.structs.replace(machine.host, **fields))


def of_os(**fields: object) -> Machine:
    machine = with_gpu()
    return of_host(os=msgspec.structs.replace(machine.host.os, **fields))


def driver(version: str) -> Machine:
    return changed(nvidia=NvidiaDriver(driver_version=version))


def attempt(code: str | None, source: str = "x", result: AttemptResult = AttemptResult.OK) -> Machine:
    return changed(attempts=(Attempt(source=source, result=result, ms=2500.0, code=code),))


OTHERS: list[tuple[str, Callable[[], Machine]]] = [
    ("driver_too_old", lambda: driver("470.256.02")),
    ("driver_below_cuda_13", lambda: driver("550.54.15")),
    ("gpu_slowed_by_heat", lambda: with_gpu(clock_reasons=("sw_thermal_slowdown",))),
    ("gpu_power_brake", lambda: with_gpu(clock_reasons=("hw_power_brake", "hw_slowdown"))),
    ("gpu_power_capped", lambda: with_gpu(power_limit_w=250.0, power_limit_default_w=350.0)),
    ("compute_mode_exclusive", lambda: with_gpu(compute_mode="exclusive_process")),
    ("pcie_narrow", lambda: with_gpu(pcie=PcieLink(width=4, max_width=16))),
    (
        "gpu_memory_held",
        lambda: with_gpu(processes=(ForeignProcess(pid=1, name="python", memory_bytes=9 * GIB),)),
    ),
    (
        "mig_enabled",
        lambda: with_gpu(mig_enabled=True, mig_slices=(MigSlice(index=0, memory_total_bytes=10 * GIB),)),
    ),
    ("cuda_order_unclear", lambda: attempt("mask_order_assumed", "CUDA_VISIBLE_DEVICES")),
    ("source_hung", lambda: attempt("abandoned", "dead disk", AttemptResult.TIMEOUT)),
    ("python_32_bit", lambda: of_host(python_bits=32)),
    ("python_unfit_for_vllm", lambda: of_host(python="3.9.18")),
    ("wsl_1", lambda: of_os(wsl=1)),
    (
        "secure_boot_blocks_module",
        lambda: msgspec.structs.replace(
            of_os(secure_boot=True),
            accelerators=with_gpu(
                state=AcceleratorState.NO_DRIVER, state_reason="module_not_loaded"
            ).accelerators,
        ),
    ),
    (
        "rocm_no_permission",
        lambda: msgspec.structs.replace(
            from_spec("RX 7900 XTX; Ryzen 9 5950X; 64GB DDR4-3200 x2; ubuntu 24.04"),
            attempts=(
                Attempt(source="/dev/kfd", result=AttemptResult.DENIED, ms=0.0, code="kfd_no_permission"),
            ),
        ),
    ),
    ("memory_below_rating", lambda: with_memory(speed_mt_per_s=2133, rated_speed_mt_per_s=3200)),
    (
        "memory_mixed_speeds",
        lambda: with_memory(
            speed_mt_per_s=2666, channels=2, modules=(module(16, 2666, 2666), module(16, 3200, 2666))
        ),
    ),
    (
        "memory_channels_empty",
        lambda: enrich(
            msgspec.structs.replace(
                from_spec("EPYC 9554; 256GB DDR5-4800 x4; ubuntu 24.04"),
                memory=msgspec.structs.replace(
                    from_spec("EPYC 9554; 256GB DDR5-4800 x4; ubuntu 24.04").memory,
                    modules=tuple(module(64, 4800, 4800) for _ in range(4)),
                ),
            )
        ),
    ),
    ("disk_hdd", lambda: changed(disks=(Disk(path="/data", free_bytes=10**12, kind="hdd"),))),
    ("disk_network", lambda: changed(disks=(Disk(path="/nfs", free_bytes=10**12, kind="network"),))),
    (
        "torch_without_gpu",
        lambda: changed(software=Software(runtimes=(Runtime(id="torch", version="2.14.0+cpu"),))),
    ),
    (
        "llama_cpp_without_gpu",
        lambda: changed(
            software=Software(
                engines=(InstalledEngine(id="llama.cpp", path="/usr/bin/llama-server", backends=("cpu",)),)
            )
        ),
    ),
    (
        "cpu_without_avx2",
        lambda: msgspec.structs.replace(
            with_memory(),
            cpu=msgspec.structs.replace(with_memory().cpu, architecture="x86_64", isa=("avx", "sse4_2")),
        ),
    ),
]


@pytest.mark.parametrize(("finding", "make"), OTHERS, ids=[name for name, _ in OTHERS])
def test_finding_of_a_constructed_machine(finding: str, make: Callable[[], Machine]) -> None:
    machine = make()
    assert finding in ids(machine)
    for lang in ("en", "ko"):
        documents = [one for one in build_doctor(machine, lang=lang).findings if one.id == finding]
        for one in documents:
            assert all((one.title, one.evidence, one.detail, one.fix))
            assert "{" not in one.title + one.evidence + one.detail + one.fix


def test_static_build_or_gpu_build_is_no_finding() -> None:
    for backends in (None, ("cpu", "vulkan"), ("cuda",)):
        engine = InstalledEngine(id="llama.cpp", path="/usr/bin/llama-server", backends=backends)
        assert "llama_cpp_without_gpu" not in ids(changed(software=Software(engines=(engine,))))


def test_ollama_told_to_use_the_igpu_is_no_finding() -> None:
    machine = recorded("linux-laptop-iris-xe-8gb")
    told = msgspec.structs.replace(
        machine,
        software=msgspec.structs.replace(machine.software, environment={"OLLAMA_IGPU_ENABLE": "1"}),
    )
    assert "ollama_ignores_igpu" not in ids(told)


def test_server_that_hangs_is_less_than_a_driver_that_hangs() -> None:
    web = found_on(attempt("x", "server on port 8080", AttemptResult.TIMEOUT), "source_hung")
    driver_hung = found_on(attempt("x", "nvml", AttemptResult.TIMEOUT), "source_hung")
    assert (web.severity, driver_hung.severity) == (Severity.INFO, Severity.WARNING)


def test_idle_link_and_idle_clocks_are_no_findings() -> None:
    idle = with_gpu(
        clock_reasons=("gpu_idle",),
        pcie=PcieLink(generation=1, width=16, max_generation=4, max_width=16, device_max_generation=4),
    )
    assert ids(idle) == ids(with_gpu())


def test_every_finding_has_its_sentences_in_both_languages() -> None:
    known = {name for name, _ in OTHERS} | {
        finding.id
        for folder in FOLDER.glob("*/recording.json")
        for finding in find_problems(recorded(folder.parent.name))
    }
    assert len(known) >= 45
    for name in known:
        topic = f"states.{name.removeprefix('device.')}" if name.startswith("device.") else f"findings.{name}"
        for lang in ("en", "ko"):
            for part in ("title", "evidence", "detail", "fix"):
                assert has(f"{topic}.{part}", lang), (topic, part, lang)


# -- what may be pasted in public ----------------------------------------------------------------------


def test_evidence_names_no_user() -> None:
    machine = msgspec.structs.replace(
        recorded("linux-rx7900xtx-x4-slot"),
        disks=(Disk(path="/home/kim.minsu", free_bytes=10**9, purpose="home"),),
        software=Software(
            engines=(
                InstalledEngine(id="llama.cpp", path="/home/kim.minsu/llama/llama-server", backends=("cpu",)),
            )
        ),
    )
    texts = " ".join(one.evidence for one in build_doctor(machine, lang="en").findings)
    assert "/home/user" in texts
    assert "kim" not in texts


def test_memory_of_an_accelerator_card_is_never_an_effect() -> None:
    """A card without a driver is no finding: its driver would bring no engine of ours to it."""
    machine = with_memory()
    card = Accelerator(
        index=0,
        kind=AcceleratorKind.CARD,
        vendor="rebellions",
        name="Rebellions ATOM-Max",
        state=AcceleratorState.NO_DRIVER,
    )
    assert ids(msgspec.structs.replace(machine, accelerators=(card,))) == ids(machine)
