"""NPUs and accelerator cards: named, never counted as memory, and told from what only looks like one."""

from pathlib import Path

import pytest

from probe.catalog.enrich import enrich
from probe.catalog.npus import all_npus
from probe.collectors.accelerator_ids import MAKERS, accelerator_maker
from probe.collectors.facts import PciDevice
from probe.collectors.npu import NpuRow, parse_npu_smi
from probe.collectors.run import scan_machine
from probe.machine import AcceleratorKind, AcceleratorState
from probe.messages import has, t
from probe.recommender.pools import machine_pools
from tests.fakes.hosts import TreeHost, pci_card


def on_bus(vendor: str, device: str, code: str, driver: str | None = None) -> PciDevice:
    return PciDevice(address="0000:01:00.0", vendor=vendor, device=device, class_code=code, driver=driver)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (on_bus("1eff", "1250", "120000"), ("card", "rebellions")),
        (on_bus("1ed2", "0001", "120000"), ("card", "furiosa")),
        (on_bus("1e60", "2864", "0b4000"), ("card", "hailo")),
        (on_bus("1ed5", "0300", "030000"), ("card", "moore_threads")),
        (on_bus("8086", "7d1d", "120000"), ("npu", "intel")),
        (on_bus("1022", "17f0", "118000"), ("npu", "amd")),
        # An NPU that is newer than our list, by its driver.
        (on_bus("8086", "ffff", "120000", "intel_vpu"), ("npu", "intel")),
        # A maker that we do not know, in the class of processing accelerators.
        (on_bus("abcd", "0001", "120000"), ("card", "other")),
    ],
)
def test_accelerators_by_maker_class_and_driver(device: PciDevice, expected: tuple[str, str]) -> None:
    assert accelerator_maker(device) == (AcceleratorKind(expected[0]), expected[1])


@pytest.mark.parametrize(
    "device",
    [
        on_bus("8086", "4940", "0b4000", "4xxx"),  # compression and encryption (QAT)
        on_bus("8086", "09c4", "120000"),  # programmable logic
        on_bus("10ee", "5000", "120000"),  # the same, of Xilinx
        on_bus("19e5", "1711", "030000", "hibmc-drm"),  # board management graphics of Huawei servers
        on_bus("1a03", "2000", "030000"),
        on_bus("10de", "2684", "030000"),
        on_bus("1002", "74a1", "120000"),  # MI300X: a GPU in the class of accelerators
        on_bus("1022", "164a", "118000"),  # sensor hub: AMD's, of the NPU's class
    ],
)
def test_must_not_be_taken_for_an_accelerator_card(device: PciDevice) -> None:
    assert accelerator_maker(device) is None


def test_collector_and_catalog_name_the_same_makers() -> None:
    told = {
        pci_id.partition(":")[0]: row.vendor
        for row in all_npus()
        for pci_id in row.pci_ids
        if row.kind is AcceleratorKind.CARD
    }
    assert {vendor: MAKERS.get(vendor) for vendor in told} == told


@pytest.mark.parametrize("row", [row for row in all_npus() if row.pci_ids], ids=lambda row: row.name)
def test_every_known_card_gets_its_sentence_and_adds_no_memory(row, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    vendor, _, device = row.pci_ids[0].partition(":")
    device = "00ff" if device == "*" else device
    code = "118000" if vendor == "1022" else "120000"
    host = TreeHost(tmp_path, pci_card("0000:01:00.0", vendor=vendor, device=device, class_code=code))
    machine = enrich(scan_machine(host, deadline_s=30))
    (card,) = machine.accelerators
    assert card.kind is row.kind
    assert card.state is AcceleratorState.NO_DRIVER
    assert card.software_note is not None
    for lang in ("en", "ko"):
        assert has(card.software_note, lang)
        assert card.name in t(card.software_note, lang, name=card.name)
    assert card.memory_total_bytes is None
    assert machine_pools(machine).gpus == ()


def test_unknown_makers_card_is_told_as_unknown(tmp_path: Path) -> None:
    host = TreeHost(tmp_path, pci_card("0000:01:00.0", vendor="abcd", device="0001", class_code="120000"))
    (card,) = enrich(scan_machine(host, deadline_s=30)).accelerators
    assert (card.vendor, card.name, card.software_note) == (
        "other",
        "PCI abcd:0001",
        "npus.unknown_maker",
    )


def test_chips_of_npu_smi_keep_their_addresses() -> None:
    """Lines of a server with 910B2C, whose second line has other spaces."""
    text = (
        "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|\n"
        "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |\n"
        "| 0     910B2C              | OK            | 118.6       47                0    / 0             |\n"
        "| 0                         | 0000:6B:02.0  | 6           0    / 0          35738/ 65536         |\n"
        "| 7     310P3               | OK            | NA          55                0    / 0             |\n"
        "| 0     7                   | 0000:06:00.0  | 0           1628 / 21527                           |\n"
        "| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |\n"
    )
    assert parse_npu_smi(text) == (
        NpuRow(name="Ascend910B2C", pci_address="0000:6b:02.0"),
        NpuRow(name="Ascend310P3", pci_address="0000:06:00.0"),
    )


@pytest.mark.parametrize("text", ["", "dcmi module initialize failed. ret is -8005", "|||||", "| 0 910B |"])
def test_npu_smi_without_chips(text: str) -> None:
    assert parse_npu_smi(text) == ()
