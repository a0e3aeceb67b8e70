"""`probe train MODEL`: can this machine fine-tune this model, and with which batch and sequence."""

from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import options
from probe.cli.plain_help import single_command
from probe.cli.session import session_of
from probe.cli.values import choice, nearest, whole_number
from probe.errors import EXIT_ANSWER_IS_NO, EXIT_DONE, InputError, UnknownNameError

if TYPE_CHECKING:
    from probe.report.train_documents import TrainDocument

Model = Annotated[str, typer.Argument(metavar="MODEL", help="cli.argument.model")]
_METHODS = ("full", "lora", "qlora")
_OPTIMIZERS = ("adamw", "adamw-8bit", "paged-adamw-8bit", "adafactor", "lion", "sgd")
_PRECISIONS = ("mixed", "bf16")
_STAGES = ("0", "1", "2", "3")
Method = Annotated[
    str,
    typer.Option("--method", metavar="NAME", parser=choice("--method", _METHODS), help="train.option.method"),
]
Optimizer = Annotated[
    str,
    typer.Option(
        "--optimizer",
        metavar="NAME",
        parser=choice("--optimizer", _OPTIMIZERS),
        help="train.option.optimizer",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        parser=choice("--precision", _PRECISIONS),
        help="train.option.precision",
    ),
]
Batch = Annotated[
    int,
    typer.Option("--batch", metavar="N", parser=whole_number("--batch", 65_536), help="train.option.batch"),
]
Sequence = Annotated[
    int,
    typer.Option(
        "--sequence",
        metavar="N",
        parser=whole_number("--sequence", 10_000_000, allow_k=True),
        help="train.option.sequence",
    ),
]
Rank = Annotated[
    int, typer.Option("--rank", metavar="N", parser=whole_number("--rank", 65_536), help="train.option.rank")
]
Targets = Annotated[str, typer.Option("--targets", metavar="LIST", help="train.option.targets")]
Gpus = Annotated[
    int, typer.Option("--gpus", metavar="N", parser=whole_number("--gpus", 65_536), help="train.option.gpus")
]
Zero = Annotated[
    str, typer.Option("--zero", metavar="0|1|2|3", parser=choice("--zero", _STAGES), help="train.option.zero")
]
Checkpointing = Annotated[
    bool, typer.Option("--checkpointing/--no-checkpointing", help="train.option.checkpointing")
]
Offload = Annotated[bool, typer.Option("--offload", help="train.option.offload")]
FlashAttention = Annotated[
    bool, typer.Option("--flash-attn/--no-flash-attn", help="train.option.flash_attention")
]


def train(
    ctx: typer.Context,
    model: Model,
    *,
    method: Method = "lora",
    optimizer: Optimizer = "adamw",
    precision: Precision = "mixed",
    batch: Batch = 1,
    sequence: Sequence = 2048,
    rank: Rank = 16,
    targets: Targets = "all-linear",
    gpus: Gpus = 1,
    zero: Zero = "0",
    checkpointing: Checkpointing = True,
    offload: Offload = False,
    flash_attention: FlashAttention = True,
    machine: options.MachineFile = None,
    spec: options.MachineSpec = None,
    reserve: options.Reserve = 0,
    online: options.Online = False,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    lang: options.Lang = None,
    alias: options.Alias = None,
    no_host_name: options.NoHostName = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Print whether training fits; exit 1 when the answer is no or unknown."""
    from probe.api.models import model_of
    from probe.cli.machine_source import machine_of
    from probe.cli.output import Answer, Wanted, print_answer

    session = session_of(ctx)
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)
    if offload and zero == "0":
        raise InputError("train.usage.offload_needs_zero")
    chosen = _targets(targets)
    model_spec = model_of(model, online=online)
    found = machine_of(machine, spec, session=session)

    from probe.estimate import training
    from probe.recommender.options import Options
    from probe.report.build import named
    from probe.report.train_documents import build_train

    shown = named(found, Options(alias=alias, show_host_name=not no_host_name))
    setup = training.TrainingSetup(
        method=training.Method(method),
        optimizer=training.Optimizer(optimizer),
        precision=training.Precision(precision),
        batch=batch,
        sequence=sequence,
        rank=rank,
        targets=chosen,
        gpus=gpus,
        zero=int(zero),
        checkpointing=checkpointing,
        offload=offload,
        flash_attention=flash_attention,
    )

    def document_in(lang: str) -> "TrainDocument":
        return build_train(
            found, model_spec, setup, lang=lang, reserve_bytes=reserve, machine_name=shown.host.name
        )

    document = document_in(session.lang)

    def page() -> object:
        from probe.render.train_page import train_page

        return train_page(document, session.lang)

    def html() -> str:
        from probe.render.html import plain_html
        from probe.render.train_page import train_page

        return plain_html(lambda one: train_page(document_in(one), one), session.lang)

    topic = f"train-{document.model.alias or document.model.id}"
    answer = Answer(document=document, page=page, html=html, name=document.machine_name, topic=topic)
    print_answer(answer, wanted, session)
    return EXIT_DONE if document.fits else EXIT_ANSWER_IS_NO


def _targets(text: str) -> tuple[str, ...]:
    from probe.estimate.training_activations import ALL_LINEAR, TARGET_NAMES

    known = (ALL_LINEAR, *TARGET_NAMES)
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names or ("",):
        if name not in known:
            raise UnknownNameError(
                "cli.usage.bad_choice", name, nearest(name, known) or known, option="--targets"
            )
    return names


app = single_command("train", train)
