"""A Windows machine of which a test writes only what it is about; everything else is absent."""

from collections.abc import Mapping, Sequence

from probe.collectors.answers import (
    DiskFigures,
    Failure,
    MemoryFigures,
    Plain,
    PlatformFacts,
    ProgramOutput,
    RegistryValue,
)
from probe.collectors.host import LocalHost
from probe.collectors.nvml_session import NvmlSession
from probe.collectors.windows_devices import CLASS_KEY, COMPUTE_CLASS, DISPLAY_CLASS, ENUM_KEY
from probe.machine.attempt import AttemptResult

ABSENT = Failure(AttemptResult.ABSENT, "not there")
GIB = 1024**3
WINDOWS = PlatformFacts(
    system="windows",
    architecture="x86_64",
    kernel="10.0.22631",
    host_name="PC",
    user_name="user",
    home="C:\\Users\\user",
    python="3.12.3",
    python_bits=64,
    windows_build=22631,
    logical_cores=8,
)


class WindowsHost(LocalHost):
    """Answers from mappings; `native` is keyed by the question with its arguments."""

    def __init__(
        self,
        *,
        registry: Mapping[str, Mapping[str, RegistryValue]] | None = None,
        native: Mapping[str, Plain | Failure] | None = None,
        programs: Mapping[str, ProgramOutput | Failure] | None = None,
        variables: Mapping[str, str] | None = None,
        registry_failure: Failure | None = None,
        platform: PlatformFacts = WINDOWS,
    ) -> None:
        super().__init__()
        self._registry = {key.lower(): dict(values) for key, values in (registry or {}).items()}
        self._native = dict(native or {})
        self._programs = dict(programs or {})
        self._variables = dict(variables or {})
        self._registry_failure = registry_failure
        self._facts = platform
        self.started: list[Sequence[str]] = []

    def platform(self) -> PlatformFacts:
        return self._facts

    def variable(self, name: str) -> str | None:
        return self._variables.get(name)

    def registry_values(self, key: str) -> Mapping[str, RegistryValue] | Failure:
        return self._registry_failure or self._registry.get(key.lower(), ABSENT)

    def registry_keys(self, key: str) -> tuple[str, ...] | Failure:
        if self._registry_failure:
            return self._registry_failure
        prefix = key.lower() + "\\"
        names = {known[len(prefix) :].split("\\")[0] for known in self._registry if known.startswith(prefix)}
        return tuple(sorted(names)) or ABSENT

    def native(self, question: str, *arguments: int | str) -> Plain | Failure:
        asked = " ".join([question, *(str(argument) for argument in arguments)])
        return self._native.get(asked, ABSENT)

    def run(
        self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 1024 * 1024
    ) -> ProgramOutput | Failure:
        self.started.append(arguments)
        found = next((output for word, output in self._programs.items() if word in arguments[-1]), None)
        return found or ABSENT

    def find_program(self, name: str) -> str | None:
        return None

    def packages(self, names: Sequence[str]) -> Mapping[str, str]:
        return {}

    def may_use(self, path: str) -> bool:
        return False

    def memory_figures(self) -> MemoryFigures | Failure:
        return MemoryFigures(total_bytes=16 * GIB, available_bytes=8 * GIB)

    def core_counts(self) -> tuple[int | None, int | None] | Failure:
        return ABSENT

    def affinity(self) -> int | Failure:
        return ABSENT

    def disk_figures(self, path: str) -> DiskFigures | Failure:
        return DiskFigures(total_bytes=10**12, free_bytes=10**11)

    def nvml(self) -> NvmlSession | Failure:
        return Failure(AttemptResult.ABSENT, "nvml.dll not found", "library_not_found")

    def machine_id(self) -> str | None:
        return "0123456789abcdef"


class Device:
    """One PCI device in the registry: its own key, and its driver's."""

    def __init__(
        self,
        vendor: str,
        device: str,
        place: tuple[int, int, int],
        *,
        name: str = "",
        number: str = "0000",
        guid: str = DISPLAY_CLASS,
        code: str = "030000",
        driver: Mapping[str, RegistryValue] | None = None,
    ) -> None:
        ids = f"PCI\\VEN_{vendor.upper()}&DEV_{device.upper()}&SUBSYS_12345678&REV_00"
        bus, slot, function = place
        self.instance = f"{ids}\\4&1&0&{bus:02X}{slot * 8 + function:02X}"
        self.values: dict[str, RegistryValue] = {
            "ClassGUID": guid,
            "LocationInformation": f"@System32\\drivers\\pci.sys,#65536;PCI ...;({bus},{slot},{function})",
            "CompatibleIDs": (f"PCI\\CC_{code}", f"PCI\\CC_{code[:4]}"),
            "Service": "driver",
        }
        self.driver: dict[str, RegistryValue] | None = None
        if name or driver:
            self.values["Driver"] = f"{guid}\\{number}"
            self.driver = {"DriverDesc": name, "DriverVersion": "31.0.15.3623", **(driver or {})}
        self.guid, self.number = guid, number

    def keys(self) -> dict[str, Mapping[str, RegistryValue]]:
        keys: dict[str, Mapping[str, RegistryValue]] = {f"{ENUM_KEY}\\{self.instance}": self.values}
        if self.driver is not None:
            keys[f"{CLASS_KEY}\\{self.guid}\\{self.number}"] = self.driver
        return keys


def with_devices(
    *devices: Device,
    gone: Sequence[Device] = (),
    listed: bool = True,
    native: Mapping[str, Plain | Failure] | None = None,
) -> WindowsHost:
    """A host with these devices. `gone` left their keys behind; `listed` False: Windows lists nothing."""
    registry: dict[str, Mapping[str, RegistryValue]] = {}
    for device in (*devices, *gone):
        registry |= device.keys()
    answers: dict[str, Plain | Failure] = {}
    if listed:
        for guid in (DISPLAY_CLASS, COMPUTE_CLASS):
            answers[f"present_devices {guid}"] = [one.instance for one in devices if one.guid == guid]
        answers["present_devices PCI"] = [one.instance for one in devices]
    else:
        answers["present_devices PCI"] = []
    return WindowsHost(registry=registry, native={**answers, **(native or {})})
