"""Lay out the compute buffers of every catalog model once: `python scripts/build_buffers.py [--check]`.

Writes catalogs/models/compute_buffers.json from catalogs/models/models.json. `--check` writes
nothing and exits 1 when the file differs.
"""

import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.buffer_table import BUFFERS_FILE, StoredBuffers
from probe.catalog.models import all_models
from probe.engines.llama_cpp import hparams_of
from probe.estimate.compute_buffer import computed_buffers, usual_batch
from probe.estimate.not_modeled import NotModeledError


def table() -> bytes:
    """The whole file, one model a line."""
    rows = []
    for spec in all_models():
        try:
            h = hparams_of(spec)
            found = computed_buffers(spec, h, usual_batch(h))
            row = StoredBuffers(
                found.cpu,
                found.layers,
                found.whole,
                found.host,
                found.first,
                found.middle,
                found.last,
                found.hosts,
                dict(found.readings),
            )
        except NotModeledError:
            continue
        rows.append(f"{msgspec.json.encode(spec.id).decode()}:{msgspec.json.encode(row).decode()}")
    return ('{"schema_version":1,"models":{\n' + ",\n".join(rows) + "\n}}\n").encode()


def main() -> int:
    """Write or compare the table."""
    path = ROOT / BUFFERS_FILE
    content = table()
    if "--check" in sys.argv[1:]:
        same = path.exists() and path.read_bytes() == content
        print("equal" if same else "stale: run scripts/build_buffers.py")
        return 0 if same else 1
    path.write_bytes(content)
    print(f"{BUFFERS_FILE}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
