"""Compute the weights of every catalog model once: `python scripts/build_weights.py [--check]`.

Writes catalogs/models/weights.json from catalogs/models/models.json and the recipes
of catalogs/quantizations. `--check` writes nothing and exits 1 when the file differs.
"""

import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.models import all_models
from probe.catalog.weight_table import WEIGHTS_FILE
from probe.estimate.not_modeled import NotModeledError
from probe.estimate.weights.gguf import computed_weights
from probe.estimate.weights.table import packed

QUANTIZATIONS = (
    "F16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q4_K_M",
    "Q4_0",
    "IQ4_XS",
    "Q3_K_M",
    "MXFP4_MOE",
)


def table() -> bytes:
    """The whole file, one model a line."""
    lines = []
    for quantization in QUANTIZATIONS:
        rows = []
        for spec in all_models():
            try:
                row = packed(computed_weights(spec, quantization))
            except NotModeledError:
                continue
            rows.append(f"{msgspec.json.encode(spec.id).decode()}:{msgspec.json.encode(row).decode()}")
        lines.append(f'"{quantization}":{{\n' + ",\n".join(rows) + "\n}")
    return ('{"schema_version":1,"quantizations":{\n' + ",\n".join(lines) + "\n}}\n").encode()


def main() -> int:
    """Write or compare the table."""
    path = ROOT / WEIGHTS_FILE
    content = table()
    if "--check" in sys.argv[1:]:
        same = path.exists() and path.read_bytes() == content
        print("equal" if same else "stale: run scripts/build_weights.py")
        return 0 if same else 1
    path.write_bytes(content)
    print(f"{WEIGHTS_FILE}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
