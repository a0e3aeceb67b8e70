"""Taking out what names a person or a single device: for reports and recordings.

Gone are UUIDs, serial numbers, MAC and IP addresses, user and host names and
home paths. What describes the hardware stays.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from probe.machine.accelerator import Accelerator
    from probe.machine.description import Machine

HIDDEN: Final = "(hidden)"
USER: Final = "user"

# Names that stand on thousands of machines: they point at nobody, and replacing them would damage facts.
_NOBODY: Final = frozenset(
    {
        "root",
        "user",
        "users",
        "admin",
        "administrator",
        "home",
        "host",
        "localhost",
        "localdomain",
        "default",
        "public",
        "guest",
        "nobody",
        "pc",
        "server",
        "desktop",
        "laptop",
        "node",
        "worker",
        "runner",
        "vm",
        "docker",
        "container",
        "test",
        "dev",
        "pi",
        "ec2-user",
        "azureuser",
        "gpu",
        "cpu",
        "ubuntu",
        "debian",
        "fedora",
        "arch",
        "suse",
        "alpine",
        "linux",
        "windows",
        "macos",
        "nvidia",
        "amd",
        "intel",
        "apple",
        "jetson",
        "orin",
        "spark",
    }
)
_UUID: Final = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
# PCI addresses (0000:01:00.0) have too few groups for any of the next three.
_MAC: Final = re.compile(
    r"(?<![0-9a-fA-F:-])(?:[0-9a-fA-F]{2}[:-]){5}(?:[0-9a-fA-F]{2}[:-]?){1,15}(?![0-9a-fA-F:-])"
)
_IPV6: Final = re.compile(
    r"(?<![0-9a-fA-F:.])"
    r"(?:(?:[0-9a-fA-F]{1,4}:){3,7}(?::?[0-9a-fA-F]{1,4}){1,5}(?![0-9a-fA-F:.])"
    r"|(?:fe80|f[cd][0-9a-fA-F]{2}|2[0-9a-fA-F]{3})::[0-9a-fA-F:]*)"
)
_IPV4: Final = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"
)
_LOCAL: Final = ("127.", "0.0.0.0", "255.")  # noqa: S104 - addresses that name no machine
_SERIAL: Final = re.compile(
    r"(?i)((?:serial(?:[ _-]?(?:number|num|no))?|asset[ _-]?tag|service[ _-]?tag|board[ _-]?id"
    r"|chassis[ _-]?id|provisioning_udid|platform_uuid|machine[ _-]?id|system_id|boot_id)"
    r"\"?\s*[:=]\s*\"?)([^\s\",][^\",\r\n]*)"
)
_HOME: Final = re.compile(r"(/home/|/Users/|(?i:[A-Z]:\\+Users\\+))([^/\\\s\"':;,]+)")
# UUIDs that are the same on every Windows machine, in lower case.
PUBLIC_UUIDS: Final = frozenset(
    {
        "4d36e968-e325-11ce-bfc1-08002be10318",  # setup class of display adapters
        "f01a9d53-3ff6-48d2-9f97-c8a7004be10c",  # of NPUs
        "4d36e96c-e325-11ce-bfc1-08002be10318",  # of sound: a GPU's second function
        "4d36e97d-e325-11ce-bfc1-08002be10318",  # of system devices
        "36fc9e60-c465-11cf-8056-444553540000",  # of USB controllers
        "381b4222-f694-41f0-9685-ff5bb260df2e",  # power plans and modes
        "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c",
        "e9a42b02-d5df-448d-aa00-03f14749eb61",
        "a1841308-3541-4fab-bc81-f71556f20b4a",
        "961cc777-2547-4f9d-8174-7d86181b8a7a",
        "3af9b8d9-7c97-431d-ad78-34a8bfea439f",
        "ded574b5-45a0-4f42-8737-46345c09c238",
    }
)
_NO_UUID: Final = "00000000-0000-0000-0000-"
_DEVICE: Final = re.compile(r"\b((?:GPU|MIG)-)([0-9a-f]{4,}[0-9a-f-]*)")
# Sources of network file systems in a mount table, and who mounted them.
_SHARE: Final = re.compile(
    r"( - (?:nfs4?|cifs|smb3|smbfs|9p|afs|ceph|lustre|beegfs|gpfs|glusterfs|fuse\.\S+) )\S+"
)
_MOUNT_USER: Final = re.compile(r"((?:user(?:name)?|domain)=)[^,\s]+")
_SHARED_HOMES: Final = frozenset({"Shared", "Public", "Default", "linuxbrew"})


class Redactor:
    """Replaces one machine's secrets; `names` are its user and host names, `home` its user's folder."""

    def __init__(self, names: Iterable[str | None] = (), home: str | None = None) -> None:
        words = {part for name in names if name for part in (name, name.split(".")[0])}
        telling = sorted((word for word in words if _tells(word)), key=len, reverse=True)
        # A name inside a longer word is no name; letters and digits of any script end it.
        joined = "|".join(re.escape(word) for word in telling)
        self._names = re.compile(rf"(?i)(?<![^\W_])(?:{joined})(?![^\W_])") if telling else None
        self._pseudonyms: dict[str, str] = {}
        self._home = home if home and len(home) > 1 and home.count(_separator(home)) > 1 else None

    def text(self, value: str) -> str:
        """The text without secrets; the same secret is always replaced by the same word."""
        if self._home:
            value = value.replace(self._home, _general_home(self._home))
        value = _HOME.sub(_home_of_somebody, value)
        value = _SERIAL.sub(rf"\1{HIDDEN}", value)
        value = _SHARE.sub(rf"\1{HIDDEN}", value)
        value = _MOUNT_USER.sub(rf"\1{HIDDEN}", value)
        value = _UUID.sub(lambda found: self._pseudonym(found[0]), value)
        value = _DEVICE.sub(self._device, value)
        value = _MAC.sub(HIDDEN, value)
        value = _IPV6.sub(HIDDEN, value)
        value = _IPV4.sub(lambda found: found[0] if found[0].startswith(_LOCAL) else HIDDEN, value)
        return self._names.sub(USER, value) if self._names else value

    def _pseudonym(self, uuid: str) -> str:
        """A number in place of a UUID, the same wherever it stands, so that masks still name their device."""
        if uuid.startswith(_NO_UUID) or uuid.lower() in PUBLIC_UUIDS:
            return uuid
        return self._pseudonyms.setdefault(uuid.lower(), f"{_NO_UUID}{len(self._pseudonyms) + 1:012d}")

    def _device(self, found: "re.Match[str]") -> str:
        """The beginning of a device's UUID, as masks may use it."""
        start = found[2].lower()
        if start.startswith(_NO_UUID[: len(start)]):
            return found[0]
        known = next((name for uuid, name in self._pseudonyms.items() if uuid.startswith(start)), HIDDEN)
        return found[1] + known


