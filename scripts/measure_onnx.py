"""Measure what ONNX Runtime keeps in RAM for models made on the spot, as JSON (Linux).

    pip install onnx onnxruntime
    python scripts/measure_onnx.py

Each case runs in a process of its own: resident memory before the session, at its peak
while it loads, and after three runs. Nothing is downloaded.
"""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

WIDTH = 2048
CASES = (  # kind of layer, layers, rows of the input
    ("matmul", 2, 1),
    ("matmul", 8, 1),
    ("matmul", 8, 512),
    ("conv", 12, 1),
)


def status(key: str) -> int:
    """A figure of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def make(kind: str, layers: int, path: Path) -> None:
    """A chain of matrices, or of 3 x 3 convolutions over 128 channels of a 64 x 64 image."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    shape = (WIDTH, WIDTH) if kind == "matmul" else (128, 128, 3, 3)
    weights, nodes, last = [], [], "x"
    for layer in range(layers):
        weights.append(numpy_helper.from_array(np.full(shape, 0.01, np.float32), f"w{layer}"))
        if kind == "matmul":
            nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"h{layer}"]))
        else:
            pads = [1, 1, 1, 1]
            nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"h{layer}"], pads=pads))
        last = f"h{layer}"
    size: list[str | int | None] = ["rows", WIDTH] if kind == "matmul" else ["rows", 128, 64, 64]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, size)],
        weights,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def measure(path: str, kind: str, rows: int) -> dict[str, int]:
    """Resident memory of this process around one session."""
    import numpy as np
    import onnxruntime

    before = status("VmRSS")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    loaded, peak = status("VmRSS"), status("VmHWM")
    size = (rows, WIDTH) if kind == "matmul" else (rows, 128, 64, 64)
    for _ in range(3):
        session.run(None, {"x": np.ones(size, np.float32)})
    return {"loaded": loaded - before, "load_peak": peak - before, "after_runs": status("VmRSS") - before}


def main() -> None:
    """Print all cases."""
    if len(sys.argv) == 4:
        json.dump(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])), sys.stdout)
        return
    rows: list[dict[str, Any]] = []
    for kind, layers, batch in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            make(kind, layers, path)
            done = subprocess.run(
                [sys.executable, __file__, str(path), kind, str(batch)],
                capture_output=True,
                check=True,
                timeout=300,
            )
            weights = layers * 4 * (WIDTH * WIDTH if kind == "matmul" else 128 * 128 * 9)
            value = batch * 4 * (WIDTH if kind == "matmul" else 128 * 64 * 64)
            row = {"kind": kind, "layers": layers, "rows": batch}
            rows.append({**row, "weights_bytes": weights, "value_bytes": value, **json.loads(done.stdout)})
    document = {"onnxruntime": version("onnxruntime"), "source": "scripts/measure_onnx.py", "rows": rows}
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
