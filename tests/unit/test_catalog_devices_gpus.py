"""GPU rows: strict match of detected names, loose search of typed ones, identities of the figures."""

import subprocess
import sys
from pathlib import Path

import pytest

from probe.catalog.gpus import (
    GpuForm,
    all_gpus,
    find_board,
    find_gpu,
    match_apple_gpu,
    match_gpu,
    short_name,
)
from probe.errors import AmbiguousNameError, InputError, UnknownNameError
from probe.machine import AcceleratorKind
from probe.units import GB, GIB, MIB

ROOT = Path(__file__).resolve().parents[2]


# Driver names, PCI ids, totals and maximum memory clocks as public logs print them.
@pytest.mark.parametrize(
    ("pci_id", "name", "memory_mib", "clock_mhz", "expected"),
    [
        ("10de:2684", "NVIDIA GeForce RTX 4090", 24564, 10501, "NVIDIA GeForce RTX 4090"),
        ("10de:2685", "NVIDIA GeForce RTX 4090 D", 24564, 10501, "NVIDIA GeForce RTX 4090 D"),
        (
            "10de:2757",
            "NVIDIA GeForce RTX 4090 Laptop GPU",
            16376,
            9001,
            "NVIDIA GeForce RTX 4090 Laptop GPU",
        ),
        (
            "10de:28e0",
            "NVIDIA GeForce RTX 4060 Laptop GPU",
            8188,
            8001,
            "NVIDIA GeForce RTX 4060 Laptop GPU",
        ),
        ("10de:2882", "NVIDIA GeForce RTX 4060", 8188, 8501, "NVIDIA GeForce RTX 4060"),
        ("10de:2805", "NVIDIA GeForce RTX 4060 Ti", 16380, 9001, "NVIDIA GeForce RTX 4060 Ti 16GB"),
        ("10de:2803", "NVIDIA GeForce RTX 4060 Ti", 8188, 9001, "NVIDIA GeForce RTX 4060 Ti 8GB"),
        # One name and one id, two memory types: the clock decides.
        ("10de:1f82", "NVIDIA GeForce GTX 1650", 4096, 4001, "NVIDIA GeForce GTX 1650 (GDDR5)"),
        ("10de:1f82", "NVIDIA GeForce GTX 1650", 4096, 6001, "NVIDIA GeForce GTX 1650 (GDDR6)"),
        ("10de:2786", "NVIDIA GeForce RTX 4070", 12282, 10501, "NVIDIA GeForce RTX 4070"),
        ("10de:2786", "NVIDIA GeForce RTX 4070", 12282, 10001, "NVIDIA GeForce RTX 4070 (GDDR6)"),
        # One name and one id, two sizes: the memory decides.
        ("10de:2504", "NVIDIA GeForce RTX 3060", 12288, 7501, "NVIDIA GeForce RTX 3060 12GB"),
        ("10de:2504", "NVIDIA GeForce RTX 3060", 8192, 7501, "NVIDIA GeForce RTX 3060 8GB"),
        ("10de:2d04", "NVIDIA GeForce RTX 5060 Ti", 16311, 14001, "NVIDIA GeForce RTX 5060 Ti 16GB"),
        ("10de:2584", "NVIDIA GeForce RTX 3050", 6144, 7001, "NVIDIA GeForce RTX 3050 6GB"),
        ("10de:2507", "NVIDIA GeForce RTX 3050", 8192, 7001, "NVIDIA GeForce RTX 3050 8GB"),
        ("10de:220a", "NVIDIA GeForce RTX 3080", 12288, 9501, "NVIDIA GeForce RTX 3080 12GB"),
        ("10de:2206", "NVIDIA GeForce RTX 3080", 10240, 9501, "NVIDIA GeForce RTX 3080 10GB"),
        ("10de:24c9", "NVIDIA GeForce RTX 3060 Ti", 8192, 9501, "NVIDIA GeForce RTX 3060 Ti GDDR6X"),
        # Turing laptops carry the desktop's name: the id decides.
        ("10de:1f11", "NVIDIA GeForce RTX 2060", 6144, 7001, "NVIDIA GeForce RTX 2060 (laptop)"),
        ("10de:1f08", "NVIDIA GeForce RTX 2060", 6144, 7001, "NVIDIA GeForce RTX 2060"),
        # ECC takes a sixteenth, older drivers write no NVIDIA before the name.
        ("10de:1eb8", "Tesla T4", 15360, 5001, "Tesla T4"),
        ("10de:1b38", "Tesla P40", 22919, 3615, "Tesla P40"),
        ("10de:15f7", "Tesla P100-PCIE-12GB", 12193, 715, "Tesla P100-PCIE-12GB"),
        ("10de:20b2", "A100-SXM4-80GB", 81920, 1593, "NVIDIA A100-SXM4-80GB"),
        ("10de:2335", "NVIDIA H200", 143771, 3201, "NVIDIA H200"),
        ("10de:2330", "NVIDIA H100 80GB HBM3", 81559, 2619, "NVIDIA H100 80GB HBM3"),
        ("10de:2342", "NVIDIA GH200 480GB", 97871, 2619, "NVIDIA GH200 480GB"),
        ("10de:2901", "NVIDIA B200", 183359, 3996, "NVIDIA B200"),
        ("10de:25b0", "NVIDIA RTX A1000", 8192, 6001, "NVIDIA RTX A1000"),
        # Name alone, where it means one board.
        (None, "NVIDIA GeForce RTX 5090", 32607, None, "NVIDIA GeForce RTX 5090"),
        (None, "NVIDIA GB10", None, None, "NVIDIA GB10"),
        # AMD: ids collide, the name or the memory decides.
        ("1002:73ff", "AMD Radeon RX 6600 XT", 8176, None, "AMD Radeon RX 6600 XT"),
        ("1002:73ff", "AMD Radeon RX 6600", 8176, None, "AMD Radeon RX 6600"),
        ("1002:744c", None, 24560, None, "AMD Radeon RX 7900 XTX"),
        ("1002:744c", "AMD Radeon RX 7900 XTX (RADV NAVI31)", 24560, None, "AMD Radeon RX 7900 XTX"),
        ("1002:67df", "Radeon RX 580 Series", 8192, None, "AMD Radeon RX 580"),
        ("1002:7590", "AMD Radeon RX 9060 XT", 16304, None, "AMD Radeon RX 9060 XT 16GB"),
        ("8086:56a0", "Intel(R) Arc(TM) A770 Graphics", 16288, None, "Intel(R) Arc(TM) A770 Graphics 16GB"),
        (
            "8086:56a0",
            "Intel(R) Arc(tm) A770 Graphics (DG2)",
            8096,
            None,
            "Intel(R) Arc(TM) A770 Graphics 8GB",
        ),
        ("8086:9a49", "Intel(R) Iris(R) Xe Graphics", None, None, "Intel(R) Iris(R) Xe Graphics"),
    ],
)
def test_detected_gpu_finds_its_own_row(
    pci_id: str | None, name: str | None, memory_mib: int | None, clock_mhz: int | None, expected: str
) -> None:
    row = match_gpu(
        pci_id=pci_id,
        name=name,
        memory_bytes=None if memory_mib is None else memory_mib * MIB,
        memory_clock_mhz=clock_mhz,
    )
    assert row is not None
    assert row.name == expected


