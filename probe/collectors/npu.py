"""NPUs and accelerator cards by what their drivers put into Linux: names that the PCI bus does not have."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, ask, text_or_none
from probe.collectors.host import Host
from probe.collectors.pci import normal_address
from probe.collectors.vendor_collectors import ASCEND, FASTRPC, RKNPU, TENSTORRENT
from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState
from probe.machine.attempt import AttemptResult

_LIMIT_S: Final = 4.0
_NPU_SMI_ADDRESS: Final = r"\|\s*\d+(?:\s+\d+)?\s*\|\s*([0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d)"
_PLATFORM_ADDRESS: Final = re.compile(r"[0-9a-f]+\.\w+")


class NpuRow(msgspec.Struct, frozen=True, kw_only=True):
    """One chip of `npu-smi info`."""

    name: str
    pci_address: str | None = None


def collect(host: Host, path: str) -> Facts:
    """What stands behind one of the nodes that `vendor_collectors` found."""
    yield from _READERS[path](host)


def _collect_tenstorrent(host: Host) -> Facts:
    """n150 and n300 share a PCI id; the driver tells them apart."""
    names, attempt = ask(host, TENSTORRENT, lambda: host.list_directory(TENSTORRENT))
    yield attempt
    for index, name in enumerate(() if isinstance(names, Failure) else names):
        board = text_or_none(host.read_text(f"{TENSTORRENT}/{name}/tt_card_type"))
        if board:
            # n300s is the n300 with passive cooling, n150d the one for workstations.
            model = re.sub(r"(?<=\d)[a-z]$", "", board)
            address = _address(host, f"{TENSTORRENT}/{name}/device")
            yield Found(_card(index, "tenstorrent", model, address), "tenstorrent driver")


def _collect_rockchip(host: Host) -> Facts:
    names, attempt = ask(host, RKNPU, lambda: host.list_directory(RKNPU))
    yield attempt
    if any(_PLATFORM_ADDRESS.fullmatch(name) for name in (() if isinstance(names, Failure) else names)):
        yield Found(_npu("rockchip", "rknpu"), "RKNPU driver")


def _collect_qualcomm(host: Host) -> Facts:
    """The compute DSP of a Snapdragon; phones have it too, laptops name their chip in the device tree."""
    text = host.read_text("/proc/device-tree/compatible")
    if not isinstance(text, Failure) and re.search(r"qcom,x\d", text):
        yield Found(_npu("qualcomm", "Qualcomm(R) Hexagon(TM) NPU"), "fastrpc driver")


def _collect_ascend(host: Host) -> Facts:
    program = host.find_program("npu-smi")
    if program is None:
        return
    output, attempt = ask(host, "npu-smi", lambda: host.run((program, "info"), timeout_s=_LIMIT_S))
    rows = () if isinstance(output, Failure) else parse_npu_smi(output.stdout)
    if not isinstance(output, Failure) and not rows:
        silence = "no card in its answer"
        attempt = msgspec.structs.replace(attempt, result=AttemptResult.FAILED, detail=silence)
    yield attempt
    for index, row in enumerate(rows):
        yield Found(_card(index, "huawei", row.name, row.pci_address), "npu-smi")


def parse_npu_smi(text: str) -> tuple[NpuRow, ...]:
    """The two lines that `npu-smi info` prints for each chip: name and health, then bus address."""
    rows: list[NpuRow] = []
    name: str | None = None
    for line in text.splitlines():
        first = re.match(r"\|\s*\d+\s+(9\d\d\w*|310\w*|Ascend\w+)\s*\|", line)
        second = re.match(_NPU_SMI_ADDRESS, line)
        if first:
            name = first[1] if first[1].startswith("Ascend") else f"Ascend{first[1]}"
        elif second and name:
            rows.append(NpuRow(name=name, pci_address=normal_address(second[1])))
            name = None
    return tuple(rows)


def _address(host: Host, link: str) -> str | None:
    target = host.read_link(link)
    return None if isinstance(target, Failure) else normal_address(target.rpartition("/")[2])


def _card(index: int, vendor: str, name: str, address: str | None) -> Accelerator:
    return Accelerator(
        index=index,
        kind=AcceleratorKind.CARD,
        vendor=vendor,
        name=name,
        state=AcceleratorState.USABLE,
        pci_address=address,
    )


def _npu(vendor: str, name: str) -> Accelerator:
    return Accelerator(
        index=0,
        kind=AcceleratorKind.NPU,
        vendor=vendor,
        name=name,
        state=AcceleratorState.USABLE,
        memory_shared=True,
    )


_READERS: Final[dict[str, Callable[[Host], Facts]]] = {
    TENSTORRENT: _collect_tenstorrent,
    RKNPU: _collect_rockchip,
    FASTRPC: _collect_qualcomm,
    ASCEND: _collect_ascend,
}
