"""Mains or battery, laptop or not, and the power plan, on Linux."""

from typing import Final

from probe.collectors.answers import Failure
from probe.collectors.facts import Facts, Found, ask, int_or_none, text_or_none
from probe.collectors.host import Host
from probe.machine.system import Power

_SUPPLIES: Final = "/sys/class/power_supply"
_PROFILE: Final = "/sys/firmware/acpi/platform_profile"
# SMBIOS chassis types (DMTF DSP0134, section 7.4.1): portable, laptop, notebook, sub notebook, tablet,
# convertible, detachable.
_PORTABLE: Final = frozenset({8, 9, 10, 14, 30, 31, 32})
_PLANS: Final = {"low-power": "power_saver", "quiet": "power_saver", "cool": "power_saver"}


def collect(host: Host) -> Facts:
    """Power source and plan; desktops and servers answer with no battery."""
    if host.platform().system != "linux":
        return
    chassis = int_or_none(host.read_text("/sys/class/dmi/id/chassis_type"))
    if chassis is not None:
        yield Found(Power(laptop=chassis in _PORTABLE), "/sys/class/dmi/id")
    profile = text_or_none(host.read_text(_PROFILE))
    if profile:
        yield Found(Power(plan=_PLANS.get(profile, profile.replace("-", "_"))), _PROFILE)
    names, attempt = ask(host, _SUPPLIES, lambda: host.list_directory(_SUPPLIES))
    yield attempt
    if isinstance(names, Failure):
        return
    mains: list[bool] = []
    discharging: list[bool] = []
    for name in names:
        folder = f"{_SUPPLIES}/{name}"
        kind = text_or_none(host.read_text(f"{folder}/type"))
        if kind in ("Mains", "USB"):
            online = int_or_none(host.read_text(f"{folder}/online"))
            if online is not None and kind == "Mains":
                mains.append(online == 1)
        elif kind == "Battery" and text_or_none(host.read_text(f"{folder}/scope")) != "Device":
            # A mouse's or keyboard's battery has scope Device.
            discharging.append(text_or_none(host.read_text(f"{folder}/status")) == "Discharging")
    if discharging:
        on_battery = not any(mains) if mains else any(discharging)
        yield Found(Power(on_battery=on_battery, laptop=True), _SUPPLIES)
    elif mains or not names:
        yield Found(Power(on_battery=False), _SUPPLIES)
