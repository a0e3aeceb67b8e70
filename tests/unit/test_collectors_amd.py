"""AMD GPUs: which pool is whose, what old and new tools print, where a card's own link ends."""

import json
from pathlib import Path

import pytest

from probe.collectors.amd import AmdMemory, kind_of, parse_amdgpu_ids
from probe.collectors.amd_tools import AmdTold, parse_amd_smi, parse_rocm_smi, parse_rocminfo
from probe.collectors.answers import Failure, ProgramOutput
from probe.collectors.drm import pcie_link
from probe.collectors.kfd import gfx_target, parse_ip_discovery, parse_node
from probe.collectors.run import scan_machine
from probe.machine import AcceleratorKind, AcceleratorState, AttemptResult, PcieLink
from probe.units import GIB, MIB
from tests.fakes.hosts import TreeHost, pci_card

BUS = "/sys/bus/pci/devices"


@pytest.mark.parametrize(
    ("device", "target", "inside", "memory", "kind"),
    [
        ("744c", "gfx1100", False, AmdMemory(vram_bytes=24 * GIB, gtt_bytes=31 * GIB), "discrete"),
        ("1638", "gfx90c", True, AmdMemory(vram_bytes=GIB // 2, gtt_bytes=8 * GIB), "integrated"),
        ("1586", "gfx1151", True, AmdMemory(vram_bytes=GIB // 2, gtt_bytes=62 * GIB), "unified"),
        ("1586", "gfx1151", True, AmdMemory(vram_bytes=96 * GIB, gtt_bytes=15 * GIB), "unified"),
        ("74a0", "gfx942", False, AmdMemory(vram_bytes=128 * GIB, gtt_bytes=64 * GIB), "unified"),
        # In a virtual machine the slot's neighbours are not handed in: only the two sizes speak.
        ("15bf", "gfx1103", False, AmdMemory(vram_bytes=2 * GIB, gtt_bytes=15 * GIB), "integrated"),
        # Must not be taken for part of the processor: a small card in a machine with much RAM.
        (
            "699f",
            "gfx803",
            False,
            AmdMemory(vram_bytes=2 * GIB, gtt_bytes=31 * GIB, has_own_chips=True),
            "discrete",
        ),
        ("7340", "gfx1012", False, AmdMemory(vram_bytes=4 * GIB, gtt_bytes=8 * GIB), "discrete"),
        ("744c", None, False, AmdMemory(), "discrete"),
    ],
)
def test_kind_is_decided_by_place_target_and_memory(
    device: str, target: str | None, inside: bool, memory: AmdMemory, kind: str
) -> None:
    found = kind_of(device=device, gfx_target=target, inside=inside, memory=memory)
    assert found is AcceleratorKind(kind)


@pytest.mark.parametrize(
    ("version", "target"),
    [
        (110000, "gfx1100"),
        (110501, "gfx1151"),
        (90010, "gfx90a"),
        (90402, "gfx942"),
        (90012, "gfx90c"),
        (0, None),
    ],
)
def test_target_of_the_kernels_number(version: int, target: str | None) -> None:
    assert gfx_target(version) == target


def test_target_of_the_chips_own_table() -> None:
    assert parse_ip_discovery("11", "5", "1") == "gfx1151"
    assert parse_ip_discovery("8", "0", "3") is None
    assert parse_ip_discovery("11", None, "1") is None


def test_topology_node_of_a_processor_is_no_gpu() -> None:
    assert parse_node("cpu_cores_count 16\nsimd_count 0\nlocation_id 0\n") is None
    node = parse_node("simd_count 192\ngfx_target_version 110000\nlocation_id 50432\ndomain 1\n")
    assert node is not None
    assert (node.address, node.gfx_target) == ("0001:c5:00.0", "gfx1100")


def test_name_by_device_and_revision() -> None:
    """The list as libdrm 2.4.114 has it: upper case, a tab behind each comma."""
    text = "# List\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n744C,\tCC,\tAMD Radeon RX 7900 XT\n"
    assert parse_amdgpu_ids(text, "744c", "cc") == "AMD Radeon RX 7900 XT"
    assert parse_amdgpu_ids(text, "744c", "ff") is None


@pytest.mark.parametrize(
    "text",
    [
        # ROCm 7
        '{"gpu_data": [{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X", "vendor_id": "0x1002", '
        '"device_id": "0x74a1", "target_graphics_version": "gfx942"}, "bus": {"bdf": "0000:83:00.0"}, '
        '"vram": {"type": "HBM3", "size": {"value": 196592, "unit": "MB"}}}]}',
        # ROCm 6.1 to 6.4: a bare list; warnings about rights come first
        "Permission needed to access required GPU device node(s):\n  /dev/kfd: Permission denied\n"
        '[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X", "vendor_id": "0x1002", "device_id": '
        '"0x74a1", "target_graphics_version": "gfx942"}, "bus": {"bdf": "0000:83:00.0"}, '
        '"vram": {"size": {"value": 196592, "unit": "MB"}}}]',
        # ROCm 6.0
        '[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X", "vendor_id": "0x1002", "device_id": '
        '"0x74a1", "target_graphics_version": "gfx942"}, "bus": {"bdf": "0000:83:00.0"}, '
        '"vram": {"vram_type": "HBM", "vram_size_mb": 196592}}]',
    ],
)
def test_amd_smi_of_three_releases(text: str) -> None:
    assert parse_amd_smi(text) == (
        AmdTold(
            pci_address="0000:83:00.0",
            pci_id="1002:74a1",
            name="AMD Instinct MI300X",
            gfx_target="gfx942",
            vram_bytes=196592 * MIB,
        ),
    )


@pytest.mark.parametrize(
    "text",
    ["", "ERROR: no driver", "[", '{"gpu_data": "N/A"}', '[1, null, "x"]', '{"gpu_data": [', "null"],
)
def test_amd_smi_that_says_nothing_tells_nothing(text: str) -> None:
    assert parse_amd_smi(text) == ()


def test_amd_smi_not_available_is_unknown() -> None:
    (row,) = parse_amd_smi('[{"gpu": 2, "asic": "N/A", "vram": {"size": "N/A"}, "bus": {"bdf": "N/A"}}]')
    assert row == AmdTold()


@pytest.mark.parametrize("series", ["Card Series", "Card series"])
def test_rocm_smi_in_both_spellings(series: str) -> None:
    text = json.dumps(
        {
            "card0": {
                series: "Radeon RX 7900 XTX",
                "Card model": "0x744c",
                "VRAM Total Memory (B)": "25753026560",
                "VRAM Total Used Memory (B)": "N/A",
                "PCI Bus": "0000:03:00.0",
            },
            "system": {"Driver version": "6.7.0"},
        }
    )
    (row,) = parse_rocm_smi("WARNING: AMD GPU device(s) is/are in a low-power state\n" + text)
    assert (row.name, row.vram_bytes, row.vram_used_bytes) == ("Radeon RX 7900 XTX", 25753026560, None)
    assert row.pci_address == "0000:03:00.0"


def test_rocminfo_without_gpu_tells_nothing() -> None:
    assert parse_rocminfo("*******\nAgent 1\n*******\n  Name: CPU\n  Device Type:             CPU\n") == ()


class ToolHost(TreeHost):
    """A card whose driver files do not tell its memory, and tools as the test says."""

    tools: dict[str, ProgramOutput | Failure]
    asked: list[str]

    def find_program(self, name: str) -> str | None:
        return f"/opt/rocm/bin/{name}" if name in self.tools else None

    def run(self, arguments, *, timeout_s=3.0, limit_bytes=0):  # type: ignore[no-untyped-def]
        name = arguments[0].rpartition("/")[2]
        self.asked.append(name)
        return self.tools[name]


def silent_card(tmp_path: Path, **tools: ProgramOutput | Failure) -> ToolHost:
    files = {**pci_card("0000:83:00.0", vendor="1002", device="74a1", class_code="120000")}
    host = ToolHost(
        tmp_path,
        files,
        links={
            f"{BUS}/0000:83:00.0/driver": "../../../bus/pci/drivers/amdgpu",
            "/sys/bus/pci/drivers/amdgpu/0000:83:00.0": "../../../../devices/pci0000:00/0000:83:00.0",
        },
    )
    host.tools = {name.replace("_", "-"): output for name, output in tools.items()}
    host.asked = []
    return host


AMD_SMI = ProgramOutput(
    exit_code=0,
    stdout='[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X"}, "bus": {"bdf": "0000:83:00.0"}, '
    '"vram": {"size": {"value": 196592, "unit": "MB"}}}]',
)
ROCM_SMI = ProgramOutput(
    exit_code=0,
    stdout='{"card0": {"Card Series": "AMD Instinct MI300X", "PCI Bus": "0000:83:00.0", '
    '"VRAM Total Memory (B)": "206141652992", "VRAM Total Used Memory (B)": "297795584"}}',
)


def test_tools_fill_what_the_drivers_files_lack(tmp_path: Path) -> None:
    host = silent_card(tmp_path, amd_smi=AMD_SMI, rocm_smi=ROCM_SMI)
    (card,) = scan_machine(host, deadline_s=30).accelerators
    assert (card.name, card.memory_total_bytes) == ("AMD Instinct MI300X", 196592 * MIB)
    assert card.kind is AcceleratorKind.DISCRETE
    assert [name for name in host.asked if name.endswith("smi")] == ["amd-smi"]


def test_second_tool_is_asked_where_the_first_fails(tmp_path: Path) -> None:
    broken = ProgramOutput(exit_code=1, stdout="Traceback (most recent call last)", stderr="")
    machine = scan_machine(silent_card(tmp_path, amd_smi=broken, rocm_smi=ROCM_SMI), deadline_s=30)
    (card,) = machine.accelerators
    assert card.memory_total_bytes == 206141652992
    results = {attempt.source: attempt.result for attempt in machine.attempts}
    assert results["amd-smi"] is AttemptResult.FAILED
    assert results["rocm-smi"] is AttemptResult.OK


def test_memory_stays_unknown_where_nothing_tells_it(tmp_path: Path) -> None:
    (card,) = scan_machine(silent_card(tmp_path), deadline_s=30).accelerators
    assert card.memory_total_bytes is None
    assert card.state is AcceleratorState.USABLE


def test_tools_are_not_started_where_files_tell(tmp_path: Path) -> None:
    host = silent_card(tmp_path, amd_smi=AMD_SMI)
    (tmp_path / f"{BUS}/0000:83:00.0/mem_info_vram_total".lstrip("/")).write_text("206141652992\n")
    (card,) = scan_machine(host, deadline_s=30).accelerators
    assert card.memory_total_bytes == 206141652992
    assert "amd-smi" not in host.asked


def tree_of_link(tmp_path: Path, ports: list[tuple[str, str, str, str, str]]) -> TreeHost:
    """Ports from the processor to the card: address, vendor, class, generation's speed, width."""
    files = {}
    for address, vendor, code, speed, width in ports:
        folder = f"{BUS}/{address}"
        files |= {
            f"{folder}/vendor": f"0x{vendor}\n",
            f"{folder}/class": f"0x{code}\n",
            f"{folder}/max_link_speed": f"{speed} GT/s PCIe\n",
            f"{folder}/max_link_width": f"{width}\n",
            f"{folder}/current_link_speed": "2.5 GT/s PCIe\n",
            f"{folder}/current_link_width": f"{width}\n",
        }
    return TreeHost(tmp_path, files)


class LinkHost(TreeHost):
    chain: str

    def read_link(self, path: str) -> str | Failure:
        return self.chain


def test_link_of_a_card_without_a_switch_is_its_own(tmp_path: Path) -> None:
    tree_of_link(
        tmp_path,
        [
            ("0000:00:01.0", "8086", "060400", "8.0", "16"),
            ("0000:01:00.0", "1002", "030000", "8.0", "16"),
        ],
    )
    host = LinkHost(tmp_path)
    host.chain = "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0"
    assert pcie_link(host, "0000:01:00.0", "1002") == PcieLink(
        generation=1, width=16, max_generation=3, max_width=16, device_max_generation=3
    )


def test_processors_own_port_is_no_part_of_the_card(tmp_path: Path) -> None:
    """An Intel card under an Intel processor: both of one maker, the port is not the card's switch."""
    tree_of_link(
        tmp_path,
        [
            ("0000:00:01.0", "8086", "060400", "32.0", "16"),
            ("0000:01:00.0", "8086", "060400", "16.0", "8"),
            ("0000:02:01.0", "8086", "060400", "2.5", "1"),
            ("0000:03:00.0", "8086", "030000", "2.5", "1"),
        ],
    )
    host = LinkHost(tmp_path)
    host.chain = "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0"
    link = pcie_link(host, "0000:03:00.0", "8086")
    assert link is not None
    assert (link.max_generation, link.max_width) == (4, 8)
