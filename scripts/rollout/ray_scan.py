"""Have a running Ray cluster describe each of its nodes: `python ray_scan.py FOLDER [--address ADDRESS]`.

Ray, which vLLM itself distributes with, runs one scan on every node that is alive; each
description is written into FOLDER as it arrives. `probe fleet FOLDER` and `probe preflight
vllm --machines FOLDER` read them. The nodes need probe installed (`pip install probe-llm`),
or --pip lets Ray install it for the time of the scan.

A node that dies or does not answer is named on stderr; the others are written all the
same. Exit code 0 when every node answered, 1 when one did not, 2 when there is no cluster.
"""

import argparse
import hashlib
import ipaddress
import sys
from pathlib import Path
from typing import Any


def scan_node() -> bytes:
    """Runs on a node: its Machine, without what names a person, as JSON."""
    from probe.catalog.enrich import enrich
    from probe.collectors.local_host import LocalHost
    from probe.collectors.run import scan_machine
    from probe.machine.redact import redact
    from probe.report.encode import to_json

    return to_json(redact(enrich(scan_machine(LocalHost()))), pretty=False)


def node_label(node: dict[str, Any]) -> str:
    """What people call the node: its name where it was given one, else its host name."""
    name = str(node.get("NodeName") or "")
    host = str(node.get("NodeManagerHostname") or node.get("NodeManagerAddress") or node["NodeID"])
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name or host
    return host  # Ray's default name is the address


def node_identity(host_id: str | None, node: dict[str, Any]) -> str:
    """An id of the node that is the same at its next scan.

    Nodes that boot one image, or share a home folder, may carry one id: the name and
    address of the node tell them apart.
    """
    known = f"{host_id or ''}|{node_label(node)}|{node.get('NodeManagerAddress', '')}"
    return hashlib.sha256(known.encode()).hexdigest()[:32]


def write_machine(folder: Path, raw: bytes, node: dict[str, Any]) -> Path:
    """The node's Machine under its own name and id; whole or not at all."""
    import msgspec

    from probe.machine import Machine
    from probe.report.encode import to_json
    from probe.report.share import file_stem
    from probe.report.write import draft, publish

    machine = msgspec.json.decode(raw, type=Machine)
    identity = node_identity(machine.host.id, node)
    host = msgspec.structs.replace(machine.host, id=identity, name=node_label(node))
    data = to_json(msgspec.structs.replace(machine, host=host))
    target = folder / f"{file_stem(node_label(node))}-{identity[:6]}.json"
    publish(draft(folder, data), target)
    return target


def scan_cluster(folder: Path, *, timeout_s: float, pip: bool) -> tuple[list[Path], dict[str, str]]:
    """Write one file a node that is alive; the files, and the reason for each node without one."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options: dict[str, Any] = {"num_cpus": 0, "max_retries": 0}
    if pip:
        from probe import __version__

        options["runtime_env"] = {"pip": [f"probe-llm=={__version__}"]}
    scan = ray.remote(**options)(scan_node)
    waiting = {}
    for node in ray.nodes():
        if node.get("Alive"):
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            waiting[scan.options(scheduling_strategy=strategy).remote()] = node
    written: list[Path] = []
    missing: dict[str, str] = {}
    while waiting:
        # One by one as they come: what a slow node keeps back, a fast one has already delivered.
        ready, _ = ray.wait(list(waiting), num_returns=1, timeout=timeout_s)
        if not ready:
            break
        node = waiting.pop(ready[0])
        try:
            written.append(write_machine(folder, ray.get(ready[0]), node))
        except (RayError, OSError) as error:
            missing[node_label(node)] = str(error).strip().splitlines()[0][:200]
    for reference, node in waiting.items():
        ray.cancel(reference, force=True)
        missing[node_label(node)] = f"no answer within {timeout_s:.0f} s"
    return written, missing


def main() -> int:
    """Scan, write and say what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder for the Machine files; made if missing")
    parser.add_argument("--address", default="auto", help="of the cluster (default: the one of this node)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds without any answer (default 60)")
    parser.add_argument("--pip", action="store_true", help="let Ray install probe on the nodes")
    arguments = parser.parse_args()
    try:
        import ray
    except ImportError:
        print("ray is not installed here: pip install 'probe-llm[cluster]'", file=sys.stderr)
        return 2
    try:
        ray.init(address=arguments.address, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        print(f"no Ray cluster at {arguments.address}: {error}", file=sys.stderr)
        return 2
    arguments.folder.mkdir(parents=True, exist_ok=True)
    written, missing = scan_cluster(arguments.folder, timeout_s=arguments.timeout, pip=arguments.pip)
    for path in written:
        print(path)
    for name, reason in missing.items():
        print(f"no answer from {name}: {reason}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
