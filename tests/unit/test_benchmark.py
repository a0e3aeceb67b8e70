"""Measuring a machine: bandwidth of its RAM, a child that measures GPUs, the engines' own timings."""

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from probe.benchmark.busy import other_load
from probe.benchmark.cuda import measure_cuda, parse_figures
from probe.benchmark.engine_bench import (
    ask_loopback,
    llama_bench_command,
    parse_llama_bench,
    prompt_text,
    run_llama_bench,
    run_llama_server,
    run_ollama,
    run_openai,
)
from probe.benchmark.ram import measure_ram
from probe.units import MIB
from tests.fakes.patience import HANG_S, not_held_up

# -- RAM ------------------------------------------------------------------------


def test_ram_of_this_machine_is_measured() -> None:
    result = measure_ram(2, free_bytes=512 * MIB, runs=2)
    for runs in (result.read, result.copy, result.read_one_core):
        # Up to the largest server on sale; how little is left beside other programs nobody can say.
        assert 1e6 < runs.low <= runs.best < 3e12
    assert result.threads == 2


def test_reading_faster_than_any_cache_would_mean_untouched_pages() -> None:
    """Pages never written are one shared page of zeros, read from the cache over and over."""
    result = measure_ram(1, free_bytes=512 * MIB, runs=2)
    assert result.read.best < 100e9  # of one core


def test_runs_that_lie_far_apart_say_that_the_machine_was_busy() -> None:
    result = measure_ram(1, free_bytes=256 * MIB, runs=1)
    quiet = result._replace(other_load=0.02)
    assert not quiet.busy
    assert quiet._replace(read=quiet.read._replace(low=quiet.read.best / 2)).busy
    assert quiet._replace(other_load=0.6).busy


def test_load_of_other_programs_is_a_share() -> None:
    load = other_load(0.05)
    assert load is not None
    assert 0 <= load <= 1


# -- GPUs, in a child -------------------------------------------------------------


