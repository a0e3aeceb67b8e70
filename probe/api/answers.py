"""The three questions a program asks: what is this machine, does this model run, what is best here.

Every answer is the document that the same command prints with `--json`, as a
frozen value; `to_json` gives its bytes. Nothing is printed, nothing exits:
what goes wrong is an exception of probe/errors.py.
"""

import os
from collections.abc import Sequence
from typing import Any

from probe.api.limits import MAX_CONTEXT, MAX_PARALLEL, MAX_UBATCH, MODEL_LANGUAGES, PURPOSES
from probe.api.machines import MachineSource, live_machine, machine_of
from probe.api.models import model_of, use_own_models
from probe.catalog.model_spec import ModelSpec
from probe.errors import InputError, UnknownNameError
from probe.machine import Machine
from probe.machine.redact import redact
from probe.messages import LANGUAGES
from probe.recommender.options import Options
from probe.report.documents import CheckDocument, ReportDocument
from probe.report.encode import to_json
from probe.units import MAX_BYTES

__all__ = ["check", "recommend", "scan", "to_json"]
_OWN_DRAFTS = ("auto", "mtp")


def scan(
    *,
    deadline_s: float = 5.0,
    make_id: bool = True,
    alias: str | None = None,
    show_host_name: bool = True,
) -> Machine:
    """This machine: what `probe scan --json` prints, user names and serial numbers taken out.

    Args:
        deadline_s: seconds for all sources together. A driver that hangs is named in
            `Machine.attempts` and keeps a thread; everything else that was found counts.
        make_id: a machine without an id gets one, kept in the user's state folder: the only
            thing ever written. False writes nothing; `host.id` is then None where none was made before.
        alias: name of the machine instead of its host name.
        show_host_name: False: `pc-` and six letters of the id instead of the host name.

    Raises:
        CatalogError: this installation is damaged.
    """
    return redact(
        live_machine(deadline_s=deadline_s, make_id=make_id), alias=alias, show_host_name=show_host_name
    )


def check(
    model: str | os.PathLike[str] | ModelSpec,
    *,
    machine: MachineSource = None,
    as_: str | None = None,
    engine: str | None = None,
    quantization: str | None = None,
    context: int | None = None,
    parallel: int | None = None,
    kv_type: str | None = None,
    kv_unified: bool = False,
    ubatch: int | None = None,
    flash_attention: bool | None = None,
    reserve_bytes: int = 0,
    with_model: str | ModelSpec | None = None,
    draft: str | ModelSpec | None = None,
    online: bool = False,
    alias: str | None = None,
    show_host_name: bool = True,
    lang: str = "en",
) -> CheckDocument:
    """Will this model run: memory per device, speed with its range, verdict and reasons, start command.

    A "no" is an answer, not an exception: see `verdict` and `fits` (None = cannot be known).
    Sizes are bytes, speeds tokens a second, bandwidths bytes a second.

    Args:
        model: catalog name or alias, a path (GGUF, safetensors, folder, config.json), `hf:org/name`
            with `online`, or a ModelSpec.
        machine: a Machine, or the path of a report or machine file; None: this computer.
        as_: a machine in words instead, such as "RTX 4090; 64GB DDR5-5600 x2".
        engine: llama.cpp (the default), vllm and others that the catalog knows.
        quantization: as the engine spells it (Q4_K_M, awq); None: the best that fits.
        context: tokens that one conversation may hold, prompt and answer; None: 8192.
        parallel: conversations held at once; None: 1.
        kv_type: element type of the KV cache (f16, q8_0); None: the engine's default.
        kv_unified: one KV cache for all conversations (llama.cpp).
        ubatch: prompt tokens computed at once (llama.cpp); None: 512.
        flash_attention: None: the engine chooses.
        reserve_bytes: memory to leave to other programs.
        with_model: another model that stays loaded beside it.
        draft: model that drafts for it (speculative decoding), "auto" for the best known, "mtp" for
            the model's own prediction layers.
        online: allow the network for `hf:`. Nothing else ever uses it.
        alias, show_host_name: see scan.
        lang: "en" or "ko": the language of the sentences; codes and figures are the same.

    Raises:
        UnknownNameError, AmbiguousNameError: no such model, device, engine or quantization, or
            several; `suggestions` holds the nearest names.
        InputError: a file that is missing, damaged or no model, or a figure out of range.
        CatalogError: this installation is damaged.
    """
    from probe.report.build import build_check

    lang = _one_of("lang", lang, LANGUAGES)
    asked = _options(
        context=context,
        parallel=parallel,
        kv_type=kv_type,
        ubatch=ubatch,
        reserve_bytes=reserve_bytes,
        with_model=with_model,
        engine=None if engine is None else _text("engine", engine),
        quantization=None if quantization is None else _text("quantization", quantization),
        kv_unified=kv_unified,
        flash_attention=flash_attention,
        draft_model=draft.id if isinstance(draft, ModelSpec) else draft,
        draft_spec=None if draft is None or draft in _OWN_DRAFTS else _spec(draft, online=False),
        alias=alias,
        show_host_name=show_host_name,
    )
    spec = _spec(model, online=online)
    return build_check(machine_of(machine, as_), spec, asked, lang=lang)


def recommend(
    *,
    machine: MachineSource = None,
    as_: str | None = None,
    purposes: Sequence[str] = (),
    quantization: str | None = None,
    context: int | None = None,
    parallel: int | None = None,
    kv_type: str | None = None,
    kv_unified: bool = False,
    ubatch: int | None = None,
    flash_attention: bool | None = None,
    reserve_bytes: int = 0,
    with_model: str | ModelSpec | None = None,
    model_languages: Sequence[str] = (),
    commercial_use: bool = False,
    alias: str | None = None,
    show_host_name: bool = True,
    api_url: str | None = None,
    lang: str = "en",
) -> ReportDocument:
    """The whole report of a machine: findings, engines, map of sizes, recommended models, every verdict.

    Args:
        machine, as_, quantization, context, parallel, kv_type, kv_unified, ubatch, flash_attention,
            reserve_bytes, with_model, alias, show_host_name, lang: see check.
        purposes: general, korean, coding, reasoning, vision, embedding, documents; empty: the short
            answer by role.
        model_languages: codes of languages that a recommended model must know, such as ("ko", "en").
        commercial_use: recommend only models whose licence allows commercial use.
        api_url: address of this server's API, to stand in its own report.

    Raises:
        UnknownNameError, AmbiguousNameError, InputError, CatalogError: see check.
    """
    from datetime import datetime, timezone

    from probe.report.build import build_report

    lang = _one_of("lang", lang, LANGUAGES)
    asked = _options(
        context=context,
        parallel=parallel,
        kv_type=kv_type,
        ubatch=ubatch,
        reserve_bytes=reserve_bytes,
        with_model=with_model,
        purposes=_several_of("purposes", purposes, PURPOSES),
        languages=_several_of("model_languages", model_languages, MODEL_LANGUAGES),
        quantization=quantization,
        kv_unified=kv_unified,
        flash_attention=flash_attention,
        commercial_use=commercial_use,
        alias=alias,
        show_host_name=show_host_name,
        api_url=api_url,
    )
    use_own_models()
    created_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return build_report(machine_of(machine, as_), asked, lang=lang, created_at=created_at)


def _options(
    *,
    context: int | None,
    parallel: int | None,
    kv_type: str | None,
    ubatch: int | None,
    reserve_bytes: int,
    with_model: str | ModelSpec | None,
    **others: Any,
) -> Options:
    """The wish in the recommender's words, its figures within their bounds."""
    default = Options()
    beside = None if with_model is None else _spec(with_model, online=False)
    return Options(
        context=default.context if context is None else _number("context", context, MAX_CONTEXT),
        parallel=default.parallel if parallel is None else _number("parallel", parallel, MAX_PARALLEL),
        context_asked=context is not None,
        parallel_asked=parallel is not None,
        kv_type=None if kv_type is None else _kv_type(kv_type, others.get("engine")),
        ubatch=None if ubatch is None else _number("ubatch", ubatch, MAX_UBATCH),
        reserve_bytes=0 if reserve_bytes == 0 else _number("reserve_bytes", reserve_bytes, MAX_BYTES),
        with_model=None if beside is None else with_model if isinstance(with_model, str) else beside.id,
        with_spec=beside,
        **others,
    )


def _spec(model: "str | os.PathLike[str] | ModelSpec", *, online: bool) -> ModelSpec:
    return model if isinstance(model, ModelSpec) else model_of(_text("model", model), online=online)


def _text(name: str, value: object) -> str:
    """A text, or the path of a file as text.

    Raises:
        InputError: anything else.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise InputError("cli.usage.no_text", option=name, text=repr(value)[:40])
    return text


def _number(name: str, value: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError("cli.usage.bad_number", option=name, text=str(value)[:40])
    if not 1 <= value <= highest:
        raise InputError("cli.usage.number_out_of_range", option=name, text=str(value)[:40], highest=highest)
    return value


def _kv_type(name: str, engine: str | None) -> str:
    from probe.catalog.engines import find_engine
    from probe.catalog.quantizations import askable_kv_types

    return _one_of("kv_type", name, askable_kv_types(None if engine is None else find_engine(engine).id))


def _one_of(option: str, value: str, known: Sequence[str]) -> str:
    for candidate in known:
        if candidate.lower() == str(value).strip().lower():
            return candidate
    raise UnknownNameError("cli.usage.bad_choice", str(value)[:80], tuple(known), option=option)


def _several_of(option: str, values: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    parts = values.split(",") if isinstance(values, str) else values
    return tuple(dict.fromkeys(_one_of(option, part, known) for part in parts))
