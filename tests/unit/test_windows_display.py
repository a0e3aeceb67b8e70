"""Graphics adapters of Windows: what the registry says, what it says wrongly, and what is asked instead."""

import pytest

from probe.catalog.gpu_match import match_gpu
from probe.collectors.answers import Failure, ProgramOutput, RegistryValue
from probe.collectors.run import scan_machine
from probe.collectors.windows_devices import (
    COMPUTE_CLASS,
    parse_hardware_id,
    parse_indirect_text,
    parse_location,
    parse_node,
)
from probe.collectors.windows_display import parse_driver_version, parse_dxgi, parse_memory
from probe.machine import AcceleratorKind, AcceleratorState, Machine
from probe.machine.attempt import AttemptResult
from tests.fakes.windows_hosts import GIB, Device, WindowsHost, with_devices

MIB = 1024**2
QW = "HardwareInformation.qwMemorySize"
SMALL = "HardwareInformation.MemorySize"


def rows(host: WindowsHost) -> list[tuple[str, str, int | None]]:
    return [
        (device.name, device.kind.value, device.memory_total_bytes)
        for device in scan_machine(host, deadline_s=30).accelerators
    ]


def attempt(machine: Machine, source: str) -> tuple[AttemptResult, str | None]:
    row = next(row for row in machine.attempts if row.source == source)
    return row.result, row.code


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # The driver's 64-bit figure, also where the 32-bit one beside it is cut off.
        ({QW: 25753026560, SMALL: 4293918720}, 25753026560),
        ({QW: 12878610432}, 12878610432),
        # Intel writes raw bytes.
        ({QW: (12168933376).to_bytes(8, "little")}, 12168933376),
        # Old drivers have the 32-bit figure only.
        ({SMALL: 2 * GIB}, 2 * GIB),
        ({SMALL: (3 * GIB).to_bytes(4, "little")}, 3 * GIB),
        ({SMALL: (8 * GIB).to_bytes(8, "little")}, 8 * GIB),
        ({SMALL: 3 * GIB - 2**32}, 3 * GIB),  # read as a signed number
        # Must not be believed: cut off, a unit error, nothing, nonsense.
        ({SMALL: 4293918720}, None),
        ({SMALL: b"\x00\x00\xf0\xff"}, None),
        ({SMALL: 0xFFFFFFFF}, None),
        ({SMALL: 16384}, None),
        ({QW: 0, SMALL: 0}, None),
        ({QW: 2**62}, None),
        ({QW: "8 GB"}, None),
        ({QW: b"\x01\x02\x03"}, None),
        ({}, None),
    ],
)
def test_memory_of_a_card_is_never_the_32_bit_figure_of_a_larger_one(
    values: dict[str, RegistryValue], expected: int | None
) -> None:
    assert parse_memory(values) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@System32\\drivers\\pci.sys,#65536;PCI bus %1, device %2, function %3;(1,0,0)", "0000:01:00.0"),
        ("@System32\\drivers\\pci.sys,#65536;PCI 버스 %1, 장치 %2, 기능 %3;(175,0,0)", "0000:af:00.0"),
        ("PCI bus 0, device 2, function 0", "0000:00:02.0"),
        ("PCI 버스 3, 장치 0, 기능 1", "0000:03:00.1"),
        ("PCI-Bus 1, Gerät 0, Funktion 0", "0000:01:00.0"),
        ("(513,0,0)", "0002:01:00.0"),
        ("Port_#0003.Hub_#0001", None),
        ("(1,40,0)", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_place_on_the_bus_in_any_language(text: RegistryValue | None, expected: str | None) -> None:
    assert parse_location(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PCI\\VEN_10DE&DEV_2684&SUBSYS_167C10DE&REV_A1\\4&2283F625&0&0019", ("10de", "2684", "10de:167c")),
        ("pci\\ven_1002&dev_744c", ("1002", "744c", None)),
        ("ROOT\\BasicRender", (None, None, None)),
        ("USB\\VID_17E9&PID_6000", (None, None, None)),
        ("SWD\\REMOTEDISPLAYENUM\\RDPIDD_INDIRECTDISPLAY", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_hardware_ids(text: str, expected: tuple[str | None, str | None, str | None]) -> None:
    assert parse_hardware_id(text) == expected


def test_odd_registry_values_make_a_node_and_no_exception() -> None:
    node = parse_node("PCI\\VEN_XXXX", {"ClassGUID": 5, "HardwareID": b"\0", "LocationInformation": ("a",)})
    assert (node.vendor, node.address, node.computes) == (None, None, False)
    assert (
        parse_indirect_text("@oem8.inf,%nvidia_dev.2684%;NVIDIA GeForce RTX 4090")
        == "NVIDIA GeForce RTX 4090"
    )
    assert parse_indirect_text("@oem8.inf,%nvidia_dev.2684%") is None


@pytest.mark.parametrize(
    ("vendor", "text", "expected"),
    [
        ("nvidia", "32.0.15.6094", "560.94"),
        ("nvidia", "31.0.15.3623", "536.23"),
        ("nvidia", "30.0.14.7111", "471.11"),
        ("nvidia", "27.21.14.5671", "456.71"),
        ("nvidia", "", None),
        ("amd", "32.0.12033.1030", "32.0.12033.1030"),
        ("intel", None, None),
    ],
)
def test_driver_version_as_the_maker_prints_it(vendor: str, text: str | None, expected: str | None) -> None:
    assert parse_driver_version(vendor, text) == expected


def test_card_that_was_taken_out_is_gone() -> None:
    """Its driver's key and its place under Enum stay behind for ever."""
    own = Device("8086", "3e92", (0, 2, 0), name="Intel(R) UHD Graphics 630")
    old = Device(
        "10de", "1b06", (1, 0, 0), name="NVIDIA GeForce GTX 1080 Ti", number="0001", driver={QW: 11 * GIB}
    )
    assert rows(with_devices(own, gone=[old])) == [("Intel(R) UHD Graphics 630", "integrated", None)]


def test_without_a_list_of_present_devices_everything_enumerated_counts() -> None:
    """Wine and sandboxes list nothing; a driver's key without a device still makes no card."""
    card = Device("1002", "744c", (3, 0, 0), name="AMD Radeon RX 7900 XTX", driver={QW: 24 * GIB})
    host = with_devices(card, listed=False)
    host._registry[
        "hklm\\system\\currentcontrolset\\control\\class\\{4d36e968-e325-11ce-bfc1-08002be10318}\\0007"
    ] = {
        "DriverDesc": "NVIDIA GeForce GTX 1080 Ti",
        QW: 11 * GIB,
    }
    assert rows(host) == [("AMD Radeon RX 7900 XTX", "discrete", 24 * GIB)]


def test_two_equal_cards_are_two_rows_and_different_ones_stay_apart() -> None:
    first = Device(
        "1002", "7550", (3, 0, 0), name="AMD Radeon RX 9070 XT", number="0000", driver={QW: 16 * GIB}
    )
    second = Device(
        "1002", "7550", (7, 0, 0), name="AMD Radeon RX 9070 XT", number="0001", driver={QW: 16 * GIB}
    )
    third = Device(
        "8086", "e20b", (9, 0, 0), name="Intel(R) Arc(TM) B580 Graphics", number="0002", driver={QW: 12 * GIB}
    )
    machine = scan_machine(with_devices(first, second, third), deadline_s=30)
    assert [device.pci_address for device in machine.accelerators] == [
        "0000:03:00.0",
        "0000:07:00.0",
        "0000:09:00.0",
    ]


@pytest.mark.parametrize(
    ("neighbour", "kind"),
    [
        (Device("1022", "1649", (17, 0, 2), guid="{other}", code="108000"), "integrated"),
        (Device("1002", "ab30", (17, 0, 1), guid="{other}", code="040300"), "discrete"),
        (Device("1022", "1649", (18, 0, 2), guid="{other}", code="108000"), "discrete"),
    ],
    ids=["processor in the same slot", "sound of a card", "processor in another slot"],
)
def test_amd_graphics_of_the_processor_are_known_by_their_neighbours(neighbour: Device, kind: str) -> None:
    own = Device("1002", "13c0", (17, 0, 0), name="AMD Radeon(TM) Graphics", driver={QW: 512 * MIB})
    assert [row[1] for row in rows(with_devices(own, neighbour))] == [kind]


@pytest.mark.parametrize("place", [(1, 0, 0), (0, 2, 0)], ids=["card", "processor"])
def test_intel_graphics_of_the_processor_are_known_by_their_place(place: tuple[int, int, int]) -> None:
    device = Device("8086", "56a0", place, name="Intel(R) Arc(TM) A770 Graphics", driver={QW: 16 * GIB})
    wanted = ("discrete", 16 * GIB) if place[0] else ("integrated", None)
    assert [row[1:] for row in rows(with_devices(device))] == [wanted]


@pytest.mark.parametrize(
    "screen",
    [
        Device("1414", "5353", (0, 8, 0), name="Microsoft Hyper-V Video"),
        Device("15ad", "0405", (0, 15, 0), name="VMware SVGA 3D"),
        Device("1a03", "2000", (3, 0, 0), name="ASPEED Graphics Family(WDDM)"),
        Device("80ee", "beef", (0, 2, 0), name="VirtualBox Graphics Adapter (WDDM)"),
        Device("1af4", "1050", (0, 1, 0), name="Red Hat VirtIO GPU DOD controller"),
        Device("0000", "0000", (0, 1, 0), name="Wine Adapter"),
        Device("17e9", "4307", (0, 1, 0), name="DisplayLink USB Device"),
    ],
)
def test_screens_of_virtual_machines_and_server_consoles_are_no_gpus(screen: Device) -> None:
    assert rows(with_devices(screen)) == []


def test_software_and_remote_screens_are_no_gpus() -> None:
    host = WindowsHost(
        registry={
            f"HKLM\\SYSTEM\\CurrentControlSet\\Enum\\{instance}": {
                "ClassGUID": "{4d36e968-e325-11ce-bfc1-08002be10318}",
                "DeviceDesc": name,
            }
            for instance, name in (
                ("ROOT\\DISPLAY\\0000", "Parsec Virtual Display Adapter"),
                ("SWD\\REMOTEDISPLAYENUM\\RDP", "Microsoft 원격 디스플레이 어댑터"),
                ("ROOT\\BASICRENDER\\0000", "Microsoft Basic Render Driver"),
            )
        },
        native={
            "present_devices {4d36e968-e325-11ce-bfc1-08002be10318}": [
                "ROOT\\DISPLAY\\0000",
                "SWD\\REMOTEDISPLAYENUM\\RDP",
                "ROOT\\BASICRENDER\\0000",
            ]
        },
    )
    assert rows(host) == []


def test_npu_is_named_and_adds_no_memory() -> None:
    npu = Device("8086", "7d1d", (0, 11, 0), name="Intel(R) AI Boost", guid=COMPUTE_CLASS, code="120000")
    device = scan_machine(with_devices(npu), deadline_s=30).accelerators[0]
    assert (device.kind, device.vendor, device.name) == (AcceleratorKind.NPU, "intel", "Intel(R) AI Boost")
    assert device.memory_total_bytes is None
    assert device.memory_shared


def test_card_without_any_driver_is_found_by_its_class_on_the_bus() -> None:
    """A second NVIDIA card has no class at all until a driver is installed."""
    card = Device("10de", "1b38", (4, 0, 0), guid="", code="030200")
    sound = Device("10de", "10f0", (4, 0, 1), guid="{4d36e96c-e325-11ce-bfc1-08002be10318}", code="040300")
    machine = scan_machine(with_devices(card, sound), deadline_s=30)
    assert [(device.name, device.state) for device in machine.accelerators] == [
        ("NVIDIA 10de:1b38", AcceleratorState.NO_DRIVER)
    ]


def test_nvidia_card_without_nvml_says_why() -> None:
    card = Device("10de", "2684", (1, 0, 0), name="NVIDIA GeForce RTX 4090", driver={QW: 24 * GIB})
    machine = scan_machine(with_devices(card), deadline_s=30)
    device = machine.accelerators[0]
    assert (device.state, device.state_reason) == (AcceleratorState.UNUSABLE, "library_not_found")
    assert device.memory_total_bytes == 24 * GIB
    assert machine.nvidia is not None
    assert machine.nvidia.driver_version == "536.23"


@pytest.mark.parametrize(
    ("problem", "state", "code"),
    [
        (0, AcceleratorState.USABLE, None),
        (22, AcceleratorState.BLOCKED, "device_disabled"),
        (28, AcceleratorState.NO_DRIVER, "no_driver"),
        (43, AcceleratorState.UNUSABLE, "device_stopped"),
        (12, AcceleratorState.UNUSABLE, "device_stopped"),
    ],
)
def test_problem_codes_of_device_manager(problem: int, state: AcceleratorState, code: str | None) -> None:
    card = Device("1002", "744c", (3, 0, 0), name="AMD Radeon RX 7900 XTX", driver={QW: 24 * GIB})
    host = with_devices(card, native={f"device_problem {card.instance}": problem})
    device = scan_machine(host, deadline_s=30).accelerators[0]
    assert (device.state, device.state_reason) == (state, code)


def test_directx_fills_what_the_registry_lacks_and_overrules_nothing() -> None:
    old = Device("1002", "67df", (3, 0, 0), name="Radeon RX 580 Series", driver={SMALL: 4293918720})
    new = Device(
        "8086", "e20b", (4, 0, 0), name="Intel(R) Arc(TM) B580 Graphics", number="0001", driver={QW: 12 * GIB}
    )
    answer = [
        {"name": "x", "vendor": "1002", "device": "67df", "dedicated_video_bytes": 8573157376},
        {"name": "y", "vendor": "8086", "device": "e20b", "dedicated_video_bytes": 11 * GIB},
        {"name": "Microsoft Basic Render Driver", "vendor": "1414", "device": "008c", "software": True},
    ]
    found = rows(with_devices(old, new, native={"dxgi_adapters": answer}))
    assert [row[2] for row in found] == [8573157376, 12 * GIB]


@pytest.mark.parametrize("answer", [None, 7, "text", [1, 2], [{"vendor": 5}], {"a": 1}, []])
def test_nonsense_from_directx_is_no_adapter(answer: object) -> None:
    assert parse_dxgi(answer) == ()  # type: ignore[arg-type]


def test_firmware_carve_out_of_strix_halo_is_its_own_pool_only_where_it_is_the_larger_part() -> None:
    psp = Device("1022", "17e0", (194, 0, 2), guid="{other}", code="108000")
    sizes = {512 * MIB: (True, 512 * MIB + 62 * GIB), 96 * GIB: (False, 96 * GIB), 16 * GIB: (True, 72 * GIB)}
    for own, (shared, total) in sizes.items():
        share = (128 * GIB - own) // 2 if own > GIB else 62 * GIB
        gpu = Device("1002", "1586", (194, 0, 0), name="AMD Radeon(TM) 8060S Graphics", driver={QW: own})
        answer = [
            {"vendor": "1002", "device": "1586", "dedicated_video_bytes": own, "shared_system_bytes": share}
        ]
        device = scan_machine(
            with_devices(gpu, psp, native={"dxgi_adapters": answer}), deadline_s=30
        ).accelerators[0]
        assert device.kind is AcceleratorKind.UNIFIED
        assert (device.memory_shared, device.memory_total_bytes) == (shared, total)


CIM = "CIM: Win32_VideoController"
DENIED = Failure(AttemptResult.DENIED, "key may not be read")
JSON = (
    '[{"Name":"Intel(R) UHD Graphics 630","PNPDeviceID":"PCI\\\\VEN_8086&DEV_3E92&SUBSYS_085A1028\\\\3&1158",'
    '"DriverVersion":"31.0.101.2111","ConfigManagerErrorCode":0},'
    '{"Name":"NVIDIA GeForce RTX 4070","PNPDeviceID":'
    '"PCI\\\\VEN_10DE&DEV_2786&SUBSYS_1&REV_A1\\\\4&2","DriverVersion":"32.0.15.6094","ConfigManagerErrorCode":0,'
    '"AdapterRAM":4293918720}]'
)


def test_powershell_is_asked_only_when_the_registry_is_closed_and_never_for_memory() -> None:
    output = ProgramOutput(exit_code=0, stdout="\ufeff" + JSON + "\r\n")
    host = WindowsHost(registry_failure=DENIED, programs={"Win32_VideoController": output})
    machine = scan_machine(host, deadline_s=30)
    assert [(device.name, device.kind.value) for device in machine.accelerators] == [
        ("Intel(R) UHD Graphics 630", "integrated"),
        ("NVIDIA GeForce RTX 4070", "discrete"),
    ]
    assert all(device.memory_total_bytes is None for device in machine.accelerators)
    commands = [command for command in host.started if "VideoController" in command[-1]]
    assert commands[0][0] == "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
    assert "AdapterRAM" not in commands[0][-1]
    assert not any("wmic" in word.lower() for command in host.started for word in command)


def test_powershell_is_not_started_when_the_registry_answers() -> None:
    host = with_devices(Device("8086", "3e92", (0, 2, 0), name="Intel(R) UHD Graphics 630"))
    scan_machine(host, deadline_s=30)
    assert not [command for command in host.started if "VideoController" in command[-1]]


@pytest.mark.parametrize("stdout", ["", "\r\n", "<html>", '{"Name":', "[1]", "null"])
def test_powershell_that_prints_nothing_useful_is_a_failed_attempt(stdout: str) -> None:
    """A stub powershell.exe ends with 0 and prints nothing; a policy prints a page."""
    output = ProgramOutput(exit_code=0, stdout=stdout)
    host = WindowsHost(registry_failure=DENIED, programs={"Win32_VideoController": output})
    machine = scan_machine(host, deadline_s=30)
    assert machine.accelerators == ()
    assert attempt(machine, CIM) == (AttemptResult.FAILED, None)


def test_powershell_that_hangs_is_an_attempt_that_ran_out_of_time() -> None:
    class Hanging(WindowsHost):
        def run(self, arguments: object, **limits: object) -> Failure:
            return Failure(AttemptResult.TIMEOUT, "powershell.exe did not end within 4 s")

    machine = scan_machine(Hanging(registry_failure=DENIED), deadline_s=30)
    assert attempt(machine, CIM)[0] is AttemptResult.TIMEOUT
    assert machine.memory.total_bytes == 16 * GIB


@pytest.mark.parametrize(
    ("pci_id", "name", "expected"),
    [
        ("1002:15bf", "AMD Radeon 780M Graphics", "AMD Radeon 780M"),
        ("1002:1586", "AMD Radeon(TM) 8060S Graphics", "AMD Radeon 8060S"),
        ("1002:744c", "AMD Radeon RX 7900 XTX", "AMD Radeon RX 7900 XTX"),
        ("8086:e20b", "Intel(R) Arc(TM) B580 Graphics", "Intel(R) Arc(TM) B580 Graphics"),
        ("10de:27a0", "NVIDIA GeForce RTX 4080 Laptop GPU", "NVIDIA GeForce RTX 4080 Laptop GPU"),
    ],
)
def test_names_of_windows_drivers_are_in_the_catalog(pci_id: str, name: str, expected: str) -> None:
    row = match_gpu(pci_id=pci_id, name=name)
    assert row is not None
    assert row.name == expected
