"""Where NVIDIA cards stand: containers and WSL, links between cards, one row for what bus and NVML know."""

from pathlib import Path
from typing import Any

import pytest

from probe.machine import (
    AcceleratorState,
    LinkKind,
)
from tests.fakes.hosts import on, pci_card
from tests.fakes.nvml_cards import A100, P100, RTX_4090, at, nvswitch_links
from tests.fakes.nvml_library import ByArgument, Error, field_value
from tests.fakes.nvml_scan import nvml_attempt, scan, states


def test_wsl_access_blocked_is_windows_doing(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        init=17,
        files={"/proc/version": "Linux version 5.15.167.4-microsoft-standard-WSL2 (gcc)", "/dev/dxg": ""},
        platform=on(kernel="5.15.167.4-microsoft-standard-WSL2"),
    )
    assert machine.host.os.wsl == 2
    assert nvml_attempt(machine)[1] == "wsl_access_blocked"


def test_container_without_the_nvidia_runtime(tmp_path: Path) -> None:
    """The bus shows the host's card to every container."""
    machine = scan(
        tmp_path,
        init=12,
        files={**pci_card("0000:01:00.0"), "/.dockerenv": ""},
        links={"/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia"},
    )
    assert states(machine) == [("blocked", "container_without_gpu")]


def test_container_that_was_given_one_of_two_cards(tmp_path: Path) -> None:
    machine = scan(
        tmp_path,
        RTX_4090,
        files={
            **pci_card("0000:01:00.0"),
            **pci_card("0000:41:00.0"),
            "/.dockerenv": "",
            "/dev/nvidia0": "",
            "/dev/nvidiactl": "",
        },
        links={
            "/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia",
            "/sys/bus/pci/devices/0000:41:00.0/driver": "../../../bus/pci/drivers/nvidia",
        },
    )
    assert states(machine) == [("usable", None), ("blocked", "container_without_gpu")]


def test_nvml_finds_cards_where_neither_bus_nor_device_files_show_them(tmp_path: Path) -> None:
    """WSL and many containers."""
    assert states(scan(tmp_path, RTX_4090)) == [("usable", None)]


def test_two_cards_without_nvlink_share_the_bus(tmp_path: Path) -> None:
    peers = {"nvmlDeviceGetTopologyCommonAncestor": lambda _, level: _set(level, 50)}
    p2p = {"nvmlDeviceGetP2PStatus": lambda _other, _index, status: _set(status, 2)}
    cards = [{**at(P100, bus), **peers, **p2p} for bus in (4, 0x84)]
    machine = scan(tmp_path, *cards)
    (pair,) = [link for link in machine.links if link.a != "cpu"]
    assert (pair.a, pair.b, pair.kind, pair.topology) == ("gpu0", "gpu1", LinkKind.PCIE, "sys")
    assert (pair.peer_access, pair.generation, pair.lanes) == (False, 3, 16)


def test_nvlinks_to_switches_reach_every_card(tmp_path: Path) -> None:
    """The H100 was seen to call its links 5.0: the chip's own generation counts."""
    h100 = {
        **A100,
        **nvswitch_links(18),
        "nvmlDeviceGetArchitecture": 9,
        "nvmlDeviceGetFieldValues": field_value(90, 26562),
        "nvmlDeviceGetP2PStatus": lambda _other, _index, status: _set(status, 0),
    }
    machine = scan(tmp_path, *(at(h100, bus) for bus in (1, 2, 3)))
    pairs = [link for link in machine.links if link.a != "cpu"]
    assert len(pairs) == 3
    for pair in pairs:
        assert (pair.kind, pair.lanes, pair.generation, pair.peer_access) == (LinkKind.NVLINK, 18, 4, True)
        assert pair.bytes_per_s == pytest.approx(18 * 26562e6)