@pytest.mark.parametrize(
    ("pci_id", "name", "memory_mib", "clock_mhz"),
    [
        # Readings that do not decide between boards of one name.
        (None, "NVIDIA GeForce GTX 1650", 4096, None),
        (None, "NVIDIA GeForce RTX 2060", 6144, 7001),  # desktop or laptop: no id
        ("10de:2504", "NVIDIA GeForce RTX 3060", None, 7501),
        ("10de:24dc", "NVIDIA GeForce RTX 3080 Laptop GPU", None, None),
        ("1002:73ff", None, 8176, None),  # RX 6600, 6600 XT or 6600M
        ("1002:744c", None, 16368, None),  # RX 7900 GRE or 7900M
        ("1002:687f", "Radeon RX Vega", 8176, None),  # Vega 56 or 64
        # Names that merely resemble a row.
        ("10de:25b0", "NVIDIA A100", 8192, 6001),
        (None, "NVIDIA A1000", None, None),
        (None, "A100", None, None),
        (None, "NVIDIA GeForce RTX 4060 Laptop", 8188, None),
        (None, "NVIDIA GeForce RTX 4090 Ti", 24564, None),
        (None, "RTX 4090", None, None),
        (None, "NVIDIA GeForce RTX 3090 (modified)", None, None),
        (None, "nvidia geforce rtx 4090", None, None),
        # vGPU profiles and guests: the memory is a share, the name may be a lie.
        ("10de:2235", "NVIDIA A40-12Q", 12288, None),
        ("10de:2504", "NVIDIA GeForce RTX 3060", 4096, 7501),
        ("10de:20b5", "GRID A100D-20C", 20480, None),
        # Modified boards: right name, other memory.
        ("10de:2684", "NVIDIA GeForce RTX 4090", 49140, 10501),
        ("10de:1e07", "NVIDIA GeForce RTX 2080 Ti", 22528, 7000),
        # Name and id contradict each other.
        ("10de:2684", "NVIDIA GeForce RTX 4060", 8188, 8501),
        ("10de:1f08", "NVIDIA GeForce GTX 1650", 4096, 6001),
        ("1002:73ef", "AMD Radeon RX 6800S", 8176, None),
        # A clock no board of that name has.
        ("10de:2684", "NVIDIA GeForce RTX 4090", 24564, 9001),
        # Not GPUs of the catalog at all.
        ("1a03:2000", "ASPEED Graphics Family", None, None),
        ("1414:5353", "Microsoft Hyper-V Video", None, None),
        ("10de:ffff", None, None, None),
        ("10de:ffff", "NVIDIA Graphics Device", None, None),
        (None, None, None, None),
        (None, "", None, None),
        (None, "llvmpipe (LLVM 17.0.6, 256 bits)", None, None),
    ],
)
def test_doubtful_gpu_finds_no_row(
    pci_id: str | None, name: str | None, memory_mib: int | None, clock_mhz: int | None
) -> None:
    row = match_gpu(
        pci_id=pci_id,
        name=name,
        memory_bytes=None if memory_mib is None else memory_mib * MIB,
        memory_clock_mhz=clock_mhz,
    )
    assert row is None