def redact(machine: "Machine", *, alias: str | None = None, show_host_name: bool = True) -> "Machine":
    """The machine as it may be put into a shared folder.

    The random id stays: a fleet knows machines by it. The name is the alias,
    else the host's own, else, with `show_host_name` off, `pc-` and six letters of the id.
    """
    home = next((disk.path for disk in machine.disks if disk.purpose == "home"), None)
    user = home.rstrip("/\\").replace("\\", "/").rpartition("/")[2] if home else None
    hidden_host = machine.host.name if alias or not show_host_name else None
    redactor = Redactor((user, hidden_host), home)

    def clean(value: str | None) -> str | None:
        return None if value is None else redactor.text(value)

    def always(value: str) -> str:
        return redactor.text(value)

    software = machine.software
    return msgspec.structs.replace(
        machine,
        host=msgspec.structs.replace(machine.host, name=_name(machine, alias, show_host_name)),
        accelerators=tuple(_without_identity(device) for device in machine.accelerators),
        disks=tuple(msgspec.structs.replace(disk, path=always(disk.path)) for disk in machine.disks),
        software=msgspec.structs.replace(
            software,
            engines=tuple(
                msgspec.structs.replace(
                    engine,
                    path=clean(engine.path),
                    models=tuple(always(model) for model in engine.models),
                )
                for engine in software.engines
            ),
            environment={name: always(value) for name, value in software.environment.items()},
        ),
        attempts=tuple(
            msgspec.structs.replace(attempt, source=always(attempt.source), detail=clean(attempt.detail))
            for attempt in machine.attempts
        ),
        provenance={
            pointer: msgspec.structs.replace(source, source=always(source.source))
            for pointer, source in machine.provenance.items()
        },
    )


def hide_smbios_serials(table: bytes) -> bytes:
    """A raw SMBIOS table with serial numbers, asset tags, UUID and free OEM strings blanked, same length."""
    blank = bytearray(table)
    position = 0
    while position + 4 <= len(table):
        kind, length = table[position], table[position + 1]
        strings_at = position + length
        end = table.find(b"\0\0", strings_at)
        if length < 4 or end < 0:
            break
        hidden = {table[position + field] for field in _SMBIOS_SECRETS.get(kind, ()) if field < length} - {0}
        start = strings_at
        number = 1
        while start < end:
            stop = table.find(b"\0", start)
            if number in hidden or kind in _SMBIOS_FREE_TEXT:
                blank[start:stop] = b"X" * (stop - start)
            start, number = stop + 1, number + 1
        if kind == _SMBIOS_SYSTEM and length >= 24:
            blank[position + 8 : position + 24] = bytes(16)
        position = end + 2
    return bytes(blank)


# Offsets of string numbers in SMBIOS structures (DMTF DSP0134 3.7, sections 7.2-7.18).
_SMBIOS_SYSTEM: Final = 1
_SMBIOS_SECRETS: Final = {
    1: (0x07, 0x1A),  # system: serial number; SKU number (some makers put a tag there)
    2: (0x07, 0x08),  # baseboard: serial number, asset tag
    3: (0x07, 0x08),  # chassis
    4: (0x20, 0x21),  # processor
    17: (0x18, 0x19),  # memory device
    22: (0x07,),  # battery
    39: (0x08, 0x09),  # power supply
}
_SMBIOS_FREE_TEXT: Final = frozenset(
    {11, 12, *range(128, 256)}
)  # OEM strings, options, makers' own structures


def _name(machine: "Machine", alias: str | None, show_host_name: bool) -> str | None:
    if alias:
        return alias
    if show_host_name:
        return machine.host.name
    return f"pc-{machine.host.id[:6]}" if machine.host.id else "pc"


def _without_identity(device: "Accelerator") -> "Accelerator":
    return msgspec.structs.replace(device, uuid=None)


def _tells(word: str) -> bool:
    return len(word) > 1 and word.lower() not in _NOBODY and not word.isdigit()


def _separator(path: str) -> str:
    return "\\" if "\\" in path else "/"


def _general_home(home: str) -> str:
    """`/home/kim` as `/home/user`: the shape of the path is a fact, its last part is a person."""
    separator = _separator(home)
    return home.rstrip(separator).rpartition(separator)[0] + separator + USER


def _home_of_somebody(found: "re.Match[str]") -> str:
    return found[0] if found[2] in _SHARED_HOMES else found[1] + USER
