"""NPUs, cards, adapters that are no GPUs, and the roads between devices."""

import pytest

from probe.catalog.links import all_links, c2c_bytes_per_s, link_named, pcie_bytes_per_s
from probe.catalog.npus import all_npus, display_adapter_kind, match_npu
from probe.machine import AcceleratorKind
from probe.messages import has, t
from probe.units import GB, GIB


@pytest.mark.parametrize(
    ("pci_id", "os_name", "expected", "note"),
    [
        ("8086:7d1d", None, "Intel AI Boost NPU3 (Meteor Lake)", "intel_npu"),
        ("8086:643e", "Intel(R) AI Boost", "Intel AI Boost NPU4 (Lunar Lake)", "intel_npu"),
        (None, "Intel(R) AI Boost", "Intel AI Boost NPU", "intel_npu"),
        ("1022:1502", None, "AMD XDNA 1 (Phoenix, Hawk Point)", "amd_xdna1"),
        ("1022:17f0", None, "AMD XDNA 2 (Strix, Krackan, Strix Halo, Gorgon Point)", "amd_xdna2"),
        (None, "NPU Compute Accelerator Device", "AMD XDNA NPU", "amd_xdna"),
        ("1eff:1120", None, "Rebellions ATOM+ RBLN-CA12/CA22", "rebellions"),
        ("1eff:9999", None, "Rebellions card", "rebellions"),
        ("1ed2:0001", None, "FuriosaAI RNGD", "furiosa"),
        ("1ed2:0000", None, "FuriosaAI Warboy", "not_for_llm"),
        ("209f:0000", None, "Mobilint card", "mobilint"),
        ("1ff4:0100", None, "DEEPX DX-M1", "not_for_llm"),
        ("1f56:0001", None, "SAPEON card", "sapeon"),
        ("1e52:401e", "n150", "Tenstorrent Wormhole n150", "tenstorrent"),
        ("1e52:401e", "n300", "Tenstorrent Wormhole n300", "tenstorrent"),
        ("1e52:401e", None, "Tenstorrent Wormhole", "tenstorrent"),
        ("1e60:2864", None, "Hailo-8 / 8L", "not_for_llm"),
        ("1e60:45c4", None, "Hailo-10H", "hailo10h"),
        ("1da3:1020", None, "Intel Gaudi 2", "gaudi"),
    ],
)
def test_npu_or_card_is_named(pci_id: str | None, os_name: str | None, expected: str, note: str) -> None:
    row = match_npu(pci_id=pci_id, os_name=os_name)
    assert row is not None
    assert (row.name, row.software_note) == (expected, note)


@pytest.mark.parametrize(
    ("pci_id", "os_name"),
    [
        ("10de:2684", "NVIDIA GeForce RTX 4090"),
        ("8086:a780", "Intel(R) UHD Graphics 770"),
        ("19e5:1822", None),  # Huawei network card, no accelerator
        ("1ae0:0042", None),  # Google virtual network card, no TPU
        ("1af4:1050", None),
        (None, "n1500"),
        (None, "Intel"),
        (None, None),
    ],
)
def test_other_devices_are_no_npu(pci_id: str | None, os_name: str | None) -> None:
    assert match_npu(pci_id=pci_id, os_name=os_name) is None


def test_wormhole_boards_have_the_memory_of_the_makers_docs() -> None:
    """12 and 24 GB; a common tool prints 48 and 96."""
    n150 = match_npu(pci_id="1e52:401e", os_name="n150")
    n300 = match_npu(pci_id="1e52:401e", os_name="n300")
    assert n150 is not None
    assert n300 is not None
    assert (n150.memory_bytes, n300.memory_bytes) == (12 * GIB, 24 * GIB)


def test_every_npu_has_its_sentence_in_both_languages() -> None:
    for row in all_npus():
        assert row.kind in (AcceleratorKind.NPU, AcceleratorKind.CARD)
        assert row.source
        for lang in ("en", "ko"):
            assert has(f"npus.{row.software_note}", lang), row.software_note
            assert row.name in t(f"npus.{row.software_note}", lang, name=row.name)


@pytest.mark.parametrize(
    ("pci_id", "name", "kind"),
    [
        ("1a03:2000", None, "bmc"),
        ("102b:0536", "Matrox G200eW3", "bmc"),
        ("1414:5353", "Microsoft Hyper-V Video", "virtual"),
        ("15ad:0405", None, "virtual"),
        ("1af4:1050", None, "virtual"),
        (None, "Parsec Virtual Display Adapter", "virtual"),
        (None, "Meta Virtual Monitor", "virtual"),
        (None, "Microsoft Remote Display Adapter", "virtual"),
        (None, "Microsoft Basic Display Adapter", "no_driver"),
        (None, "Microsoft 기본 디스플레이 어댑터", "no_driver"),
        (None, "llvmpipe (LLVM 17.0.6, 256 bits)", "software"),
        ("10de:2684", "NVIDIA GeForce RTX 4090", None),
        ("8086:3e92", "Intel(R) UHD Graphics 630", None),
        ("1002:73ff", "AMD Radeon RX 6600", None),
        (None, None, None),
    ],
)
def test_virtual_and_server_adapters_are_no_gpus(
    pci_id: str | None, name: str | None, kind: str | None
) -> None:
    assert display_adapter_kind(pci_id=pci_id, name=name) == kind


def test_pcie_speed_is_85_percent_of_the_line() -> None:
    """PCIe 3.0 x16: 15.75 GB/s after coding, 13.39 usable."""
    assert pcie_bytes_per_s(3, 16) == pytest.approx(13.39 * GB)
    assert pcie_bytes_per_s(5, 16) == pytest.approx(53.56 * GB)
    assert pcie_bytes_per_s(4, 8) == pytest.approx(pcie_bytes_per_s(3, 16) or 0)
    assert pcie_bytes_per_s(3, 12) == pytest.approx(12 * 0.84 * GB)
    assert pcie_bytes_per_s(None, 16) is None
    assert pcie_bytes_per_s(9, 16) is None


def test_c2c_is_half_of_what_the_vendor_prints_for_both_ways() -> None:
    assert c2c_bytes_per_s("NVIDIA GH200 480GB") == 450 * GB
    assert c2c_bytes_per_s("NVIDIA H200") is None


def test_memory_channel_is_transfers_times_eight_bytes() -> None:
    row = link_named("DDR4-2666 per 64-bit channel")
    assert row is not None
    assert row.bytes_per_s == pytest.approx(2666 * 8e6, rel=0.001)


def test_every_road_has_a_source_and_carries_less_than_its_line() -> None:
    rows = all_links()
    assert len(rows) >= 90
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.source
        assert 0 < row.usable_bytes_per_s <= row.bytes_per_s