def test_laptop_row_never_has_the_desktop_bandwidth() -> None:
    """RTX 4060 Laptop 256 GB/s, desktop 272; RTX 4090 Laptop 576, desktop 1008."""
    figures = {
        name: find_gpu(name).bandwidth_bytes_per_s
        for name in ("RTX 4060 Laptop", "RTX 4060", "RTX 4090 Laptop", "RTX 4090")
    }
    assert figures == {
        "RTX 4060 Laptop": 256 * GB,
        "RTX 4060": 272 * GB,
        "RTX 4090 Laptop": 576 * GB,
        "RTX 4090": 1008 * GB,
    }


def test_strix_halo_without_a_name_still_has_its_bandwidth() -> None:
    """1002:1586 is the 8050S and the 8060S: what both share is known, the rest is not."""
    row = match_gpu(pci_id="1002:1586", name="AMD Radeon(TM) Graphics")
    assert row is not None
    assert row.kind is AcceleratorKind.UNIFIED
    assert row.bandwidth_bytes_per_s == 256 * GB


def test_jetson_boards_are_told_apart_by_their_memory() -> None:
    """All of them call themselves "Orin (nvgpu)"; the kernel's total is 61.3 GiB of 64."""
    row = match_gpu(name="Orin (nvgpu)", memory_bytes=round(61.3 * GIB))
    assert row is not None
    assert row.name == "Orin AGX 64GB (Jetson)"


