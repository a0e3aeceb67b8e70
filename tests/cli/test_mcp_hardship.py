"""`probe mcp` when things go wrong: sources that hang, bugs of ours, noise, broken lines, Ctrl+C."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed (extra `mcp`)")

from mcp.client.client import Client

from probe.errors import ProbeError
from probe.mcp_server.calls import Calls
from probe.mcp_server.server import build_server
from probe.mcp_server.tools import TOOLS, Tool
from tests.cli.mcp_client import environment, talk
from tests.fakes.patience import wait_until

SPEC = "RTX 4090; 64GB DDR5-5600 x2"


def _hanging(release: threading.Event) -> Tool:
    """The tool `fleet` on a share that never answers."""

    def answer(*_: object) -> Any:
        release.wait()
        raise AssertionError

    return TOOLS[4]._replace(answer=answer)


def test_a_call_that_hangs_holds_nobody_up() -> None:
    release = threading.Event()

    async def warm_up() -> None:
        async with Client(build_server("en")) as client:
            await client.call_tool("scan", {"as": SPEC})

    async def session() -> tuple[bool, Any, Any]:
        server = build_server("en", tools=(*TOOLS[:4], _hanging(release)), timeout_s=3.0)
        async with Client(server) as client:
            stuck = [asyncio.ensure_future(client.call_tool("fleet", {"folder": "."})) for _ in range(3)]
            await asyncio.sleep(0)
            quick = await client.call_tool("scan", {"as": SPEC})
            still_stuck = not any(one.done() for one in stuck)
            return still_stuck, quick, [await one for one in stuck]

    asyncio.run(warm_up())  # catalogs are read once, which a busy computer may take seconds for
    try:
        still_stuck, quick, stuck = asyncio.run(session())
    finally:
        release.set()
    assert still_stuck
    assert not quick.is_error
    assert [one.is_error for one in stuck] == [True] * 3
    assert stuck[0].content[0].text.startswith("fleet gave no answer within 3 seconds")


def test_endless_work_is_stopped_and_too_many_that_hang_are_refused() -> None:
    release = threading.Event()

    def endless() -> None:
        while True:
            pass

    def running() -> set[str]:
        return {thread.name.removeprefix("probe: ") for thread in threading.enumerate()}

    async def work() -> None:
        calls = Calls(timeout_s=0.5, most_left=2)
        with pytest.raises(ProbeError, match="took_too_long"):
            await calls.run("endless", endless)
        assert await asyncio.to_thread(wait_until, lambda: "endless" not in running())
        for _ in range(2):
            with pytest.raises(ProbeError, match="took_too_long"):
                await calls.run("hang", release.wait)
        with pytest.raises(ProbeError, match="too_many_hang"):
            await calls.run("more", int)
        release.set()
        assert await asyncio.to_thread(wait_until, lambda: "hang" not in running())
        assert await calls.run("again", int) == 0

    asyncio.run(work())


def test_a_call_taken_back_leaves_the_others_alone() -> None:
    release = threading.Event()

    async def work() -> int:
        calls = Calls(timeout_s=30.0, at_once=1)
        taken_back = asyncio.ensure_future(calls.run("hang", release.wait))
        await asyncio.sleep(0.05)
        taken_back.cancel()
        return await calls.run("next", lambda: 7)

    try:
        assert asyncio.run(work()) == 7
    finally:
        release.set()


def test_a_time_out_of_the_work_itself_is_not_the_limit() -> None:
    def dead_share() -> None:
        raise TimeoutError("the share does not answer")

    async def work() -> None:
        await Calls(timeout_s=30.0).run("fleet", dead_share)

    with pytest.raises(TimeoutError, match="share"):
        asyncio.run(work())


def test_a_bug_of_ours_is_one_line_and_the_server_goes_on() -> None:
    def answer(*_: object) -> Any:
        raise ZeroDivisionError("made for this test")

    async def session() -> tuple[Any, Any]:
        server = build_server("en", tools=(*TOOLS[:4], TOOLS[4]._replace(answer=answer)))
        async with Client(server) as client:
            return await client.call_tool("fleet", {"folder": "."}), await client.call_tool(
                "scan", {"as": SPEC}
            )

    broken, next_one = asyncio.run(session())
    assert broken.is_error
    assert "ZeroDivisionError: made for this test" in broken.content[0].text
    assert not next_one.is_error


def test_an_answer_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.mcp_server.server.MAX_ANSWER_BYTES", 100)

    async def session() -> Any:
        async with Client(build_server("en")) as client:
            return await client.call_tool("scan", {"as": SPEC})

    refused = asyncio.run(session())
    assert refused.is_error
    assert "include: totals" in refused.content[0].text


def test_lines_that_are_no_protocol_do_not_end_it(tmp_path: Path) -> None:
    ping = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "ping"})
    done = subprocess.run(
        [sys.executable, "-m", "probe", "mcp"],
        input=b"hello\n{\n\xff\xfe\n[]\n" + b"x" * 100_000 + b"\n" + ping.encode() + b"\n",
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"jsonrpc": "2.0", "id": 7, "result": {}}.items() <= messages[-1].items()


_NOISY = """
import sys
from probe.mcp_server import tools
known = tools.machine_of
def noisy(*arguments, **more):
    print("noise of a library")
    import os
    os.write(1, b"noise of a driver\\n")
    return known(*arguments, **more)
tools.machine_of = noisy
from probe.cli.main import main
sys.exit(main(["mcp"]))
"""


def test_what_libraries_print_does_not_reach_the_protocol(tmp_path: Path) -> None:
    (answer,) = talk([("scan", {"as": SPEC})], home=tmp_path, command=(sys.executable, "-c", _NOISY)).answers
    assert not answer.is_error


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "probe", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        cwd=tmp_path,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=180) == 130
        finally:
            process.kill()
