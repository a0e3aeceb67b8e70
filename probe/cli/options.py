"""The options that commands share, declared once; help texts are message keys that help translates."""

from pathlib import Path
from typing import Annotated, Final

import typer

from probe.api.limits import MAX_CONTEXT, MAX_PARALLEL, MAX_UBATCH, MODEL_LANGUAGES, PURPOSES
from probe.cli.values import FORMATS, address, choice, choices, kv_type, memory_size, place, whole_number
from probe.messages import LANGUAGES

DEFAULT_CONTEXT: Final = 8192

MachineFile = Annotated[
    Path | None,
    typer.Option("--machine", metavar="FILE", parser=place("--machine"), help="cli.option.machine"),
]
MachineSpec = Annotated[str | None, typer.Option("--as", metavar="SPEC", help="cli.option.as")]
Context = Annotated[
    int,
    typer.Option(
        "--context",
        metavar="N",
        parser=whole_number("--context", MAX_CONTEXT, allow_k=True),
        help="cli.option.context",
    ),
]
Parallel = Annotated[
    int,
    typer.Option(
        "--parallel",
        "--users",
        metavar="N",
        parser=whole_number("--parallel", MAX_PARALLEL),
        help="cli.option.parallel",
    ),
]
Purposes = Annotated[
    str | None,
    typer.Option("--for", metavar="LIST", parser=choices("--for", PURPOSES), help="cli.option.for"),
]
Engine = Annotated[str | None, typer.Option("--engine", metavar="NAME", help="cli.option.engine")]
Quantization = Annotated[str | None, typer.Option("--quant", metavar="NAME", help="cli.option.quant")]
KvType = Annotated[
    str | None, typer.Option("--kv-type", metavar="TYPE", parser=kv_type, help="cli.option.kv_type")
]
KvTypeOfEngine = Annotated[str | None, typer.Option("--kv-type", metavar="TYPE", help="cli.option.kv_type")]
KvUnified = Annotated[bool, typer.Option("--kv-unified", help="cli.option.kv_unified")]
Ubatch = Annotated[
    int | None,
    typer.Option(
        "--ubatch", metavar="N", parser=whole_number("--ubatch", MAX_UBATCH), help="cli.option.ubatch"
    ),
]
FlashAttention = Annotated[
    bool | None, typer.Option("--flash-attn/--no-flash-attn", help="cli.option.flash_attn")
]
Reserve = Annotated[
    int, typer.Option("--reserve", metavar="SIZE", parser=memory_size, help="cli.option.reserve")
]
Draft = Annotated[str | None, typer.Option("--draft", metavar="MODEL", help="cli.option.draft")]
With = Annotated[str | None, typer.Option("--with", metavar="MODEL", help="cli.option.with")]
ModelLanguages = Annotated[
    str | None,
    typer.Option(
        "--model-language",
        metavar="LIST",
        parser=choices("--model-language", MODEL_LANGUAGES),
        help="cli.option.model_language",
    ),
]
CommercialUse = Annotated[bool, typer.Option("--commercial-use", help="cli.option.commercial_use")]
Explain = Annotated[bool, typer.Option("--explain", help="cli.option.explain")]
Online = Annotated[bool, typer.Option("--online", help="cli.option.online")]

Json = Annotated[bool, typer.Option("--json", help="cli.option.json")]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="F", parser=choice("--format", FORMATS), help="cli.option.format"),
]
# Text, not Path: a closing slash says "folder".
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="PATH", help="cli.option.output")]
Share = Annotated[
    Path | None, typer.Option("--share", metavar="DIR", parser=place("--share"), help="cli.option.share")
]
Lang = Annotated[
    str | None,
    typer.Option("--lang", metavar="ko|en", parser=choice("--lang", LANGUAGES), help="cli.option.lang"),
]
Alias = Annotated[str | None, typer.Option("--alias", metavar="NAME", help="cli.option.alias")]
NoHostName = Annotated[bool, typer.Option("--no-host-name", help="cli.option.no_host_name")]
ApiUrl = Annotated[
    str | None,
    typer.Option("--api-url", metavar="URL", parser=address("--api-url"), help="cli.option.api_url"),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="cli.option.verbose")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="cli.option.quiet")]


def is_asked(ctx: typer.Context, name: str) -> bool:
    """Whether the user gave this option; False when it stands at its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"