def test_direct_nvlinks_are_counted_for_their_pair_only(tmp_path: Path) -> None:
    """Three cards, one bridge: links lead to the neighbour's address."""

    def bridged(bus: int, neighbour: int) -> dict[str, Any]:
        links = dict.fromkeys(range(4), 1)
        return {
            **at(A100, bus),
            "nvmlDeviceGetNvLinkState": ByArgument(links),
            "nvmlDeviceGetNvLinkVersion": ByArgument(dict.fromkeys(links, 4)),
            "nvmlDeviceGetNvLinkRemoteDeviceType": ByArgument(dict.fromkeys(links, 0)),
            "nvmlDeviceGetNvLinkRemotePciInfo_v2": ByArgument(
                {link: {"busId": f"00000000:{neighbour:02X}:00.0".encode()} for link in links}
            ),
        }

    machine = scan(tmp_path, bridged(1, 2), bridged(2, 1), at(A100, 3))
    kinds = {(link.a, link.b): (link.kind, link.lanes) for link in machine.links if link.a != "cpu"}
    assert kinds == {
        ("gpu0", "gpu1"): (LinkKind.NVLINK, 4),
        ("gpu0", "gpu2"): (LinkKind.PCIE, 16),
        ("gpu1", "gpu2"): (LinkKind.PCIE, 16),
    }


def test_inactive_nvlinks_do_not_count(tmp_path: Path) -> None:
    """A link that is down answers 0, a place without link an error in the middle of the row."""
    card = {**A100, **nvswitch_links(12)}
    card["nvmlDeviceGetNvLinkState"] = ByArgument({0: 1, 1: 0, 2: Error(999), 3: 1})
    machine = scan(tmp_path, at(card, 1), at(card, 2))
    (pair,) = [link for link in machine.links if link.a != "cpu"]
    assert (pair.kind, pair.lanes) == (LinkKind.NVLINK, 2)


def test_adapters_that_show_pictures_are_no_gpus(tmp_path: Path) -> None:
    """Server management, virtual machines, and NVIDIA's own audio function."""
    files: dict[str, str] = {}
    for number, vendor in enumerate(("1a03", "102b", "1414", "15ad", "1af4", "1b36", "1234", "80ee")):
        files |= pci_card(f"0000:{number:02x}:00.0", vendor=vendor, device="1111")
    files |= pci_card("0000:20:00.1", class_code="040300")
    assert scan(tmp_path, init=12, files=files).accelerators == ()


@pytest.mark.parametrize(("neighbour", "kind"), [("1022", "integrated"), ("1002", "discrete")])
def test_graphics_of_an_amd_processor_share_its_slot(tmp_path: Path, neighbour: str, kind: str) -> None:
    files = {
        **pci_card("0000:6c:00.0", vendor="1002", device="164e"),
        **pci_card("0000:6c:00.2", vendor=neighbour, device="1649", class_code="108000"),
    }
    (gpu,) = scan(tmp_path, init=12, files=files).accelerators
    assert (gpu.vendor, gpu.kind.value, gpu.memory_shared) == ("amd", kind, kind == "integrated")


def test_card_whose_address_nvml_does_not_tell_is_not_listed_twice(tmp_path: Path) -> None:
    silent = {**RTX_4090, "nvmlDeviceGetPciInfo_v3": Error(3)}
    machine = scan(
        tmp_path,
        silent,
        files=pci_card("0000:01:00.0"),
        links={"/sys/bus/pci/devices/0000:01:00.0/driver": "../../../bus/pci/drivers/nvidia"},
    )
    (card,) = machine.accelerators
    assert (card.name, card.pci_address, card.pci_id) == (
        "NVIDIA GeForce RTX 4090",
        "0000:01:00.0",
        "10de:2684",
    )
    assert card.state is AcceleratorState.USABLE


def test_one_card_known_to_bus_and_nvml_is_one_row(tmp_path: Path) -> None:
    machine = scan(tmp_path, RTX_4090, files=pci_card("0000:01:00.0"))
    assert [card.name for card in machine.accelerators] == ["NVIDIA GeForce RTX 4090"]


def test_different_cards_stay_different(tmp_path: Path) -> None:
    machine = scan(tmp_path, RTX_4090, at(P100, 4), at(P100, 5))
    assert [card.name for card in machine.accelerators] == [
        "NVIDIA GeForce RTX 4090",
        "Tesla P100-PCIE-12GB",
        "Tesla P100-PCIE-12GB",
    ]
    assert [card.index for card in machine.accelerators] == [0, 1, 2]


def _set(place: Any, value: int) -> int:
    place._obj.value = value
    return 0
