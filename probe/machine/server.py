"""What a server's operating system says beyond its hardware: limits, modules, services, variables.

Read only where a server is judged (`probe preflight`), so it is no part of a saved Machine.
"""

import msgspec

UNLIMITED = -1


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown is None; an empty tuple means asked and none found. Limits: `UNLIMITED` or a number."""

    python_versions: tuple[str, ...] = ()  # fitting interpreters on PATH: 3.12 ...
    uv: bool | None = None
    packages: dict[str, str] = {}  # torch, vllm ... of the environment this program runs in
    modules: tuple[str, ...] | None = None  # loaded kernel modules that matter here
    kernel_module_open: bool | None = None  # NVIDIA's open kernel module
    secure_boot: bool | None = None
    memlock_bytes: int | None = None
    open_files: int | None = None
    processes: int | None = None
    iommu: str | None = None  # off, passthrough, translated
    nvswitch: bool | None = None
    fabric_manager: bool | None = None  # its service is active
    container_runtimes: tuple[str, ...] | None = None  # docker, podman
    container_toolkit: bool | None = None
    port_used: bool | None = None  # something listens on the engine's port
    firewall: str | None = None  # ufw, firewalld; "" none active
    interfaces: tuple[str, ...] | None = None  # network interfaces without loopback
    xids: tuple[int, ...] | None = None  # NVIDIA's error numbers in the kernel log
    proxy: bool | None = None
    no_proxy_local: bool | None = None
    hub_offline: bool | None = None
    hub_token: bool | None = None  # one is set; its value is never read
    library_path: str | None = None  # LD_LIBRARY_PATH
