"""Lay out the compute buffers of every catalog model once: `python scripts/build_buffers.py [--check]`.

Writes catalogs/models/compute_buffers.json from catalogs/models/models.json. `--check` writes
nothing and exits 1 when the file differs.
"""

import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from probe.catalog.buffer_table import BUFFERS_FILE, DIGITS, STORED_CONTEXTS, StoredBuffers
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models
from probe.engines.llama_cpp import brought_cache, cells_of, hparams_of
from probe.engines.request import Request
from probe.estimate.compute_buffer import batch_of, computed_buffers, output_buffer_bytes
from probe.estimate.kv_cache import kv_bytes_per_layer
from probe.estimate.not_modeled import UNKNOWN_ARCHITECTURE, NotModeledError
from probe.estimate.recurrent_state import state_bytes_per_layer


def row_of(spec: ModelSpec, context: int) -> StoredBuffers:
    """One model at one context, everything else by llama.cpp's default.

    Raises:
        NotModeledError: its shapes or the graph of its architecture are not known.
    """
    h = hparams_of(spec)
    asked = Request(context=context)
    cells = cells_of(h, asked)
    batch = batch_of(cells, ubatch=asked.ubatch, flash_attention=True)
    found = computed_buffers(spec, h, batch)
    if found.counts_layers:  # a row has no place for that
        raise NotModeledError(UNKNOWN_ARCHITECTURE, architecture=h.architecture)
    caches = kv_bytes_per_layer(
        h, cells, type_k=asked.kv_type_k, type_v=asked.kv_type_v, flash_attention=True
    )
    kinds: dict[tuple[int, int], int] = {}
    digits = [
        kinds.setdefault(kind, len(kinds))
        for kind in zip(caches, state_bytes_per_layer(h, cells.sequences), strict=True)
    ]
    return StoredBuffers(
        found.cpu,
        found.layers,
        found.whole,
        found.host,
        found.first,
        found.middle,
        found.last,
        found.hosts,
        dict(found.readings),
        output_buffer_bytes(h, asked.parallel),
        h.layers_in_file - h.layers,
        brought_cache(h, batch),
        tuple(kinds),
        "".join(DIGITS[digit] for digit in digits),
    )


def rows_at(context: int) -> str:
    """One model a line, those without a graph left out."""
    rows = []
    for spec in all_models():
        try:
            row = row_of(spec, context)
        except NotModeledError:
            continue
        rows.append(f"{msgspec.json.encode(spec.id).decode()}:{msgspec.json.encode(row).decode()}")
    return ",\n".join(rows)


def table() -> bytes:
    """The whole file."""
    parts = [f'"{context}":{{\n{rows_at(context)}\n}}' for context in STORED_CONTEXTS]
    return ('{"schema_version":2,"contexts":{' + ",\n".join(parts) + "}}\n").encode()


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
