"""Mains or battery, battery saver, and the power plan of Windows with the mode chosen on top of it."""

from collections.abc import Mapping
from typing import Final

from probe.collectors.answers import Failure, RegistryValue
from probe.collectors.facts import Facts, Found, ask
from probe.collectors.host import Host
from probe.machine.system import Power

_STATUS: Final = "GetSystemPowerStatus"
_SCHEMES: Final = r"HKLM\SYSTEM\CurrentControlSet\Control\Power\User\PowerSchemes"
_NO_BATTERY, _UNKNOWN = 0x80, 0xFF
_SAVER_ON: Final = 1
# winnt.h: GUID_MIN_POWER_SAVINGS and its siblings, powercfg's "ultimate", and the slider's three modes.
_PLANS: Final = {
    "381b4222-f694-41f0-9685-ff5bb260df2e": "balanced",
    "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c": "performance",
    "e9a42b02-d5df-448d-aa00-03f14749eb61": "performance",
    "a1841308-3541-4fab-bc81-f71556f20b4a": "power_saver",
    "961cc777-2547-4f9d-8174-7d86181b8a7a": "power_saver",
    "3af9b8d9-7c97-431d-ad78-34a8bfea439f": "performance",
    "ded574b5-45a0-4f42-8737-46345c09c238": "performance",
}


def collect(host: Host) -> Facts:
    """The source of power and the plan that holds for it."""
    raw, attempt = ask(host, _STATUS, lambda: host.native(_STATUS))
    yield attempt
    power = parse_power_status(raw) if isinstance(raw, bytes) else Power()
    if isinstance(raw, bytes):
        yield Found(power, _STATUS)
    values, attempt = ask(host, "registry: power plan", lambda: host.registry_values(_SCHEMES))
    yield attempt
    if not isinstance(values, Failure) and power.plan is None:
        yield Found(Power(plan=parse_plan(values, on_battery=bool(power.on_battery))), "registry")


def parse_power_status(raw: bytes) -> Power:
    """SYSTEM_POWER_STATUS: a battery makes a laptop, battery saver decides the plan."""
    if len(raw) < 4:
        return Power()
    line, battery, _, saver = raw[:4]
    on_battery = {0: True, 1: False}.get(line)
    has_battery = None if battery == _UNKNOWN else not battery & _NO_BATTERY
    return Power(
        on_battery=on_battery if has_battery is not False else False,
        plan="power_saver" if saver == _SAVER_ON else None,
        laptop=True if has_battery else None,  # an uninterruptible supply is told as a battery too: rare
    )


def parse_plan(values: Mapping[str, RegistryValue], *, on_battery: bool) -> str | None:
    """The active plan's name in our words; the mode of the slider lies over a balanced plan."""
    plan = _PLANS.get(_guid(values.get("ActivePowerScheme")))
    mode = values.get("ActiveOverlayDcPowerScheme" if on_battery else "ActiveOverlayAcPowerScheme")
    over = _PLANS.get(_guid(mode))
    return over if plan == "balanced" and over else plan


def _guid(value: RegistryValue | None) -> str:
    return str(value or "").strip("{}").lower()
