"""Refreshes model rows from the Hugging Face hub and shows what would change.

For each row: the checkpoint's total and the licence, language and date of the
repository's metadata, and the context length of its config.json. A row that no longer adds
up (weights counted from the shapes, checkpoint total) is refused and stays as it was.
Nothing is written without --write; review the printed diff first, then run
scripts/build_models.py.

    python scripts/update_catalog.py Qwen/Qwen3-8B         # these rows
    python scripts/update_catalog.py --vendor kakao        # one source file
    python scripts/update_catalog.py --add org/new-model --vendor org --write
"""

import argparse
import datetime
import difflib
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from probe.catalog.model_spec import ModelSpec
from probe.catalog.validate import model_problems
from probe.errors import ProbeError
from probe.estimate.identity import active_parameters, counted_parameters, discrepancies
from probe.estimate.not_modeled import NotModeledError
from probe.messages import t
from probe.model_files.open_model import checkpoint_spec, parse_config
from scripts.build_models import MODELS

ENDPOINT = "https://huggingface.co"
TIMEOUT_S = 20
MAX_BYTES = 4 * 2**20
_THIS_COMPUTER = (("http", "127.0.0.1"), ("http", "localhost"))
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class NotOnHubError(Exception):
    """The hub has no such repository or file, or does not let us see it."""


def fetch(endpoint: str, path: str) -> bytes:
    """One small document of the hub.

    Raises:
        NotOnHubError: not there, not allowed, not reachable, or unreasonably large.
    """
    url = f"{endpoint.rstrip('/')}/{path}"
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) not in _THIS_COMPUTER:
        raise NotOnHubError(f"{url}: only https, or this computer")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  # checked above
            content: bytes = answer.read(MAX_BYTES + 1)
    except (urllib.error.URLError, TimeoutError) as error:
        raise NotOnHubError(f"{url}: {error}") from error
    if len(content) > MAX_BYTES:
        raise NotOnHubError(f"{url}: larger than {MAX_BYTES} bytes")
    return content


def hub_values(endpoint: str, repository: str) -> dict[str, Any]:
    """What the hub says of a repository, under the row's own field names; absent = not said."""
    metadata = json.loads(fetch(endpoint, f"api/models/{repository}"))
    card = metadata.get("cardData") or {}
    values: dict[str, Any] = {}
    total = (metadata.get("safetensors") or {}).get("total")
    if isinstance(total, int):
        values["params_total"] = total
    licence = card.get("license_name") if card.get("license") == "other" else card.get("license")
    if isinstance(licence, str):
        values["license"] = licence
    created = metadata.get("createdAt")
    if isinstance(created, str):
        values["release"] = created[:7]
    languages = card.get("language")
    codes = [languages] if isinstance(languages, str) else languages or []
    values["codes"] = sorted(code for code in codes if isinstance(code, str) and _LANGUAGE.fullmatch(code))
    return values


def hub_config(endpoint: str, repository: str) -> ModelSpec:
    """The shapes in a repository's config.json."""
    content = fetch(endpoint, f"{repository}/resolve/main/config.json")
    return checkpoint_spec(parse_config(content, repository), None, name=repository, origin="online")


def _korean_first(code: str) -> tuple[bool, str]:
    return code != "ko", code


def refreshed(row: dict[str, Any], endpoint: str, today: str) -> dict[str, Any]:
    """The row with what the hub says now; the same object where nothing changed."""
    said = hub_values(endpoint, row["id"])
    codes = said.pop("codes")
    changes = {name: value for name, value in said.items() if row.get(name) != value}
    have = {language["code"]: language for language in row.get("languages", [])}
    new = [code for code in codes if code not in have or have[code]["status"] == "claimed"]
    if new:
        source = f"model card language tags on Hugging Face, {today}"
        for code in new:
            have[code] = {"code": code, "status": "verified", "source": source}
        changes["languages"] = sorted(have.values(), key=lambda item: _korean_first(item["code"]))
    try:
        config = hub_config(endpoint, row["id"])
    except NotOnHubError:
        config = None  # a gated repository shows its metadata only
    if config is not None and config.max_context and row.get("max_context") is None:
        changes["max_context"] = config.max_context
    if not changes:
        return row
    if "license" in changes:  # what a new licence allows, a person has to read
        changes["commercial_use"] = None
    source = f"{', '.join(sorted(set(changes) - {'commercial_use'}))}: Hugging Face hub, {today}"
    merged = {**row, **changes, "source": [*row["source"], source], "retrieved": today}
    return {name: value for name, value in merged.items() if value is not None}


