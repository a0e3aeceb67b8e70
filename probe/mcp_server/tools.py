"""The five tools: from checked arguments to the document of the command of the same name, and its page.

Reading only: no id is made for a machine that has none, no path leads to the
network, nothing is written.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from probe.api import answers
from probe.api.machines import machine_of
from probe.api.models import model_of
from probe.catalog.engines import find_engine
from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import find_model
from probe.collectors.local_host import LocalHost
from probe.collectors.server import collect_server
from probe.errors import InputError
from probe.fleet.compute import complete_hardware_only
from probe.fleet.scan import scan_folder
from probe.fleet.summary import build_fleet
from probe.fleet.what_if import apply_change, read_change
from probe.machine import Machine
from probe.machine.redact import redact
from probe.mcp_server.arguments import (
    CheckArguments,
    FleetArguments,
    PlanArguments,
    PreflightArguments,
    ScanArguments,
)
from probe.recommender.options import Options
from probe.recommender.preflight.situation import Ask
from probe.render.check_page import check_page
from probe.render.fleet_page import fleet_page
from probe.render.page import Page
from probe.render.plan_page import plan_page, upgrade_page
from probe.render.preflight_page import preflight_page
from probe.render.scan_page import scan_page
from probe.report.documents import CheckDocument
from probe.report.documents_preflight import PreflightDocument
from probe.report.fleet_documents import FleetDocument
from probe.report.json_schema import Schema, document_schemas
from probe.report.plan_documents import PlanDocument, UpgradeDocument, build_plan, build_upgrade
from probe.report.preflight import build_preflight

_HUB: Final = "hf:"
_NETWORK_PATHS: Final = ("\\\\", "//", "\\/", "/\\")


class Reply(NamedTuple):
    """One answer: the document of `--json`, and the page that people read."""

    document: msgspec.Struct
    page: Page


class Tool(NamedTuple):
    """One tool; title and description are the messages `mcp.title.<name>` and `mcp.description.<name>`."""

    name: str
    arguments: type[msgspec.Struct]
    documents: tuple[type[msgspec.Struct], ...]
    answer: Callable[[Any, str], Reply]

    def input_schema(self) -> Schema:
        """What a call may hold."""
        schema = msgspec.json.schema(self.arguments)
        # The root must be an object, not a reference to one; what it says of itself is for us.
        definitions = schema.pop("$defs")
        root = definitions.pop(self.arguments.__name__)
        root.pop("description", None)
        return {**root, "$defs": definitions} if definitions else dict(root)

    def output_schema(self) -> Schema:
        """What the structured content of an answer holds: the published schema of its document."""
        references, definitions = document_schemas(self.documents)
        if len(references) > 1:
            return {"type": "object", "anyOf": references, "$defs": definitions}
        root = definitions[references[0]["$ref"].rpartition("/")[2]]
        return {**root, "$defs": definitions}

    def reply(self, given: dict[str, Any], lang: str) -> Reply:
        """The answer to one call.

        Raises:
            ProbeError: the arguments are wrong, or the question cannot be answered.
        """
        try:
            asked: Any = msgspec.convert(given, self.arguments)
        except msgspec.ValidationError as error:
            raise InputError("mcp.bad_arguments", tool=self.name, detail=str(error)[:300]) from error
        return self.answer(asked, asked.lang or lang)


def _scan(asked: ScanArguments, lang: str) -> Reply:
    machine = redact(_machine(asked.machine, asked.as_))
    return Reply(machine, scan_page(machine, lang))


def _check(asked: CheckArguments, lang: str) -> Reply:
    beside = None if asked.with_model is None else _local(asked.with_model)
    document = answers.check(
        _local(asked.model),
        machine=_machine(asked.machine, asked.as_),
        engine=asked.engine,
        quantization=asked.quantization,
        context=asked.context,
        parallel=asked.parallel,
        kv_type=asked.kv_type,
        reserve_bytes=asked.reserve_bytes,
        with_model=beside,
        draft=None if asked.draft is None else _local(asked.draft),
        lang=lang,
    )
    return Reply(document, check_page(document, lang))


def _plan(asked: PlanArguments, lang: str) -> Reply:
    if asked.upgrade == (asked.model is not None):
        raise InputError("mcp.plan_needs_one")
    if asked.model is not None and (asked.machine is not None or asked.as_ is not None):
        raise InputError("mcp.plan_machine_only_for_upgrade")
    options = Options(
        context=asked.context or Options().context,
        parallel=asked.parallel or Options().parallel,
        quantization=asked.quantization,
        kv_type=asked.kv_type,
    )
    if asked.model is None:
        changes = build_upgrade(_machine(asked.machine, asked.as_), options, lang=lang)
        return Reply(changes, upgrade_page(changes, lang))
    document = build_plan(_model(asked.model), options, lang=lang, wanted_tokens_per_s=asked.tokens_per_s)
    return Reply(document, plan_page(document, lang))


def _preflight(asked: PreflightArguments, lang: str) -> Reply:
    ask = Ask(
        engine=asked.engine,
        target_version=asked.target_version,
        build=asked.build,
        model=None if asked.model is None else _model(asked.model),
        quantization=asked.quantization,
        context=asked.context or Ask().context,
        parallel=asked.parallel or Ask().parallel,
        kv_type=asked.kv_type,
    )
    machine = _machine(asked.machine, asked.as_)
    facts = None
    if asked.machine is None and asked.as_ is None:
        facts = collect_server(LocalHost(), port=find_engine(asked.engine).default_port or 8000)
    document = build_preflight(machine, ask, lang=lang, server=facts, name=redact(machine).host.name)
    return Reply(document, preflight_page(document, lang))


def _fleet(asked: FleetArguments, lang: str) -> Reply:
    folder = Path(_local(asked.folder))
    spec = None if asked.model is None else find_model(asked.model)
    found = scan_folder(folder)
    if any(member.lines is None for member in found.members):
        found = complete_hardware_only(found, folder, lang)
    changed = None
    if asked.what_if is not None:
        found, changed = apply_change(found, folder, read_change(asked.what_if), lang)
    now_s = time.time()
    document = build_fleet(
        found,
        folder=folder.resolve(),
        lang=lang,
        now_s=now_s,
        created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s)),
        with_models=asked.include == "models",
        model=None if spec is None else (spec.id, spec.name),
        what_if=changed,
    )
    page = fleet_page(document, lang)
    if asked.include == "totals":
        document = msgspec.structs.replace(document, machines=())
    return Reply(document, page)


def _machine(file: str | None, spec: str | None) -> Machine:
    return machine_of(None if file is None else _local(file), spec, make_id=False)


def _model(text: str) -> ModelSpec:
    return model_of(_local(text))


def _local(text: str) -> str:
    """The text, refused where it is a path or name that leads to the network.

    On Windows `\\\\server\\share` logs on to a server that whoever wrote the path chose.

    Raises:
        InputError: a hub name, a network path, or no path at all.
    """
    if text.startswith((_HUB, *_NETWORK_PATHS)):
        raise InputError("mcp.no_network", text=text[:200])
    if "\0" in text:
        raise InputError("cli.model.no_file", text=ascii(text[:200]))
    return text


TOOLS: Final = (
    Tool("scan", ScanArguments, (Machine,), _scan),
    Tool("check", CheckArguments, (CheckDocument,), _check),
    Tool("plan", PlanArguments, (PlanDocument, UpgradeDocument), _plan),
    Tool("preflight", PreflightArguments, (PreflightDocument,), _preflight),
    Tool("fleet", FleetArguments, (FleetDocument,), _fleet),
)
