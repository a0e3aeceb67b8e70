"""Doors to the collectors of other makers: a machine without their parts imports nothing of them."""

from typing import Final

from probe.collectors.facts import Facts
from probe.collectors.host import Host

_DRIVERS: Final = "/sys/bus/pci/drivers"
_WSL_GPU: Final = "/dev/dxg"
# What drivers of NPUs and cards make, where the PCI bus has no name for the device.
TENSTORRENT: Final = "/sys/class/tenstorrent"
RKNPU: Final = "/sys/bus/platform/drivers/RKNPU"
FASTRPC: Final = "/dev/fastrpc-cdsp"
ASCEND: Final = "/dev/davinci_manager"


def collect_amd(host: Host) -> Facts:
    """AMD GPUs on Linux and WSL."""
    if host.platform().system == "linux" and (host.exists(f"{_DRIVERS}/amdgpu") or host.exists(_WSL_GPU)):
        from probe.collectors.amd import collect

        yield from collect(host)


def collect_intel(host: Host) -> Facts:
    """Intel GPUs on Linux."""
    if host.platform().system == "linux" and (
        host.exists(f"{_DRIVERS}/i915") or host.exists(f"{_DRIVERS}/xe")
    ):
        from probe.collectors.intel import collect

        yield from collect(host)


def collect_apple(host: Host) -> Facts:
    """Macs, under macOS and under Linux."""
    facts = host.platform()
    if facts.system == "macos":
        from probe.collectors.apple import collect

        yield from collect(host)
    elif facts.system == "linux" and facts.architecture == "aarch64":
        from probe.collectors.apple import collect_asahi

        yield from collect_asahi(host)


def collect_npu(host: Host) -> Facts:
    """NPUs and accelerator cards that Linux names."""
    if host.platform().system != "linux":
        return
    for path in (TENSTORRENT, RKNPU, FASTRPC, ASCEND):
        if host.exists(path):
            from probe.collectors.npu import collect

            yield from collect(host, path)
