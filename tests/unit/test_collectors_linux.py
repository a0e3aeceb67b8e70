"""Linux sources: the pure parsers on texts of real systems."""

from pathlib import Path

import pytest

from probe.collectors.cpu import parse_cpuinfo, parse_registry_processor, telling_flags
from probe.collectors.memory import parse_meminfo, parse_swaps
from probe.collectors.nvidia_files import parse_card_information, parse_module_version
from probe.collectors.operating_system import (
    parse_os_release,
    parse_system_version_plist,
    parse_windows_version,
    parse_wsl,
)
from probe.collectors.pci import normal_address, parse_link_speed
from probe.collectors.run import scan_machine
from probe.collectors.storage import Mount, disk_kind, mount_of, parent, parse_mounts
from probe.machine import Machine
from tests.fakes.hosts import TreeHost, on

GIB = 1024**3


def scan(tmp_path: Path, files: dict[str, str], **rest: object) -> Machine:
    return scan_machine(TreeHost(tmp_path, files, **rest), deadline_s=30)  # type: ignore[arg-type]


# --- system -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ('NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\n', "Ubuntu", "24.04"),
        ("NAME='Rocky Linux'\nVERSION_ID=\"9.4\"\n", "Rocky Linux", "9.4"),
        ('NAME="Arch Linux"\nBUILD_ID=rolling\n', "Arch Linux", None),
        ("# nothing\n", None, None),
    ],
)
def test_os_release(text: str, name: str | None, version: str | None) -> None:
    system = parse_os_release(text)
    assert (system.name, system.version) == (name, version)


@pytest.mark.parametrize(
    ("kernel", "interop", "expected"),
    [
        ("5.15.167.4-microsoft-standard-WSL2 Linux version 5.15.167.4-microsoft-standard-WSL2", True, 2),
        ("4.19.104-microsoft-standard", False, 2),
        ("4.4.0-19041-Microsoft Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)", True, 1),
        ("6.6.0-own-kernel", True, 2),
        ("6.8.0-1017-azure", False, None),
        ("6.8.0-90-generic", False, None),
    ],
)
def test_wsl_by_the_kernels_name(kernel: str, interop: bool, expected: int | None) -> None:
    assert parse_wsl(kernel, interop=interop) == expected


@pytest.mark.parametrize(
    ("installed", "target", "expected"),
    [
        (True, "/usr/lib/systemd/system/graphical.target", True),
        (True, "/usr/lib/systemd/system/multi-user.target", False),
        (False, "/usr/lib/systemd/system/graphical.target", False),
        (True, None, True),
    ],
)
def test_desktop_or_server(tmp_path: Path, installed: bool, target: str | None, expected: bool) -> None:
    """Ubuntu Server also boots into graphical.target, without any session installed."""
    files = {"/usr/share/xsessions/gnome.desktop": ""} if installed else {}
    links = {"/etc/systemd/system/default.target": target} if target else {}
    assert scan(tmp_path, files, links=links).host.os.desktop is expected


def test_windows_11_calls_itself_10_in_the_registry() -> None:
    values = {
        "ProductName": "Windows 10 Pro",
        "CurrentBuild": "26100",
        "UBR": 2033,
        "DisplayVersion": "24H2",
        "InstallationType": "Client",
    }
    system = parse_windows_version(values)
    assert (system.name, system.version, system.kernel, system.desktop) == (
        "Windows 11",
        "24H2",
        "10.0.26100.2033",
        True,
    )


def test_windows_server_keeps_its_name() -> None:
    values = {
        "ProductName": "Windows Server 2022 Standard",
        "CurrentBuild": "20348",
        "InstallationType": "Server",
    }
    system = parse_windows_version(values)
    assert (system.name, system.desktop) == ("Windows Server 2022 Standard", False)


def test_macos_version() -> None:
    text = "<key>ProductName</key>\n<string>macOS</string><key>ProductVersion</key><string>26.1</string>"
    system = parse_system_version_plist(text)
    assert (system.name, system.version) == ("macOS", "26.1")


# --- processor --------------------------------------------------------------------------------------------

XEON_BLOCK = (
    "processor\t: {n}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz\n"
    "physical id\t: {socket}\ncore id\t\t: {core}\nflags\t\t: fpu sse4_2 avx f16c fma avx2 pni\n\n"
)


