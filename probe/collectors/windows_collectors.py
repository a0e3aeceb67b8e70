"""The collectors that only Windows needs, loaded there alone: a scan elsewhere does not pay for them."""

from typing import Final

from probe.collectors.facts import Facts
from probe.collectors.host import Host

DISPLAY_SOURCE: Final = "registry: display"


def collect_system(host: Host) -> Facts:
    """Edition, container, processor topology."""
    if host.platform().system == "windows":
        from probe.collectors import windows_system

        yield from windows_system.collect(host)


def collect_limits(host: Host) -> Facts:
    """Memory and processor limits of the job that holds us."""
    if host.platform().system == "windows":
        from probe.collectors import windows_limits

        yield from windows_limits.collect(host)


def collect_power(host: Host) -> Facts:
    """Mains or battery, and the power plan."""
    if host.platform().system == "windows":
        from probe.collectors import windows_power

        yield from windows_power.collect(host)


def collect_display(host: Host) -> Facts:
    """Graphics adapters and NPUs."""
    if host.platform().system == "windows":
        from probe.collectors import windows_display

        yield from windows_display.collect(host)
