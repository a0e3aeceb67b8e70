"""Machines written in words: the whole grammar, whole systems, and every way to get it wrong."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.catalog.from_spec import from_spec
from probe.catalog.spec_parts import parse_memory, parse_system, split_count
from probe.errors import AmbiguousNameError, InputError, UnknownNameError
from probe.machine import AcceleratorKind, AcceleratorState, HostOrigin, LinkKind, Machine, OsFamily
from probe.messages import t
from probe.units import GB, GIB, MIB


def test_old_server_with_two_gpus() -> None:
    """The shared server of the study group: four channels of DDR4-2400 are 76.8 GB/s."""
    machine = from_spec("2x Tesla P100 12GB; Xeon E5-2690 v4; 128GB DDR4-2400 x4")
    assert [device.catalog_name for device in machine.accelerators] == ["Tesla P100-PCIE-12GB"] * 2
    assert [device.index for device in machine.accelerators] == [0, 1]
    assert {device.kind for device in machine.accelerators} == {AcceleratorKind.DISCRETE}
    assert machine.accelerators[0].compute_capability == "6.0"
    assert machine.memory.total_bytes == 128 * GIB
    assert machine.memory.channels == 4
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == pytest.approx(76.8 * GB)
    assert machine.memory.bandwidth_bytes_per_s.basis == "modules"
    assert (machine.cpu.physical_cores, machine.cpu.usable_cores) == (14, 28)
    assert machine.cpu.generation == "Broadwell-EP"
    assert "avx2" in machine.cpu.isa
    assert machine.nvidia is None


def test_office_pc_with_one_module() -> None:
    machine = from_spec("Core i5-8500; 16GB DDR4-2666 x1")
    assert machine.accelerators == ()
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.high == pytest.approx(21.328 * GB)
    assert machine.cpu.physical_cores == 6
    assert machine.host.os.family is None


def test_office_pc_without_channels_is_a_range_from_one_to_all() -> None:
    machine = from_spec("Core i5-8500; 16GB DDR4-2666")
    bandwidth = machine.memory.bandwidth_bytes_per_s
    assert bandwidth is not None
    assert bandwidth.low == pytest.approx(21.328 * GB)
    assert bandwidth.high == pytest.approx(42.656 * GB)
    assert bandwidth.basis == "prior"
    assert machine.memory.single_module_share == pytest.approx(0.2, abs=0.01)


def test_gpu_alone_leaves_everything_else_unknown() -> None:
    machine = from_spec("RTX 4090")
    (device,) = machine.accelerators
    assert device.memory_total_bytes == 24564 * MIB  # as NVML reports it
    assert device.bandwidth_bytes_per_s is not None
    assert device.bandwidth_bytes_per_s.value == 1008 * GB
    assert device.state is AcceleratorState.USABLE
    assert device.laptop is False
    assert device.memory_free_bytes is None
    assert device.driver_version is None
    assert machine.memory.total_bytes is None
    assert machine.memory.bandwidth_bytes_per_s is None
    assert machine.cpu.brand is None
    assert machine.host.os.family is None


@pytest.mark.parametrize(
    ("spec", "mib"),
    [
        ("Tesla T4", 15360),
        ("RTX 5090", 32607),
        ("RTX 4060 Ti 16GB", 16380),
        ("H200", 143771),
        ("L4", 23034),
        ("RTX 3070 Laptop", 8192),
        ("RTX 4080 노트북", 12282),
    ],
)
def test_gpu_memory_is_what_the_driver_reports(spec: str, mib: int) -> None:
    assert from_spec(spec).accelerators[0].memory_total_bytes == mib * MIB


def test_apple_laptop_is_one_pool_with_a_wired_limit() -> None:
    """24 GB: 65 to 84 % may be wired; the middle decides."""
    machine = from_spec("MacBook Pro M4 24GB")
    (device,) = machine.accelerators
    assert device.kind is AcceleratorKind.UNIFIED
    assert device.memory_shared
    assert machine.memory.total_bytes == 24 * GIB
    assert device.wired_limit_bytes is not None
    assert device.wired_limit_bytes.low == pytest.approx(15.6 * GIB)
    assert device.wired_limit_bytes.value == pytest.approx(17.88 * GIB)
    assert device.wired_limit_bytes.high == pytest.approx(20.16 * GIB)
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == 120 * GB
    assert machine.host.os.family is OsFamily.MACOS


@pytest.mark.parametrize(
    ("spec", "memory_gib", "gb_per_s"),
    [
        ("M4 Max 64GB", 64, 546),
        ("M4 Max 36GB", 36, 409.6),
        ("Mac Studio M3 Ultra 512GB", 512, 819.2),
        ("Mac Studio M2 Ultra 192GB", 192, 819.2),
        ("맥북 에어 M2 8GB", 8, 102.4),
        ("Mac M4 16GB", 16, 120),
        ("맥 M4 Pro 24GB", 24, 273),
    ],
)
def test_apple_chips_by_memory(spec: str, memory_gib: int, gb_per_s: float) -> None:
    machine = from_spec(spec)
    assert machine.memory.total_bytes == memory_gib * GIB
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == pytest.approx(gb_per_s * GB)


def test_dgx_spark_is_one_pool_of_ram() -> None:
    machine = from_spec("DGX Spark")
    (device,) = machine.accelerators
    assert device.kind is AcceleratorKind.UNIFIED
    assert device.memory_shared
    assert device.compute_capability == "12.1"
    assert machine.memory.total_bytes == device.memory_total_bytes == 124621 * MIB
    assert device.wired_limit_bytes is None
    assert machine.host.os.family is OsFamily.LINUX
    assert machine.cpu.architecture == "aarch64"


def test_gh200_has_two_pools_and_a_road_between() -> None:
    """96 GB of HBM beside 480 GB of LPDDR5X; C2C carries 450 GB/s one way (900 both ways together)."""
    machine = from_spec("GH200 96GB; 480GB LPDDR5X")
    (device,) = machine.accelerators
    assert device.kind is AcceleratorKind.UNIFIED
    assert not device.memory_shared
    assert device.memory_total_bytes == 97871 * MIB
    assert machine.memory.total_bytes == 480 * GIB
    (link,) = machine.links
    assert (link.a, link.b, link.kind) == ("cpu", "gpu0", LinkKind.C2C)
    assert link.bytes_per_s == 450 * GB
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == pytest.approx(512 * GB)
    assert machine.host.os.family is OsFamily.LINUX
    assert machine.cpu.architecture == "aarch64"


def test_number_in_the_gh200_name_is_the_memory_of_its_cpu() -> None:
    assert from_spec("GH200 480GB").memory.total_bytes == 480 * GIB
    assert from_spec("GH200 480GB").accelerators[0].memory_total_bytes == 97871 * MIB


def test_strix_halo_brings_its_gpu() -> None:
    machine = from_spec("Ryzen AI Max+ 395; 128GB LPDDR5X-8000")
    (device,) = machine.accelerators
    assert device.catalog_name == "AMD Radeon 8060S"
    assert device.kind is AcceleratorKind.UNIFIED
    assert device.memory_shared
    assert device.gfx_target == "gfx1151"
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == 256 * GB
    assert device.wired_limit_bytes is not None
    assert device.wired_limit_bytes.value == 96 * GIB
    smaller = from_spec("Ryzen AI Max 385; 64GB LPDDR5X-8000")
    assert smaller.accelerators[0].catalog_name == "AMD Radeon 8050S"


def test_two_sockets_count_twice() -> None:
    machine = from_spec("2x EPYC 9554; 768GB DDR5-4800 x24")
    assert machine.cpu.sockets == 2
    assert machine.cpu.physical_cores == 128
    assert machine.memory.bandwidth_bytes_per_s is not None
    assert machine.memory.bandwidth_bytes_per_s.value == pytest.approx(921.6 * GB)


def test_sxm_modules_are_linked_and_plain_cards_are_not() -> None:
    modules = from_spec("8x H100")
    assert len(modules.accelerators) == 8
    assert {link.kind for link in modules.links} == {LinkKind.NVLINK}
    assert len(modules.links) == 28
    assert modules.links[0].bytes_per_s == 450 * GB
    assert from_spec("2x RTX 3090").links == ()
    assert from_spec("2x H100 PCIe").links == ()


@pytest.mark.parametrize(
    ("part", "family", "version"),
    [
        ("windows 11", OsFamily.WINDOWS, "11"),
        ("Windows", OsFamily.WINDOWS, None),
        ("윈도우 11", OsFamily.WINDOWS, "11"),
        ("ubuntu 24.04", OsFamily.LINUX, "24.04"),
        ("linux", OsFamily.LINUX, None),
        ("macOS 15", OsFamily.MACOS, "15"),
        ("wsl2", OsFamily.LINUX, None),
    ],
)
def test_operating_systems(part: str, family: OsFamily, version: str | None) -> None:
    system = parse_system(part)
    assert system is not None
    assert (system.family, system.version) == (family, version)
    assert from_spec(f"RTX 3060 12GB; {part}").host.os == system


def test_desktop_and_server_linux_differ() -> None:
    desktop, server = parse_system("ubuntu desktop 24.04"), parse_system("ubuntu server 24.04")
    assert desktop is not None
    assert server is not None
    assert (desktop.desktop, server.desktop) == (True, False)


@pytest.mark.parametrize(
    ("part", "total_gib", "kind", "speed", "channels"),
    [
        ("16GB DDR4-2666 x1", 16, "DDR4", 2666, 1),
        ("128GB LPDDR5X-8000", 128, "LPDDR5X", 8000, None),
        ("480GB LPDDR5X", 480, "LPDDR5X", None, None),
        ("64GB", 64, None, None, None),
        ("64 GB RAM", 64, None, None, None),
        ("32GiB DDR5 5600 MT/s x2", 32, "DDR5", 5600, 2),
        ("DDR4-3200 16GB", 16, "DDR4", 3200, None),
        ("1TB DDR5-4800 ×12", 1024, "DDR5", 4800, 12),
        ("16기가 x2", 16, None, None, 2),
        ("메모리 16GB", 16, None, None, None),
    ],
)
def test_memory_words(
    part: str, total_gib: int, kind: str | None, speed: int | None, channels: int | None
) -> None:
    memory = parse_memory(part)
    assert memory is not None
    assert memory.total_bytes == total_gib * GIB
    assert (memory.type, memory.mt_per_s, memory.channels) == (kind, speed, channels)


@pytest.mark.parametrize(
    ("part", "count", "name"),
    [
        ("2x Tesla P100 12GB", 2, "Tesla P100 12GB"),
        ("2 x RTX 3060 12GB", 2, "RTX 3060 12GB"),
        ("4×RTX 4090", 4, "RTX 4090"),
        ("RTX 3090 x2", 2, "RTX 3090"),
        ("RTX 4090", 1, "RTX 4090"),
        ("0x RTX 4090", 0, "RTX 4090"),
        ("X1E80100", 1, "X1E80100"),
        ("2x3090", 2, "3090"),
    ],
)
def test_counts(part: str, count: int, name: str) -> None:
    assert split_count(part) == (count, name)


@pytest.mark.parametrize(
    ("spec", "suggested"),
    [
        ("RTX 3060", "GeForce RTX 3060 12GB"),
        ("P100", "Tesla P100-PCIE-12GB"),
        ("RTX 4060 Ti; 64GB DDR5-5600 x2", "GeForce RTX 4060 Ti 16GB"),
        ("2x A100 80GB", "A100 80GB PCIe"),
        ("4060 Ti", "GeForce RTX 4060 Ti 16GB"),
    ],
)
def test_name_of_several_boards_is_refused_with_suggestions(spec: str, suggested: str) -> None:
    with pytest.raises(AmbiguousNameError) as refused:
        from_spec(spec)
    assert suggested in refused.value.suggestions
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("2x3090; 64GB", "NVIDIA GeForce RTX 3090"),
        ("1080 ti", "NVIDIA GeForce GTX 1080 Ti"),
        ("780M", "AMD Radeon 780M"),
    ],
)
def test_a_number_of_a_board_is_no_memory_size(spec: str, name: str) -> None:
    assert from_spec(spec).accelerators[0].name == name


@pytest.mark.parametrize(
    "spec",
    [
        "RTX 9999",
        "24Q",
        "banana",
        "16 Q",
        "GPU",
        "Xeon",
        "Core i5",
        "RTX 4090, RTX 3090",
        "RTX 4090; RTX",
        "1e9x RTX 4090",
        "M9 Max 64GB",
        "\N{GRINNING FACE}",
    ],
)
def test_part_that_names_nothing_is_refused(spec: str) -> None:
    with pytest.raises(UnknownNameError) as refused:
        from_spec(spec)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ("", "input.spec_empty"),
        (" ; ;", "input.spec_empty"),
        ("-5G", "input.spec_memory_malformed"),
        ("5", "input.spec_memory_malformed"),
        ("128", "input.spec_memory_malformed"),
        ("0x RTX 4090", "input.spec_count_impossible"),
        ("-2x RTX 4090", "input.spec_count_impossible"),
        ("99999x RTX 4090", "input.spec_count_impossible"),
        ("2x M4 Max 64GB", "input.spec_count_impossible"),
        ("2x Core i5-8500", "input.spec_sockets_impossible"),
        ("9x EPYC 9554", "input.spec_sockets_impossible"),
        ("16GB DDR4-9999", "input.spec_memory_speed_impossible"),
        ("16GB DDR7-8000", "input.spec_memory_malformed"),
        ("16GB DDR4-2666 x1 more", "input.spec_memory_malformed"),
        ("Core i5-8500; 16GB DDR4-2666 x4", "input.spec_channels_impossible"),
        ("16GB DDR4-2666 x0", "input.spec_channels_impossible"),
        ("0GB", "input.size_impossible"),
        ("99999999TB", "input.size_impossible"),
        ("1000TB", "input.spec_memory_too_large"),
        ("16GB; 32GB", "input.spec_twice"),
        ("Core i5-8500; i7-9700", "input.spec_twice"),
        ("windows 11; linux", "input.spec_twice"),
        ("M4 Max 64GB; RTX 4090", "input.spec_unified_alone"),
        ("M4 Max 64GB; windows 11", "input.spec_unified_alone"),
        ("DGX Spark; 128GB", "input.spec_unified_alone"),
        ("M4 Max", "input.spec_memory_size_needed"),
        ("M4 Max 96GB", "input.spec_memory_size_mismatch"),
        ("RTX 4090 48GB", "input.spec_memory_size_mismatch"),
        ("Ryzen AI Max+ 395", "input.spec_system_memory"),
        ("A" * 501, "input.spec_too_long"),
    ],
)
def test_impossible_machine_is_refused_with_its_reason(spec: str, key: str) -> None:
    with pytest.raises(InputError) as refused:
        from_spec(spec)
    assert refused.value.key == key
    for lang in ("en", "ko"):
        assert t(refused.value.key, lang, **refused.value.facts)


def test_same_words_give_the_same_machine() -> None:
    """Origin spec, no id, and nothing of this computer."""
    spec = "2x RTX 3060 12GB; Ryzen 5 5600X; 64GB DDR4-3200 x2; ubuntu 22.04"
    first, second = from_spec(spec), from_spec(spec)
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert first.host.origin is HostOrigin.SPEC
    assert first.host.id is None
    assert first.host.name == spec
    assert first.attempts == ()


def test_machine_survives_its_own_json() -> None:
    machine = from_spec("GH200 96GB; 480GB LPDDR5X")
    assert msgspec.json.decode(msgspec.json.encode(machine), type=Machine) == machine


def test_every_catalog_figure_is_marked_as_such() -> None:
    machine = from_spec("RTX 4090; Core i5-8500; 32GB DDR4-2666")
    for pointer in (
        "/accelerators/0/bandwidth_bytes_per_s",
        "/accelerators/0/compute_capability",
        "/accelerators/0/memory_total_bytes",
        "/memory/bandwidth_bytes_per_s",
    ):
        assert machine.provenance[pointer].kind == "catalog", pointer
    assert machine.provenance["/memory/total_bytes"].kind == "spec"


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_a_machine_or_one_clear_refusal(text: str) -> None:
    try:
        machine = from_spec(text)
    except InputError as refused:
        assert t(refused.key, "en", **refused.facts)
        assert t(refused.key, "ko", **refused.facts)
    else:
        assert machine.host.origin is HostOrigin.SPEC