def test_two_sockets_with_hyperthreading() -> None:
    text = "".join(XEON_BLOCK.format(n=n, socket=n % 2, core=n // 2 % 14) for n in range(56))
    cpu = parse_cpuinfo(text, "x86_64")
    assert (cpu.sockets, cpu.physical_cores, cpu.logical_cores) == (2, 28, 56)
    assert (cpu.brand, cpu.vendor) == ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", "intel")
    assert cpu.isa == ("avx", "avx2", "f16c", "fma", "sse3", "sse4_2")


def test_arm_processor_is_named_by_its_numbers() -> None:
    grace = (
        "processor\t: 0\nBogoMIPS\t: 2000.00\nFeatures\t: fp asimd sve2 i8mm bf16 asimddp crc32\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xd4f\n\n"
        "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"
    )
    cpu = parse_cpuinfo(grace, "aarch64")
    assert (cpu.brand, cpu.vendor, cpu.logical_cores) == ("Neoverse-V2", "arm", 2)
    assert cpu.isa == ("asimd", "asimddp", "bf16", "i8mm", "sve2")


def test_two_kinds_of_cores_are_both_named() -> None:
    block = "processor\t: {n}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
    text = block.format(n=0, part="0xd85") + block.format(n=1, part="0xd87")
    assert parse_cpuinfo(text, "aarch64").brand == "Cortex-X925 + Cortex-A725"


def test_raspberry_pi_is_named_by_its_core_and_unknown_parts_stay_unknown() -> None:
    text = "processor\t: 0\nCPU implementer\t: 0x99\nCPU part\t: 0x123\n"
    assert parse_cpuinfo(text, "aarch64").brand is None


def test_arm_topology_comes_from_sysfs(tmp_path: Path) -> None:
    base = "/sys/devices/system/cpu"
    files = {
        "/proc/cpuinfo": "".join(
            f"processor\t: {n}\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n\n" for n in range(4)
        )
    }
    for number in range(4):
        files[f"{base}/cpu{number}/topology/physical_package_id"] = f"{number // 2}\n"
        files[f"{base}/cpu{number}/topology/thread_siblings_list"] = f"{number}\n"
    cpu = scan(tmp_path, files, platform=on(architecture="aarch64")).cpu
    assert (cpu.sockets, cpu.physical_cores, cpu.logical_cores) == (2, 4, 4)


def test_instruction_sets_of_other_architectures() -> None:
    assert telling_flags(["rv64imafdcv_zicsr"]) == ("rvv",)
    assert telling_flags(["rv64imafdc_zicsr_zve"]) == ()
    assert telling_flags(["amx_int8", "avx512_vnni", "avx512f", "serialize", "ht"]) == (
        "amx_int8",
        "avx512_vnni",
        "avx512f",
    )


def test_processor_of_the_windows_registry() -> None:
    values = {
        "ProcessorNameString": "Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz   ",
        "VendorIdentifier": "GenuineIntel",
    }
    cpu = parse_registry_processor(values, ["avx", "avx2"])
    assert (cpu.brand, cpu.vendor) == ("Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz", "intel")
    assert "f16c" in cpu.isa
    assert not any(name.startswith("avx512") for name in cpu.isa)


# --- memory -----------------------------------------------------------------------------------------------


def test_meminfo_with_huge_pages() -> None:
    text = (
        "MemTotal:       65536000 kB\nMemFree:         1000000 kB\nMemAvailable:   30000000 kB\n"
        "SwapTotal:       2000000 kB\nSwapFree:        1500000 kB\nHugePages_Total:    1024\n"
        "Hugepagesize:       2048 kB\nHugetlb:         3145728 kB\n"
    )
    memory = parse_meminfo(text)
    assert memory.total_bytes == 65536000 * 1024
    assert memory.available_bytes == 30000000 * 1024
    assert memory.hugepages_bytes == 3 * GIB
    assert (memory.swap_total_bytes, memory.swap_free_bytes) == (2000000 * 1024, 1500000 * 1024)


def test_meminfo_of_old_kernels_has_no_available() -> None:
    memory = parse_meminfo("MemTotal: 4000 kB\nMemFree: 1000 kB\nBuffers: 200 kB\nCached: 300 kB\n")
    assert memory.available_bytes == 1500 * 1024


def test_meminfo_without_figures_stays_unknown() -> None:
    memory = parse_meminfo("nothing here")
    assert (memory.total_bytes, memory.available_bytes, memory.hugepages_bytes) == (None, None, None)


def test_compressed_ram_is_no_swap_space() -> None:
    text = (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/zram0                              partition\t8388604\t\t100\t\t100\n"
        "/swap.img                               file\t\t4194300\t\t1048576\t\t-2\n"
    )
    memory = parse_swaps(text)
    assert (memory.swap_total_bytes, memory.swap_free_bytes) == (4194300 * 1024, 3145724 * 1024)


def test_memory_without_processors_is_ram_on_x86(tmp_path: Path) -> None:
    """CXL expanders: the kernel counts them and programs may use them."""
    nodes = "/sys/devices/system/node"
    files = {
        f"{nodes}/node0/cpulist": "0-31\n",
        f"{nodes}/node0/meminfo": "Node 0 MemTotal: 100000000 kB\n",
        f"{nodes}/node1/cpulist": "\n",
        f"{nodes}/node1/meminfo": "Node 1 MemTotal: 31072000 kB\n",
    }
    machine = scan(tmp_path, files)
    assert machine.memory.total_bytes == 131072000 * 1024
    assert [node.has_cpus for node in machine.memory.numa_nodes] == [True, False]


def test_unreadable_meminfo_falls_back_to_the_portable_library(tmp_path: Path) -> None:
    machine = scan(tmp_path, {"/proc/meminfo": "\n"})
    assert (machine.memory.total_bytes, machine.memory.available_bytes) == (8 * GIB, 6 * GIB)
    assert machine.provenance["/memory/total_bytes"].source == "psutil"


# --- disks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rotational", "kind"),
    [
        ("nvme0n1p2", False, "nvme"),
        ("sda1", False, "ssd"),
        ("sda1", True, "hdd"),
        ("vda", True, None),  # a virtual disk says 1 whatever is under it
        ("/dev/mapper/root", None, None),
    ],
)
def test_kind_of_disk(name: str, rotational: bool | None, kind: str | None) -> None:
    assert disk_kind(name, rotational) == kind


def test_deepest_mount_holds_the_path() -> None:
    mounts = parse_mounts(
        "1 0 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n"
        "2 1 0:40 / /home rw shared:3 - nfs4 server:/home rw\n"
        "3 1 0:41 / /home/kim\\040a rw - ext4 /dev/sda1 rw\n"
    )
    assert mount_of("/home/lee/x", mounts) == Mount("/home", "0:40", "nfs4", "server:/home")
    assert mount_of("/homework", mounts) == Mount("/", "259:2", "ext4", "/dev/nvme0n1p2")
    found = mount_of("/home/kim a/x", mounts)
    assert found is not None
    assert found.source == "/dev/sda1"


def test_folder_that_will_be_made_takes_its_parents_space(tmp_path: Path) -> None:
    """Nothing of Hugging Face or Ollama exists yet; the home folder does."""
    (tmp_path / "home/user").mkdir(parents=True)
    machine = scan(tmp_path, {}, variables={"HF_HOME": "/home/user/models"})
    disks = {disk.purpose: disk for disk in machine.disks}
    assert disks["huggingface"].path == "/home/user/models/hub"
    assert disks["ollama"].path == "/home/user/.ollama/models"
    assert disks["huggingface"].total_bytes == disks["home"].total_bytes
    assert (disks["home"].free_bytes or 0) > 0


@pytest.mark.parametrize(
    ("path", "above"),
    [("/a/b", "/a"), ("/a", "/"), ("/", "/"), ("C:\\Users\\kim", "C:\\Users"), ("C:\\Users", "C:\\")],
)
def test_folder_above(path: str, above: str) -> None:
    assert parent(path) == above


def test_ollama_service_keeps_its_models_apart(tmp_path: Path) -> None:
    machine = scan(tmp_path, {"/usr/share/ollama/.ollama/models/x": ""})
    assert {disk.purpose: disk.path for disk in machine.disks}["ollama"] == "/usr/share/ollama/.ollama/models"


# --- NVIDIA's files and the bus ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12", "535.183.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build", "580.95.05"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.94  Wed", "470.94"),
        ("something else", None),
    ],
)
def test_version_of_the_kernel_module(text: str, version: str | None) -> None:
    assert parse_module_version(text) == version


