"""`probe`: what this machine can run."""

from typing import Annotated

import typer

from probe.cli import options
from probe.cli.session import session_of
from probe.errors import EXIT_DONE, InputError


def report(
    ctx: typer.Context,
    *,
    machine: options.MachineFile = None,
    spec: options.MachineSpec = None,
    purposes: options.Purposes = None,
    context: options.Context = options.DEFAULT_CONTEXT,
    parallel: options.Parallel = 1,
    quantization: options.Quantization = None,
    kv_type: options.KvType = None,
    kv_unified: options.KvUnified = False,
    ubatch: options.Ubatch = None,
    flash_attention: options.FlashAttention = None,
    reserve: options.Reserve = 0,
    with_model: options.With = None,
    model_languages: options.ModelLanguages = None,
    commercial_use: options.CommercialUse = False,
    json: options.Json = False,
    format_name: options.Format = None,
    output: options.Output = None,
    share: options.Share = None,
    lang: options.Lang = None,
    alias: options.Alias = None,
    no_host_name: options.NoHostName = False,
    api_url: options.ApiUrl = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    version: Annotated[bool, typer.Option("--version", "-V", help="cli.option.version")] = False,
) -> int:
    """Print the report of this machine, or of one from a file or from words."""
    if ctx.invoked_subcommand is not None:
        _refuse_options_before_command(ctx)
        return EXIT_DONE
    if version:
        from probe import __version__
        from probe.cli.console import print_text

        print_text(f"probe {__version__}\n")
        return EXIT_DONE
    from probe.api.models import model_of, use_own_models
    from probe.cli.machine_report import print_report
    from probe.cli.output import Wanted
    from probe.recommender.options import Options

    session = session_of(ctx)
    use_own_models()
    wanted = Wanted.checked(json=json, format_name=format_name, output=output, quiet=quiet)

    def asked() -> Options:
        return Options(
            context=context,
            parallel=parallel,
            purposes=tuple(purposes.split(",")) if purposes else (),
            quantization=quantization,
            kv_type=kv_type,
            kv_unified=kv_unified,
            ubatch=ubatch,
            flash_attention=flash_attention,
            reserve_bytes=reserve,
            languages=tuple(model_languages.split(",")) if model_languages else (),
            commercial_use=commercial_use,
            with_model=with_model,
            with_spec=model_of(with_model) if with_model else None,
            alias=alias,
            show_host_name=not no_host_name,
            api_url=api_url,
        )

    print_report(session, wanted, asked, machine=machine, spec=spec, share=share, verbose=verbose)
    return EXIT_DONE


def _refuse_options_before_command(ctx: typer.Context) -> None:
    """`probe --json scan` would drop --json silently; only --lang and -v mean the same everywhere."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        given = source is not None and source.name == "COMMANDLINE"
        if given and parameter.name not in ("lang", "verbose"):
            raise InputError(
                "cli.usage.option_before_command",
                option=parameter.opts[0],
                command=f"{ctx.command_path} {ctx.invoked_subcommand}",
            )