@pytest.mark.parametrize(
    ("chip", "cores", "memory_gib", "gb_per_s"),
    [
        ("Apple M4 Max", 40, 64, 546),
        ("Apple M4 Max", 32, 36, 409.6),
        ("Apple M4 Max", None, 128, 546),
        ("Apple M3 Max", None, 36, 307.2),
        ("Apple M3 Ultra", None, None, 819.2),
        ("Apple M1", 8, 16, 68.2),
    ],
)
def test_apple_chip_is_told_apart_by_cores_or_memory(
    chip: str, cores: int | None, memory_gib: int | None, gb_per_s: float
) -> None:
    row = match_apple_gpu(chip, cores, None if memory_gib is None else memory_gib * GIB)
    assert row is not None
    assert row.bandwidth_bytes_per_s == pytest.approx(gb_per_s * GB, rel=0.001)


@pytest.mark.parametrize("chip", ["Apple M4 Ultra", "Apple M4 Max (40-core GPU)", "M4 Max", "Apple M9"])
def test_apple_chip_that_does_not_exist_has_no_row(chip: str) -> None:
    assert match_apple_gpu(chip, None, None) is None


def test_apple_max_chip_with_nothing_but_its_name_stays_unknown() -> None:
    assert match_apple_gpu("Apple M4 Max", None, None) is None


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("rtx4090", "NVIDIA GeForce RTX 4090"),
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("지포스 RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("RTX 4070", "NVIDIA GeForce RTX 4070"),
        ("geforce rtx 4070", "NVIDIA GeForce RTX 4070"),
        ("rtx4070tisuper", "NVIDIA GeForce RTX 4070 Ti SUPER"),
        ("RTX 3060 12GB", "NVIDIA GeForce RTX 3060 12GB"),
        ("RTX 3070 Laptop", "NVIDIA GeForce RTX 3070 Laptop GPU"),
        ("RTX 3070 노트북", "NVIDIA GeForce RTX 3070 Laptop GPU"),
        ("RTX 4080 mobile", "NVIDIA GeForce RTX 4080 Laptop GPU"),
        ("Tesla P100 12GB", "Tesla P100-PCIE-12GB"),
        ("P100 16GB", "Tesla P100-PCIE-16GB"),
        ("H100", "NVIDIA H100 80GB HBM3"),
        ("H100 PCIe", "NVIDIA H100 PCIe"),
        ("H200", "NVIDIA H200"),
        ("T4", "Tesla T4"),
        ("A1000", "NVIDIA RTX A1000"),
        ("A10", "NVIDIA A10"),
        ("GH200 96GB", "NVIDIA GH200 480GB"),
        ("GH200 480GB", "NVIDIA GH200 480GB"),
        ("DGX Spark", "NVIDIA GB10"),
        ("M4 Max 64GB", "Apple M4 Max (40-core GPU)"),
        ("M4 Max 36GB", "Apple M4 Max (32-core GPU)"),
        ("7900xtx", "AMD Radeon RX 7900 XTX"),
        ("Arc A770 16GB", "Intel(R) Arc(TM) A770 Graphics 16GB"),
        ("RTX 6000 Ada", "NVIDIA RTX 6000 Ada Generation"),
        ("Jetson Orin Nano", "Orin Nano 8GB (Jetson)"),
    ],
)
def test_typed_name_finds_the_board(typed: str, expected: str) -> None:
    assert find_gpu(typed).name == expected


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("RTX 3060", ("GeForce RTX 3060 12GB", "GeForce RTX 3060 8GB")),
        ("P100", ("Tesla P100-PCIE-12GB", "Tesla P100-PCIE-16GB")),
        ("GTX 1650", ("GeForce GTX 1650 (GDDR5)", "GeForce GTX 1650 (GDDR6)")),
        ("RTX 4060 Ti", ("GeForce RTX 4060 Ti 8GB", "GeForce RTX 4060 Ti 16GB")),
        ("RTX A2000", ("RTX A2000 6GB", "RTX A2000 12GB")),
        ("A100 80GB", ("A100-SXM4-80GB", "A100 80GB PCIe")),
    ],
)
def test_name_of_several_boards_is_refused_with_names_that_resolve(
    typed: str, suggested: tuple[str, ...]
) -> None:
    with pytest.raises(AmbiguousNameError) as refused:
        find_gpu(typed)
    assert refused.value.suggestions == suggested
    for name in suggested:
        assert find_gpu(name).name