def test_model_by_the_kernel_module() -> None:
    assert parse_card_information("Model: \t\t Tesla T4\nIRQ:   10\n") == "Tesla T4"
    assert parse_card_information("Model: \t\t Unknown\n") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00000000:01:00.0", "0000:01:00.0"),
        ("0000:01:00.0", "0000:01:00.0"),
        ("01:00.0", "0000:01:00.0"),
        ("0000000F:01:00.0", "000f:01:00.0"),
        ("00010000:E1:00.0", "10000:e1:00.0"),
    ],
)
def test_one_spelling_of_addresses(text: str, expected: str) -> None:
    assert normal_address(text) == expected


@pytest.mark.parametrize(
    ("text", "generation"), [("16.0 GT/s PCIe", 4), ("32.0 GT/s PCIe", 5), ("8.0 GT/s", 3), ("Unknown", None)]
)
def test_link_speed(text: str, generation: int | None) -> None:
    assert parse_link_speed(text) == generation


def test_laptop_on_battery(tmp_path: Path) -> None:
    base = "/sys/class/power_supply"
    power = scan(
        tmp_path,
        {
            f"{base}/AC/type": "Mains\n",
            f"{base}/AC/online": "0\n",
            f"{base}/BAT0/type": "Battery\n",
            f"{base}/BAT0/status": "Discharging\n",
            f"{base}/mouse/type": "Battery\n",
            f"{base}/mouse/scope": "Device\n",
            "/sys/class/dmi/id/chassis_type": "10\n",
            "/sys/firmware/acpi/platform_profile": "low-power\n",
        },
    ).power
    assert (power.on_battery, power.laptop, power.plan) == (True, True, "power_saver")


def test_desktop_with_a_wireless_mouse_is_no_laptop(tmp_path: Path) -> None:
    base = "/sys/class/power_supply"
    files = {
        f"{base}/mouse/type": "Battery\n",
        f"{base}/mouse/scope": "Device\n",
        f"{base}/mouse/status": "Discharging\n",
        "/sys/class/dmi/id/chassis_type": "3\n",
    }
    power = scan(tmp_path, files).power
    assert (power.on_battery, power.laptop) == (None, False)
