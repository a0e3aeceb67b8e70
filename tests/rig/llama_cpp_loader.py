"""Loads a GGUF with a real llama.cpp and prints what it reports: `llama_cpp_loader.py MODEL JSON`.

A program of its own: the library writes to the process's own stderr and keeps its memory.
JSON: n_ctx, n_parallel, n_ubatch, kv_unified, flash ("on"/"off"), type_k, type_v, real (load
the weights), and embedding. With `real` the resident set before and after stands on stdout.
"""

import json
import os
import sys
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found, unused-ignore]


def resident_bytes() -> int:
    """Memory of this process that lies in RAM, files mapped into it counted."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def main() -> None:
    """Load, print, leave without tidying up."""
    asked = json.loads(sys.argv[2])
    real = bool(asked.get("real"))
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = asked["n_ctx"]
    params.n_parallel = asked["n_parallel"]
    params.n_ubatch = asked["n_ubatch"]
    params.n_batch = max(2048, asked["n_ubatch"])
    params.kv_unified = bool(asked["kv_unified"])
    flash = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = (
        flash.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if asked["flash"] == "on"
        else flash.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    types = xllamacpp.ggml_type
    params.cache_type_k = getattr(types, "GGML_TYPE_" + asked["type_k"].upper())
    params.cache_type_v = getattr(types, "GGML_TYPE_" + asked["type_v"].upper())
    params.embedding = bool(asked.get("embedding"))
    params.fit_params = False
    params.warmup = real
    params.no_alloc = not real
    params.no_extra_bufts = True
    params.cache_ram_mib = 0
    params.verbosity = 4
    if not real:
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    before = resident_bytes()
    server = xllamacpp.Server(params)
    if real:
        prompt = {"prompt": "word " * 600, "max_tokens": 4}
        server.handle_completions(prompt)
    print(json.dumps({"before": before, "after": resident_bytes()}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