@pytest.mark.parametrize(
    "typed",
    [
        "RTX 9999",
        "GTX 4090",
        "AMD RTX 4090",
        "24Q",
        "",
        "RTX",
        "GeForce",
        "GPU",
        "RTX 40900",
        "M4 Ultra 64GB",
    ],
)
def test_name_of_no_board_is_refused(typed: str) -> None:
    with pytest.raises(UnknownNameError):
        find_gpu(typed)


@pytest.mark.parametrize("typed", ["RTX 4090 48GB", "M4 Max 96GB", "M4 Max", "GTX 960", "RTX 3060 24GB"])
def test_memory_that_is_not_sold_or_not_named_is_refused(typed: str) -> None:
    with pytest.raises(InputError) as refused:
        find_board(typed)
    assert refused.value.key in ("input.spec_memory_size_mismatch", "input.spec_memory_size_needed")


def test_size_is_needed_for_a_machine_but_not_for_the_row() -> None:
    """GTX 960 boards of 2 and 4 GB have one bandwidth: the row is clear, the memory is not."""
    assert find_gpu("GTX 960").bandwidth_bytes_per_s == 112 * GB
    assert find_board("GTX 960 4GB").memory_bytes == 4 * GIB


def test_every_row_is_found_by_its_own_name() -> None:
    """Or its name is refused because another board has it too, or its size must be said."""
    for row in all_gpus():
        try:
            found = find_gpu(short_name(row))
        except AmbiguousNameError as refused:
            assert len(refused.suggestions) > 1
        except InputError as refused:
            assert refused.key == "input.spec_memory_size_needed"
        else:
            assert found.memory_options_bytes == row.memory_options_bytes


def test_bandwidth_is_clock_times_bus_width() -> None:
    """2 x the maximum memory clock x bus width / 8, as NVML's figures give it."""
    checked = 0
    for row in all_gpus():
        if row.memory_clock_mhz and row.bus_width_bits and row.bandwidth_bytes_per_s:
            computed = 2 * row.memory_clock_mhz * 1e6 * row.bus_width_bits / 8
            assert computed == pytest.approx(row.bandwidth_bytes_per_s, rel=0.005), row.name
            checked += 1
    assert checked >= 250


def test_reported_memory_is_at_most_what_the_board_has() -> None:
    for row in all_gpus():
        if row.reported_memory_bytes is not None:
            assert row.memory_bytes is not None
            # NVML counts from 1/16 less (ECC) to the full size; B300's nominal 268.6 is its own total.
            assert 0.93 <= row.reported_memory_bytes / row.memory_bytes <= 1.005, row.name


def test_rows_have_sources_and_whole_identities() -> None:
    rows = all_gpus()
    assert len(rows) >= 440
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.source
        assert row.retrieved
        assert row.vendor in ("nvidia", "amd", "intel", "apple")
        assert (row.form is GpuForm.LAPTOP) == (row.laptop is True)
        if row.kind is AcceleratorKind.DISCRETE:
            assert row.memory_options_bytes, row.name
            assert row.bandwidth_bytes_per_s, row.name


def test_built_files_agree_with_the_reviewed_tables() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build_devices.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout
