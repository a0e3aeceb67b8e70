"""Compare our vLLM plans with measured ones: every planned figure must be equal.

python scripts/score_vllm.py tests/truth/vllm_kv.csv.gz --models tests/truth/vllm_models.jsonl
"""

import argparse
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe.catalog.model_spec import ModelSpec
from probe.engines.vllm_plan import KvPlan, PlanRequest, plan, written_groups
from probe.engines.vllm_platform import GpuClass
from probe.errors import ProbeError
from probe.messages import t
from probe.model_files.hf_config import spec_from_config
from probe.units import GIB
from scripts.csv_rows import Row, UnreadableError, read_rows, read_text, whole_number

NEEDED: Final = ("model_id", "max_model_len", "tp", "kv_dtype", "gpu_class", "available_bytes")
# the columns the score compares, and how vLLM's refusals are told apart by their first words
SCORED: Final = (
    "fits",
    "block_size",
    "bytes_per_block",
    "blocks_one_request",
    "need_bytes_one_request",
    "num_blocks",
    "tokens_capacity",
    "estimated_max_len_if_not",
)
FURTHER: Final = (
    "dtype",
    "groups",
    "max_concurrency",
    "max_concurrency_exact",
    "error",
    "attention_backend",
    "max_num_batched_tokens",
    "async_scheduling",
    "prefix_caching",
    "mamba_cache_mode",
    "kv_cache_layout",
)
REFUSALS: Final = (
    ("Total number of attention heads", "heads"),
    ("If tensor parallel world size", "groups"),
    ("User-specified max_model_len", "max_model_len"),
    ("FP8 KV cache is not supported", "fp8_unsupported"),
    ("No valid attention backend", "no_backend"),
    ("The quantization method", "quant_unsupported"),
    ("does not dispatch", "unsupported_architecture"),
    ("not supported for now", "unsupported_architecture"),
    ("was supported in vLLM until", "unsupported_architecture"),
    ("is not supported anymore", "unsupported_architecture"),
    ("does not recognize this architecture", "unsupported_architecture"),
    ("AssertionError", "kv_heads"),
)
_UNDER: Final = re.compile(r"under (\d+) GiB")
_MEMORY: Final = re.compile(r"(\d+) GiB")
_CAPABILITY: Final = re.compile(r"cc (\d+)\.(\d+)")
_NO_PREFIX_CACHING: Final = "--no-enable-prefix-caching"


def read_models(path: Path) -> dict[str, ModelSpec]:
    """Specs by id of a JSONL with `model_id` and `config` on each line."""
    try:
        rows = [json.loads(line) for line in read_text(path).splitlines() if line.strip()]
        return {row["model_id"]: spec_from_config(row["config"], model_id=row["model_id"]) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"{path}: a line holds no model_id and config") from error


def gpu_class(text: str) -> GpuClass:
    """`cc 8.9, under 70 GiB (RTX 4090 class)`: capability, memory tier and name."""
    capability = _CAPABILITY.search(text)
    if capability is None:
        raise ValueError(f"gpu_class: names no compute capability: {text!r}")
    under, memory = _UNDER.search(text), _MEMORY.search(text)
    size = int(memory.group(1)) if memory else 24
    return GpuClass(
        capability=(int(capability.group(1)), int(capability.group(2))),
        memory_bytes=(size - 1 if under else size) * GIB,
        name=text.lower(),
    )


def request_of(row: Row) -> PlanRequest:
    """What a row asks; columns of the answer are not read."""
    switched_off = _NO_PREFIX_CACHING in (row.get("notes") or "") or row.get("prefix_caching") == "False"
    available = row["available_bytes"].strip()
    return PlanRequest(
        max_model_len=whole_number(row, "max_model_len"),
        gpu=gpu_class(row["gpu_class"]),
        tp=whole_number(row, "tp"),
        kv_dtype=row["kv_dtype"],
        available_bytes=None
        if available == ""
        else 0
        if available == "0"
        else whole_number(row, "available_bytes"),
        prefix_caching=False if switched_off else None,
    )


def columns(made: KvPlan) -> dict[str, str]:
    """Our answer in the columns of the measured file."""
    if made.fits is None:
        return {**dict.fromkeys((*SCORED, *FURTHER), ""), "fits": "unknown"}
    if made.rejection is not None:
        return {
            **dict.fromkeys((*SCORED, *FURTHER), ""),
            "fits": "rejected",
            "dtype": made.dtype or "",
            "error": made.rejection.kind,
        }
    values: dict[str, Any] = {
        "fits": "yes" if made.fits else "no",
        "block_size": made.block_size,
        "bytes_per_block": made.bytes_per_block,
        "blocks_one_request": made.blocks_one_request,
        "need_bytes_one_request": made.need_bytes_one_request,
        "num_blocks": made.num_blocks,
        "tokens_capacity": made.tokens_capacity,
        "estimated_max_len_if_not": made.estimated_max_len,
        "dtype": made.dtype,
        "groups": written_groups(made),
        "max_concurrency": None if made.max_concurrency is None else f"{made.max_concurrency:.2f}",
        "max_concurrency_exact": made.max_concurrency,
        "error": "does_not_fit" if made.fits is False else None,
        "attention_backend": "/".join(made.backends),
        "max_num_batched_tokens": made.batched_tokens,
        "async_scheduling": True,
        "prefix_caching": made.prefix_caching,
        "mamba_cache_mode": made.cache_mode,
        "kv_cache_layout": "LBNHC",
    }
    return {name: "" if value is None else str(value) for name, value in values.items()}


