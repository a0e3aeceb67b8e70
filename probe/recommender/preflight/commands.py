"""What to type: the install line and the line that starts what was computed."""

from typing import Final

import msgspec

from probe.catalog.engines import builds_of
from probe.catalog.versions import in_range
from probe.engines.vllm_command import Flag, serve_command
from probe.messages.reason import Reason
from probe.recommender.preflight.check_system import fitting_python, usual_python
from probe.recommender.preflight.situation import Situation

_PREFERRED_PYTHON: Final = "3.12"
_GET_UV: Final = "curl -LsSf https://astral.sh/uv/install.sh | sh"
_PIP_ENGINES: Final = {
    "sglang": "sglang",
    "tensorrt-llm": "tensorrt_llm",
    "mlx-lm": "mlx-lm",
    "exllamav3": "exllamav3",
    "transformers": "transformers",
    "vllm-rbln": "vllm-rbln",
    "furiosa-llm": "furiosa-llm",
    "vllm-ascend": "vllm-ascend",
}


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Install lines and the serve line, with the reason of each flag."""

    install: tuple[str, ...]
    serve: str | None = None
    flags: tuple[Flag, ...] = ()

    @property
    def lines(self) -> str:
        """All lines, in the order they are typed."""
        return "\n".join((*self.install, *((self.serve,) if self.serve else ())))


def start(situation: Situation) -> Start | None:
    """The lines for this engine here; None for one that is installed by hand."""
    if situation.engine.id != "vllm":
        return _other_engine(situation)
    serve, flags = _serve(situation)
    return Start(install=install_lines(situation), serve=serve, flags=flags)


def install_lines(situation: Situation) -> tuple[str, ...]:
    """A fresh environment with the pinned release, by uv where no interpreter fits."""
    release, build = situation.release, situation.ask.build
    if build is not None:
        row = next((row for row in builds_of("vllm", build)), None)
        wanted = (row.install if row is not None else None) or "vllm"
    else:
        wanted = f'"vllm=={release.version}"' if release is not None else "vllm"
    return (*environment_lines(situation), f"{_pip(situation)} install {wanted}")


def environment_lines(situation: Situation) -> tuple[str, ...]:
    """Lines that make the environment."""
    python = fitting_python(situation)
    wanted = situation.release.python if situation.release else None
    allowed = wanted is None or in_range(_PREFERRED_PYTHON, wanted)
    best = _PREFERRED_PYTHON if allowed else (python or usual_python(wanted or ""))
    if _by_uv(situation):
        first = () if situation.server is not None and situation.server.uv else (_GET_UV,)
        return (*first, f"uv venv --python {best} .venv", ". .venv/bin/activate")
    return (f"python{python} -m venv .venv", ". .venv/bin/activate")


def _by_uv(situation: Situation) -> bool:
    return fitting_python(situation) is None or bool(situation.server and situation.server.uv)


def _pip(situation: Situation) -> str:
    return "uv pip" if _by_uv(situation) else "pip"


def _serve(situation: Situation) -> tuple[str | None, tuple[Flag, ...]]:
    """With a model its own line; without, the shape of one."""
    made, spec = situation.served, situation.ask.model
    if situation.ask.build is not None and spec is not None:
        return f"vllm serve {spec.id} --max-model-len {situation.ask.context}", ()
    if made is None or spec is None or made.answer is None or made.answer.fits is False:
        return ("vllm serve MODEL" if spec is None else None), ()
    line = serve_command(spec, made.quantization, made.request, made.answer)
    flags = list(line.flags)
    if situation.ask.parallel > 1:
        why = Reason(code="preflight.flag_sequences", values={"parallel": situation.ask.parallel})
        flags.append(Flag(name="--max-num-seqs", value=str(situation.ask.parallel), why=why))
    whole = msgspec.structs.replace(line, flags=tuple(flags))
    return whole.line, tuple(flags)


def _other_engine(situation: Situation) -> Start | None:
    engine = situation.engine.id
    package = _PIP_ENGINES.get(engine)
    if package is not None:
        version = f"=={situation.release.version}" if situation.release and situation.release.version else ""
        install = (*environment_lines(situation), f'{_pip(situation)} install "{package}{version}"')
        return Start(install=install, serve=_SERVE.get(engine))
    if engine in ("llama.cpp", "ollama", "lmstudio"):
        from probe.recommender.preflight.alternatives import gguf_start

        return gguf_start(situation, engine)
    return None


_SERVE: Final = {
    "sglang": "python -m sglang.launch_server --model-path MODEL --port 30000",
    "tensorrt-llm": "trtllm-serve MODEL",
    "mlx-lm": "mlx_lm.server --model MODEL",
    "vllm-rbln": "vllm serve MODEL",
    "furiosa-llm": "furiosa-llm serve MODEL",
    "vllm-ascend": "vllm serve MODEL",
}
