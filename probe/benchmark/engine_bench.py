"""A real prompt and decode run by an installed engine, through its own program or loopback API.

Every run says what it measured: tokens of the prompt, tokens generated, threads. Prompts
differ in every run, as engines answer a repeated one from their cache. Servers are only
asked on loopback addresses.
"""

import json
import math
import random
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_REPLY_LIMIT: Final = 16 * 1024 * 1024
_WORDS: Final = (
    "river",
    "stone",
    "window",
    "garden",
    "letter",
    "winter",
    "copper",
    "bridge",
    "market",
    "number",
    "silver",
    "planet",
    "candle",
    "forest",
    "engine",
    "harbor",
    "mirror",
    "pepper",
    "saddle",
    "tunnel",
)


class Rates(NamedTuple):
    """Tokens a second of several runs."""

    low: float
    value: float  # the median
    high: float


class EngineBench(NamedTuple):
    """One engine and model, measured."""

    engine: str
    version: str | None
    model: str
    prompt_tokens: int
    generated_tokens: int
    prompt: Rates | None
    decode: Rates | None
    threads: int | None = None
    backend: str | None = None  # as the engine names it: CPU, CUDA
    gpu_layers: int | None = None
    quantization: str | None = None  # as the engine names it: Q4_K_M
    error: str | None = None


def rates_of(values: Sequence[float]) -> Rates | None:
    """Median and ends of several rates; None without any."""
    good = [value for value in values if value > 0 and math.isfinite(value)]
    return Rates(min(good), statistics.median(good), max(good)) if good else None


# -- llama-bench --------------------------------------------------------------


def llama_bench_command(
    program: str,
    model: str,
    *,
    prompt_tokens: int,
    generated: int,
    runs: int,
    threads: int | None = None,
    gpu_layers: int | None = None,
) -> list[str]:
    """The command line of llama.cpp's own benchmark."""
    command = [program, "-m", model, "-p", str(prompt_tokens), "-n", str(generated), "-r", str(runs)]
    if threads is not None:
        command += ["-t", str(threads)]
    if gpu_layers is not None:
        command += ["-ngl", str(gpu_layers)]
    return [*command, "-o", "json"]


def parse_llama_bench(text: str, model: str) -> EngineBench | None:
    """The figures of `llama-bench -o json`: one entry for the prompt, one for the generation."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(entries, list):
        return None
    found = EngineBench("llama.cpp", None, model, 0, 0, None, None)
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        samples = [value for value in entry.get("samples_ts") or () if isinstance(value, (int, float))]
        rates = rates_of(samples or [_number(entry.get("avg_ts"))])
        build = entry.get("build_number")
        found = found._replace(
            version=f"b{build}" if isinstance(build, int) and build else found.version,
            threads=entry["n_threads"] if isinstance(entry.get("n_threads"), int) else found.threads,
            backend=entry["backends"] if isinstance(entry.get("backends"), str) else found.backend,
            gpu_layers=entry["n_gpu_layers"]
            if isinstance(entry.get("n_gpu_layers"), int)
            else found.gpu_layers,
        )
        prompt, generated = (int(_number(entry.get(name))) for name in ("n_prompt", "n_gen"))
        if prompt and not generated:
            found = found._replace(prompt=rates, prompt_tokens=prompt)
        elif generated and not prompt:
            found = found._replace(decode=rates, generated_tokens=generated)
    return found if found.prompt or found.decode else None


def run_llama_bench(
    command: Sequence[str], model: str, *, time_limit_s: float, environment: Mapping[str, str] | None = None
) -> EngineBench:
    """Run the command; the result or the reason in `error`. The child is ended when we are interrupted."""
    failed = EngineBench("llama.cpp", None, model, 0, 0, None, None)
    try:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment) if environment is not None else None,
        )
    except OSError as error:
        return failed._replace(error=str(error))
    try:
        output, talk = child.communicate(timeout=time_limit_s)
    except subprocess.TimeoutExpired:
        return failed._replace(error="time_limit")
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    found = parse_llama_bench(output.decode("utf-8", "replace"), model)
    if found is None:
        last = talk.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit {child.returncode}"]
        return failed._replace(error=last[0][:200])
    return found


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


# -- servers on loopback ------------------------------------------------------

Ask = Callable[[str, Mapping[str, object] | None], Any]  # address, body (None: GET) -> decoded JSON


def ask_loopback(address: str, body: Mapping[str, object] | None, timeout_s: float = 120.0) -> Any:
    """The JSON a server on this machine answers.

    Raises:
        OSError: not a loopback address, no server, an HTTP error, or no JSON.
    """
    if urlsplit(address).hostname not in _LOOPBACK:
        raise OSError(f"not loopback: {address}")
    request = urllib.request.Request(  # noqa: S310 - http to loopback, checked above
        address,
        data=None if body is None else json.dumps(body).encode("utf-8"),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as reply:
            return json.loads(reply.read(_REPLY_LIMIT).decode("utf-8", "replace"))
    except (urllib.error.URLError, json.JSONDecodeError) as error:
        raise OSError(str(error)) from error


def prompt_text(words: int, seed: int) -> str:
    """A prompt that no cache holds: `words` words in an order of their own."""
    order = random.Random(seed)  # noqa: S311 - no secret
    return " ".join(order.choice(_WORDS) for _ in range(words))


def run_ollama(
    base: str, model: str, *, words: int, generated: int, runs: int, ask: Ask = ask_loopback, seed: int = 0
) -> EngineBench:
    """Ollama's own timings of `/api/generate`."""
    found = EngineBench("ollama", None, model, 0, 0, None, None)
    prompts, decodes = [], []
    try:
        version = ask(f"{base}/api/version", None)
        details = ask(f"{base}/api/show", {"model": model}).get("details", {})
        level = details.get("quantization_level") if isinstance(details, dict) else None
        found = found._replace(quantization=level if isinstance(level, str) else None)
        for run in range(runs + 1):
            reply = ask(
                f"{base}/api/generate",
                {
                    "model": model,
                    "prompt": prompt_text(words, seed + run),
                    "stream": False,
                    "options": {"num_predict": generated, "temperature": 0},
                },
            )
            if run == 0:
                continue  # loads the model
            prompts.append(_rate(reply, "prompt_eval_count", "prompt_eval_duration"))
            decodes.append(_rate(reply, "eval_count", "eval_duration"))
            found = found._replace(
                prompt_tokens=int(_number(reply.get("prompt_eval_count"))),
                generated_tokens=int(_number(reply.get("eval_count"))),
            )
    except (OSError, AttributeError) as error:
        return found._replace(error=str(error)[:200])
    text = version.get("version") if isinstance(version, dict) else None
    return found._replace(
        version=text if isinstance(text, str) else None, prompt=rates_of(prompts), decode=rates_of(decodes)
    )


