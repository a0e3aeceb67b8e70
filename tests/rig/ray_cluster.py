"""A local Ray cluster of four nodes, scanned while one of them stops: run by test_rollout_ray.py.

`python ray_cluster.py RAY_SCAN FOLDER`: prints a line of JSON with what the scan printed and its exit code.
"""

import json
import os
import signal
import subprocess
import sys
import time

from ray.cluster_utils import Cluster

NODES = ("head", "alpha", "beta", "dying")
MEMORY = 80 * 1024 * 1024


def main() -> None:
    """Start, stop one node, scan, clean up."""
    quick = {
        "health_check_initial_delay_ms": 500,
        "health_check_period_ms": 500,
        "health_check_timeout_ms": 2000,
        "health_check_failure_threshold": 8,
    }
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "object_store_memory": MEMORY,
            "node_name": NODES[0],
            "_system_config": quick,
            "include_dashboard": False,
        },
    )
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=MEMORY, node_name=name) for name in NODES[1:]]
    cluster.wait_for_nodes(timeout=150)
    # Stopped, not ended: the cluster still believes in it when the scan is sent there, and finds out later.
    raylet = nodes[-1].all_processes["raylet"][0].process
    os.kill(raylet.pid, signal.SIGSTOP)
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, sys.argv[1], sys.argv[2], "--address", cluster.address, "--timeout", "150"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        outcome = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    finally:
        os.kill(raylet.pid, signal.SIGKILL)
        cluster.shutdown()
    print(json.dumps({**outcome, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
