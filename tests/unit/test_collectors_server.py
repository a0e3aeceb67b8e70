"""What a live server says beyond its hardware, from files as Linux writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from probe.collectors.answers import Failure, ProgramOutput
from probe.collectors.server import collect_server
from probe.machine.attempt import AttemptResult
from probe.machine.server import UNLIMITED, ServerFacts
from tests.fakes.hosts import LINUX, TreeHost

SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max processes             96365                96365                processes \n"
    "Max open files            1024                 524288               files     \n"
    "Max locked memory         unlimited            unlimited            bytes     \n"
)
TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
)
OUTPUT = {
    "systemctl is-active nvidia-fabricmanager": "active\n",
    "systemctl is-active ufw": "inactive\n",
    "systemctl is-active firewalld": "active\n",
    "dmesg": "[1.0] NVRM: Xid (PCI:0000:65:00): 79, pid=1, GPU has fallen off the bus.\n",
}


class Server(TreeHost):
    """A tree of files and the answers of the programs that a server is asked with."""

    def __init__(self, root: Path, files: Mapping[str, str] | None = None, **given: object) -> None:
        self._outputs: Mapping[str, str] = given.pop("outputs", {})  # type: ignore[assignment]  # its own word
        super().__init__(root, files, **given)  # type: ignore[arg-type]  # the rest is TreeHost's

    def run(
        self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 1024 * 1024
    ) -> ProgramOutput | Failure:
        text = self._outputs.get(" ".join(arguments))
        if text is None:
            return Failure(AttemptResult.ABSENT, "no such program")
        return ProgramOutput(stdout=text, stderr="", exit_code=0)


def test_server_of_eight_gpus_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / SECURE_BOOT.lstrip("/")).parent.mkdir(parents=True)
    (tmp_path / SECURE_BOOT.lstrip("/")).write_bytes(b"\x06\0\0\0\x01")
    bridge = "/sys/bus/pci/devices/0000:05:00.0"
    host = Server(
        tmp_path,
        {
            "/proc/self/limits": LIMITS,
            "/proc/modules": "nvidia_uvm 1 0 - Live 0x0\nnvidia 1 1 nvidia_uvm, Live 0x0\n",
            "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module  580.95.05\n",
            "/proc/cmdline": "quiet iommu=pt",
            "/proc/net/tcp": TCP,
            "/sys/class/iommu/dmar0/name": "",
            "/sys/class/net/lo/mtu": "",
            "/sys/class/net/eth0/mtu": "",
            f"{bridge}/class": "0x068000\n",
            f"{bridge}/vendor": "0x10de\n",
            "/usr/bin/docker": "",
            "/usr/bin/nvidia-ctk": "",
            "/usr/bin/python3.12": "",
            "/usr/bin/uv": "",
        },
        variables={
            "PATH": "/opt/none:/usr/bin",
            "HTTPS_PROXY": "http://proxy:3128",
            "NO_PROXY": "localhost,127.0.0.1",
            "HF_TOKEN": "secret",
            "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
        },
        outputs=OUTPUT,
    )
    facts = msgspec.structs.replace(collect_server(host), packages={})
    assert facts == ServerFacts(
        python_versions=("3.12",),
        uv=True,
        modules=("nvidia", "nvidia_uvm"),
        kernel_module_open=True,
        secure_boot=True,
        memlock_bytes=UNLIMITED,
        open_files=1024,
        processes=96365,
        iommu="passthrough",
        nvswitch=True,
        fabric_manager=True,
        container_runtimes=("docker",),
        container_toolkit=True,
        port_used=True,
        firewall="firewalld",
        interfaces=("eth0",),
        xids=(79,),
        proxy=True,
        no_proxy_local=True,
        hub_offline=False,
        hub_token=True,
        library_path="/usr/local/cuda/lib64",
    )
    assert "secret" not in str(facts)


def test_server_that_says_nothing_leaves_everything_unknown(tmp_path: Path) -> None:
    """A hardened container: no /proc/modules, no logs, no services."""
    facts = collect_server(Server(tmp_path))
    unknown = ("modules", "kernel_module_open", "secure_boot", "memlock_bytes", "open_files", "iommu",
               "nvswitch", "fabric_manager", "port_used", "interfaces", "xids")  # fmt: skip
    assert [name for name in unknown if getattr(facts, name) is not None] == []
    assert (facts.firewall, facts.uv, facts.container_runtimes) == ("", False, ())


def test_kernel_log_that_may_not_be_read_is_not_a_quiet_one(tmp_path: Path) -> None:
    class Denied(Server):
        def run(
            self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 1024 * 1024
        ) -> ProgramOutput | Failure:
            return ProgramOutput(stdout="", stderr="dmesg: Operation not permitted", exit_code=1)

    assert collect_server(Denied(tmp_path)).xids is None


def test_bridge_of_another_maker_is_no_nvswitch(tmp_path: Path) -> None:
    bridge, card = "/sys/bus/pci/devices/0000:00:1f.0", "/sys/bus/pci/devices/0000:01:00.0"
    host = Server(
        tmp_path,
        {
            f"{bridge}/class": "0x068000\n",
            f"{bridge}/vendor": "0x8086\n",
            f"{card}/class": "0x030200\n",
            f"{card}/vendor": "0x10de\n",
        },
        outputs=OUTPUT,
    )
    facts = collect_server(host)
    assert (facts.nvswitch, facts.fabric_manager) == (False, None)


def test_other_systems_are_asked_only_what_they_can_say(tmp_path: Path) -> None:
    platform = msgspec.structs.replace(LINUX, system="windows")
    facts = collect_server(Server(tmp_path, variables={"HTTP_PROXY": "http://proxy"}, platform=platform))
    assert (facts.proxy, facts.modules, facts.open_files, facts.firewall) == (True, None, None, None)