def new_row(repository: str, vendor: str, endpoint: str, today: str) -> dict[str, Any]:
    """A row for a model that the catalog does not have.

    Raises:
        NotOnHubError: its metadata or config.json cannot be had.
        NotModeledError: nothing is known to count its weights with.
    """
    said, config = hub_values(endpoint, repository), hub_config(endpoint, repository)
    counted = counted_parameters(config)
    codes = said.pop("codes")
    name = repository.rpartition("/")[2]
    languages = [{"code": code, "status": "verified"} for code in sorted(codes, key=_korean_first)]
    shapes = msgspec.to_builtins(config.dimensions)
    row = {
        "id": repository,
        "alias": name.lower().replace("_", "."),
        "name": name,
        "family": name.split("-")[0],
        "vendor": vendor,
        "variant": "instruct",
        "architecture": config.architecture,
        "model_type": config.model_type,
        "hf_architecture": config.hf_architecture,
        "params_text": counted,
        "params_active": active_parameters(config),
        "max_context": config.max_context,
        "native_dtype": config.native_dtype,
        **said,
        "modality": config.modality,
        "languages": languages,
        "dimensions": {key: value for key, value in shapes.items() if value is not None},
        "confidence": "exact",
        "source": [f"Hugging Face config.json and metadata, {today}"]
        + ([f"languages: model card language tags on Hugging Face, {today}"] if languages else []),
        "retrieved": today,
    }
    return {key: value for key, value in row.items() if value not in (None, [])}


def faults(row: dict[str, Any], others: list[dict[str, Any]]) -> Iterator[str]:
    """Why a row must not enter the catalog."""
    model = msgspec.convert(row, ModelSpec)
    neighbours = [msgspec.convert(other, ModelSpec) for other in others if other["id"] != row["id"]]
    for problem in model_problems([model, *neighbours]):
        if problem.id in (model.id, model.alias):
            yield t(problem.key, "en", id=problem.id, detail=problem.detail)
    try:
        for wrong in discrepancies(model):
            yield t(wrong.key, "en", id=model.id, counted=wrong.counted, stated=wrong.stated)
    except NotModeledError as error:
        yield t(error.key, "en", **error.facts)


def format_rows(rows: list[dict[str, Any]]) -> str:
    """Source rows as they are kept: one key a line."""
    texts = []
    for row in rows:
        lines = [
            f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in row.items()
        ]
        texts.append("{\n" + ",\n".join(lines) + "\n}")
    return "[\n" + ",\n".join(texts) + "\n]\n"


def update_file(path: Path, wanted: set[str], endpoint: str, today: str) -> tuple[str, str]:
    """Old and new text of one source file; refusals and absences are said on stderr."""
    old = path.read_text(encoding="utf-8") if path.is_file() else "[\n\n]\n"
    rows: list[dict[str, Any]] = json.loads(old)
    for index, row in enumerate(rows):
        if wanted and row["id"] not in wanted:
            continue
        try:
            candidate = refreshed(row, endpoint, today)
        except (NotOnHubError, ProbeError, ValueError) as error:
            print(f"{row['id']}: left as it is, {error}", file=sys.stderr)
            continue
        refused = list(faults(candidate, rows)) if candidate is not row else []
        for fault in refused:
            print(f"refused: {fault}", file=sys.stderr)
        if not refused:
            rows[index] = candidate
    return old, format_rows(rows)


def add_rows(path: Path, repositories: list[str], endpoint: str, today: str) -> tuple[str, str]:
    """Old and new text of the source file that gets the new rows."""
    old = path.read_text(encoding="utf-8") if path.is_file() else "[\n\n]\n"
    rows: list[dict[str, Any]] = json.loads(old)
    for repository in repositories:
        try:
            candidate = new_row(repository, path.stem, endpoint, today)
        except (NotOnHubError, ProbeError, ValueError) as error:
            print(f"refused: {repository}, {error}", file=sys.stderr)
            continue
        refused = list(faults(candidate, rows))
        for fault in refused:
            print(f"refused: {fault}", file=sys.stderr)
        if not refused:
            rows.append(candidate)
    return old, format_rows(rows) if rows else old


def main(arguments: list[str] | None = None) -> int:
    """Prints a diff of the source files; 1 when a row was refused or nothing could be asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", nargs="*", help="rows to refresh, such as Qwen/Qwen3-8B; none: all")
    parser.add_argument("--vendor", help="name of one source file, such as kakao")
    parser.add_argument("--add", action="append", default=[], metavar="ORG/NAME", help="add a new row")
    parser.add_argument("--endpoint", default=ENDPOINT)
    parser.add_argument("--source", type=Path, default=MODELS / "source", help="folder of the rows")
    parser.add_argument("--write", action="store_true", help="write the files after showing the diff")
    options = parser.parse_args(arguments)
    if options.add and not options.vendor:
        parser.error("--add needs --vendor: the source file that gets the row")
    today = datetime.date.today().isoformat()
    if options.add:
        path = options.source / f"{options.vendor}.json"
        updates = {path: add_rows(path, options.add, options.endpoint, today)}
    else:
        pattern = f"{options.vendor}.json" if options.vendor else "*.json"
        wanted = set(options.repository)
        updates = {
            path: update_file(path, wanted, options.endpoint, today)
            for path in sorted(options.source.glob(pattern))
            if not wanted or wanted & {row["id"] for row in json.loads(path.read_text(encoding="utf-8"))}
        }
    for path, (old, new) in updates.items():
        diff = difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True), path.name, f"{path.name} (new)"
        )
        sys.stdout.writelines(diff)
        if options.write and new != old:
            path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
