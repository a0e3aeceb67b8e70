"""The documents of `probe preflight`: one machine judged for one engine, and the matrix of formats."""

import msgspec

from probe.report.documents import SCHEMA_VERSION


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One check. `observed` null = could not be read; `fix` null = nothing to do."""

    id: str
    title: str
    result: str  # pass, warn, fail, unknown, info
    blocking: bool
    observed: str | None
    required: str
    fix: str | None
    source: str


class FlagReason(msgspec.Struct, frozen=True, kw_only=True):
    """One flag of the command and why it is there."""

    flag: str
    value: str | None
    why: str


class PreflightAlternative(msgspec.Struct, frozen=True, kw_only=True):
    """What works instead, best first."""

    engine: str
    version: str | None
    build: str | None
    why: str
    command: str | None


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The wished model as it would be served. `kv_tokens`: tokens that fit at once."""

    id: str
    quantization: str
    tensor_parallel: int
    pipeline_parallel: int
    context: int
    parallel: int
    max_context: int | None
    kv_tokens: int | None
    concurrency: float | None


class PreflightDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="preflight"):
    """`probe preflight ENGINE --json`."""

    schema_version: str = SCHEMA_VERSION
    engine: str
    machine_name: str | None
    target_version: str | None
    verdict: str  # ready, ready_with_warnings, not_ready, cannot_tell
    checks: tuple[CheckResult, ...]
    model: ServedModel | None
    command: str | None
    flags: tuple[FlagReason, ...]
    alternatives: tuple[PreflightAlternative, ...]


class AcrossServers(msgspec.Struct, frozen=True, kw_only=True):
    """The model over several equal servers: tensor parallel inside each, pipeline across."""

    machines: tuple[str, ...]
    quantization: str
    tensor_parallel: int
    pipeline_parallel: int
    context: int
    kv_tokens: int | None
    commands: tuple[str, ...]


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is no machine, and why."""

    path: str
    reason: str


class PreflightSetDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="preflight_set"):
    """`probe preflight ENGINE --machines DIR --json`."""

    schema_version: str = SCHEMA_VERSION
    engine: str
    machines: tuple[PreflightDocument, ...]
    unreadable: tuple[Unreadable, ...]
    across: AcrossServers | None


class MatrixRow(msgspec.Struct, frozen=True, kw_only=True):
    """One format; cells: yes, weight_only, no, plugin, documented_only, unverified, null = not listed."""

    method: str
    name: str | None
    min_compute_capability: str | None
    cells: dict[str, str | None]


class MatrixDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="preflight_matrix"):
    """`probe preflight vllm --matrix --json`: which weight format loads on which GPU generation."""

    schema_version: str = SCHEMA_VERSION
    engine: str
    version: str
    generations: dict[str, tuple[str, ...]]
    rows: tuple[MatrixRow, ...]