def _rate(reply: Mapping[str, object], count: str, nanoseconds: str) -> float:
    seconds = _number(reply.get(nanoseconds)) / 1e9
    return _number(reply.get(count)) / seconds if seconds else 0.0


def run_llama_server(
    base: str, model: str, *, words: int, generated: int, runs: int, ask: Ask = ask_loopback, seed: int = 0
) -> EngineBench:
    """llama-server's own timings of `/completion`, its prompt cache switched off."""
    found = EngineBench("llama.cpp", None, model, 0, 0, None, None)
    prompts, decodes = [], []
    try:
        for run in range(runs + 1):
            reply = ask(
                f"{base}/completion",
                {
                    "prompt": prompt_text(words, seed + run),
                    "n_predict": generated,
                    "cache_prompt": False,
                    "temperature": 0,
                    "ignore_eos": True,
                },
            )
            timings = reply.get("timings", {})
            if run == 0:
                continue  # warms up
            prompts.append(_number(timings.get("prompt_per_second")))
            decodes.append(_number(timings.get("predicted_per_second")))
            found = found._replace(
                prompt_tokens=int(_number(timings.get("prompt_n"))),
                generated_tokens=int(_number(timings.get("predicted_n"))),
            )
    except (OSError, AttributeError) as error:
        return found._replace(error=str(error)[:200])
    return found._replace(prompt=rates_of(prompts), decode=rates_of(decodes))


def run_openai(
    base: str,
    model: str,
    *,
    engine: str,
    words: int,
    generated: int,
    runs: int,
    ask: Ask = ask_loopback,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> EngineBench:
    """vLLM and LM Studio: two requests of the same prompt length, of one token and of many.

    The first is the prompt's time, the difference the generation's.
    """
    found = EngineBench(engine, None, model, 0, 0, None, None)
    prompts, decodes = [], []
    try:
        for run in range(runs + 1):
            spans = []
            usage: Mapping[str, object] = {}
            for place, tokens in enumerate((1, generated + 1)):
                began = clock()
                reply = ask(
                    f"{base}/v1/completions",
                    {
                        "model": model,
                        "prompt": prompt_text(words, seed + 2 * run + place),
                        "max_tokens": tokens,
                        "temperature": 0,
                        "ignore_eos": True,
                    },
                )
                spans.append(clock() - began)
                usage = reply.get("usage", {})
            if run == 0:
                continue  # warms up
            made = _number(usage.get("completion_tokens")) - 1
            asked = int(_number(usage.get("prompt_tokens")))
            prompts.append(asked / spans[0] if spans[0] > 0 else 0.0)
            decodes.append(made / (spans[1] - spans[0]) if spans[1] > spans[0] else 0.0)
            found = found._replace(prompt_tokens=asked, generated_tokens=int(made))
    except (OSError, AttributeError) as error:
        return found._replace(error=str(error)[:200])
    return found._replace(prompt=rates_of(prompts), decode=rates_of(decodes))