def child(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


LINE = '{"what": "vram_copy_bytes_per_s", "device": "0000:01:00.0", "low": 8e11, "best": 9e11}'


def test_figures_before_a_hang_are_kept() -> None:
    command = child(f"import time; print('{LINE}', flush=True); time.sleep({HANG_S})")
    for limit_s in (1.0, 6.0, 25.0):  # a busy computer may take seconds to start Python
        with not_held_up(limit_s):
            result = measure_cuda(limit_s, command)
        if result.figures:
            break
    assert result.timed_out
    assert [figure.best for figure in result.figures] == [9e11]


def test_a_crashed_driver_ends_only_the_child() -> None:
    result = measure_cuda(HANG_S, child(f"import os; print('{LINE}', flush=True); os.abort()"))
    assert not result.timed_out
    assert len(result.figures) == 1


def test_without_a_driver_the_reason_is_said() -> None:
    result = parse_figures('{"error": "libcuda.so.1: cannot open shared object file"}\n')
    assert result.figures == ()
    assert result.error is not None
    assert "libcuda" in result.error


def test_half_a_line_and_strange_lines_are_no_figures() -> None:
    text = "\n".join([LINE, "[1, 2]", '{"what": 3, "device": "x", "low": 1, "best": 1}', LINE[:40]])
    assert len(parse_figures(text).figures) == 1


# -- llama-bench ------------------------------------------------------------------

ENTRIES = [
    {"build_number": 8123, "backends": "CPU", "n_threads": 2, "n_gpu_layers": 0, "n_prompt": 512, "n_gen": 0,
     "avg_ts": 300.0, "samples_ts": [290.0, 301.0, 305.0]},
    {"build_number": 8123, "backends": "CPU", "n_threads": 2, "n_gpu_layers": 0, "n_prompt": 0, "n_gen": 64,
     "avg_ts": 50.0, "samples_ts": [48.0, 50.0, 51.0]},
]  # fmt: skip


def test_llama_bench_gives_prompt_and_decode_apart() -> None:
    done = parse_llama_bench(json.dumps(ENTRIES), "SmolLM2")
    assert done is not None
    assert done.prompt is not None
    assert done.decode is not None
    assert (done.prompt.value, done.prompt_tokens) == (301.0, 512)
    assert (done.decode.low, done.decode.high, done.generated_tokens) == (48.0, 51.0, 64)
    assert (done.version, done.backend, done.threads) == ("b8123", "CPU", 2)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[3]", '[{"n_prompt": 512, "n_gen": 0, "avg_ts": 0}]'])
def test_output_without_figures_is_none(text: str) -> None:
    assert parse_llama_bench(text, "SmolLM2") is None


def test_a_failed_run_says_the_last_line() -> None:
    command = child("import sys; sys.stderr.write('loading\\nfailed to load model\\n'); sys.exit(1)")
    assert run_llama_bench(command, "SmolLM2", time_limit_s=HANG_S).error == "failed to load model"
    assert run_llama_bench(("no-such-program",), "SmolLM2", time_limit_s=HANG_S).error


def test_a_run_over_its_time_is_ended() -> None:
    with not_held_up():
        done = run_llama_bench(child(f"import time; time.sleep({HANG_S})"), "SmolLM2", time_limit_s=0.5)
    assert done.error == "time_limit"


def test_a_real_process_is_read_to_its_end() -> None:
    command = child(f"print({json.dumps(ENTRIES)!r})")
    done = run_llama_bench(command, "SmolLM2", time_limit_s=HANG_S)
    assert done.error is None
    assert done.decode is not None


def test_threads_and_gpu_layers_reach_the_command() -> None:
    command = llama_bench_command(
        "llama-bench", "a.gguf", prompt_tokens=512, generated=64, runs=3, threads=6, gpu_layers=0
    )
    assert command[command.index("-t") + 1] == "6"
    assert command[command.index("-ngl") + 1] == "0"


# -- servers on loopback ----------------------------------------------------------

PROMPT_RATE, DECODE_RATE = 400.0, 40.0


class Server(BaseHTTPRequestHandler):
    """Answers as Ollama, llama-server and vLLM do, with the timings of one speed."""

    seen: ClassVar[list[str]] = []

    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        self._reply({"version": "0.31.0"} if self.path == "/api/version" else {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = str(body.get("prompt", ""))
        self.seen.append(prompt)
        count = len(prompt.split())
        if self.path == "/api/show":
            self._reply({"details": {"quantization_level": "Q4_K_M"}})
        elif self.path == "/api/generate":
            made = body["options"]["num_predict"]
            self._reply(
                {
                    "prompt_eval_count": count,
                    "prompt_eval_duration": int(count / PROMPT_RATE * 1e9),
                    "eval_count": made,
                    "eval_duration": int(made / DECODE_RATE * 1e9),
                }
            )
        elif self.path == "/completion":
            timings = {
                "prompt_n": count,
                "prompt_per_second": PROMPT_RATE,
                "predicted_n": body["n_predict"],
                "predicted_per_second": DECODE_RATE,
            }
            self._reply({"timings": timings})
        elif self.path == "/v1/completions":
            self._reply({"usage": {"prompt_tokens": count, "completion_tokens": body["max_tokens"]}})
        else:
            self.send_error(404)

    def _reply(self, answer: Mapping[str, object]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[str]:
    """A server on a free loopback port."""
    Server.seen = []
    http = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


def test_ollama_is_read_by_its_own_timings(server: str) -> None:
    done = run_ollama(server, "llama3.1:8b", words=50, generated=16, runs=2)
    assert done.error is None
    assert done.prompt is not None
    assert done.decode is not None
    assert done.prompt.value == pytest.approx(PROMPT_RATE, rel=0.01)
    assert done.decode.value == pytest.approx(DECODE_RATE, rel=0.01)
    assert (done.version, done.quantization, done.prompt_tokens) == ("0.31.0", "Q4_K_M", 50)


def test_llama_server_is_read_by_its_own_timings(server: str) -> None:
    done = run_llama_server(server, "a.gguf", words=50, generated=16, runs=2)
    assert done.prompt is not None
    assert done.decode is not None
    assert (done.prompt.value, done.decode.value) == (PROMPT_RATE, DECODE_RATE)
    assert (done.prompt_tokens, done.generated_tokens) == (50, 16)


def test_no_prompt_is_sent_twice(server: str) -> None:
    """A repeated prompt is answered from the engine's cache, many times too fast."""
    run_llama_server(server, "a.gguf", words=50, generated=16, runs=3)
    assert len(Server.seen) == 4
    assert len(set(Server.seen)) == 4
    assert len({len(prompt_text(50, seed).split()) for seed in range(5)}) == 1


def test_vllm_is_timed_by_two_lengths() -> None:
    """The short request is the prompt's time, the rest of the long one the generation's."""
    now = [0.0]

    def ask(_address: str, body: Mapping[str, object] | None) -> object:
        assert body is not None
        words, tokens = len(str(body["prompt"]).split()), int(str(body["max_tokens"]))
        now[0] += words / PROMPT_RATE + (tokens - 1) / DECODE_RATE
        return {"usage": {"prompt_tokens": words, "completion_tokens": tokens}}

    done = run_openai(
        "http://127.0.0.1:8000",
        "m",
        engine="vllm",
        words=80,
        generated=16,
        runs=2,
        ask=ask,
        clock=lambda: now[0],
    )
    assert done.prompt is not None
    assert done.decode is not None
    assert done.prompt.value == pytest.approx(PROMPT_RATE)
    assert done.decode.value == pytest.approx(DECODE_RATE)


def test_only_this_machine_is_asked() -> None:
    with pytest.raises(OSError, match="not loopback"):
        ask_loopback("http://192.0.2.1:11434/api/version", None)


def test_a_silent_port_is_an_error_in_the_result() -> None:
    done = run_ollama("http://127.0.0.1:9", "m", words=5, generated=4, runs=1)
    assert done.error is not None
    assert done.decode is None