def refusal_kind(error: str) -> str:
    """Which of our kinds a measured refusal is."""
    return next((kind for words, kind in REFUSALS if words in error), error[:60])


def differences(row: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Scored columns where a row and our answer disagree."""
    if row["fits"] == "rejected" or ours["fits"] == "rejected":
        theirs = refusal_kind(row["error"]) if row["fits"] == "rejected" else row["fits"]
        own = ours["error"] if ours["fits"] == "rejected" else ours["fits"]
        return {} if theirs == own else {"rejection": {"measured": theirs, "ours": own}}
    return {
        name: {"measured": row[name], "ours": ours[name]}
        for name in SCORED
        if (row[name] or "") != ours[name]
    }


def score(rows: Sequence[Row], models: Mapping[str, ModelSpec]) -> dict[str, Any]:
    """Rows, equal rows, every mismatch with both values, and the rows no plan can be made for."""
    mismatches, unplaced = [], []
    for number, row in enumerate(rows, start=2):
        try:
            ours = answer(row, models)
        except ValueError as error:
            unplaced.append({"line": number, "model_id": row["model_id"], "reason": str(error)})
            continue
        found = differences(row, ours)
        if found:
            asked = {name: row[name] for name in ("model_id", "kv_dtype", "tp", "max_model_len", "gpu_class")}
            mismatches.append({"line": number, **asked, "differences": found})
    equal = len(rows) - len(mismatches) - len(unplaced)
    return {"rows": len(rows), "equal": equal, "mismatches": mismatches, "unplaced": unplaced}


def answer(row: Row, models: Mapping[str, ModelSpec]) -> dict[str, str]:
    """Our columns for a row.

    Raises:
        ValueError: a cell holds no such number, or `models` lacks the model.
    """
    if row["model_id"] not in models:
        raise ValueError("model_id: --models has no config for it")
    try:
        return columns(plan(models[row["model_id"]], request_of(row)))
    except ProbeError as error:
        raise ValueError(t(error.key, "en", **error.facts)) from error


def predictions(rows: Sequence[Row], models: Mapping[str, ModelSpec]) -> Iterator[dict[str, str]]:
    """Each row with our columns added."""
    for row in rows:
        try:
            ours = answer(row, models)
        except ValueError:
            ours = dict.fromkeys((*SCORED, *FURTHER), "")
        yield {**row, **{f"our_{name}": ours[name] for name in (*SCORED, *FURTHER)}}


def print_table(result: Mapping[str, Any]) -> None:
    """The score for a person."""
    print(f"rows {result['rows']:,}   equal {result['equal']:,}   mismatches {len(result['mismatches']):,}")
    counts = Counter((entry["model_id"], *entry["differences"]) for entry in result["mismatches"])
    for (model, *names), count in counts.most_common(40):
        print(f"{count:6,}  {model}  {', '.join(names)}")
    for entry in result["unplaced"]:
        print(f"line {entry['line']} cannot be placed: {entry['model_id']}: {entry['reason']}")


def main() -> int:
    """Command line; 1 when a figure differs or a row cannot be placed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", type=Path, help="rows with the columns of tests/truth/vllm_kv.csv.gz")
    parser.add_argument("--models", type=Path, required=True, help="JSONL: model_id and config on each line")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument(
        "--predict", type=Path, metavar="OUT.csv", help="write the rows with our columns added"
    )
    options = parser.parse_args()
    try:
        rows = read_rows(options.csv, NEEDED)
        models = read_models(options.models)
        if options.predict is not None:
            written = list(predictions(rows, models))
            with options.predict.open("w", encoding="utf-8", newline="") as target:
                writer = csv.DictWriter(target, list(written[0]) if written else [])
                writer.writeheader()
                writer.writerows(written)
            if not any(row.get("fits") for row in rows):
                return 0
        result = score(rows, models)
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    except UnreadableError as error:
        parser.error(str(error))
    except ProbeError as error:
        parser.error(t(error.key, "en", **error.facts))
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print_table(result)
    return 1 if result["mismatches"] or result["unplaced"] else 0


if __name__ == "__main__":
    sys.exit(main())
