"""Options that few people need: `--help` names them, `--help -v` explains them."""

from typing import Final

RARE_OPTIONS: Final = frozenset(
    {
        # how an engine is set up
        *("--kv-type", "--kv-unified", "--ubatch", "--flash-attn", "--reserve", "--with"),
        *("--optimizer", "--precision", "--rank", "--targets", "--checkpointing", "--offload"),
        *("--build", "--target-version", "--llama-bench", "--no-save"),
        # which models are looked at
        *("--model-language", "--commercial-use"),
        # how the answer is printed
        *(
            "--format",
            "--alias",
            "--no-host-name",
            "--api-url",
            "--verbose",
            "--quiet",
            "--version",
            "--help",
        ),
    }
)
# The page of `probe` itself lists the commands as well and has room for less.
RARE_IN_REPORT: Final = frozenset({"--parallel", "--quant"})
