"""A real MCP client (the official SDK's) that talks to `probe mcp` as agents do: over stdin and stdout."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

ROOT = Path(__file__).resolve().parents[2]
Call = tuple[str, Mapping[str, Any]]


class Answer(NamedTuple):
    """What one call brought: page and document, or an error's sentence."""

    text: str
    document: Any
    is_error: bool
    refused: bool = False  # by the protocol itself


class Talk(NamedTuple):
    """One whole session."""

    server: Any
    tools: dict[str, Any]
    answers: list[Answer]


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a client gives a server: little, and a home of its own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "LANG": "en_US.UTF-8",
        **more,
    }


def talk(
    calls: Sequence[Call],
    *,
    home: Path,
    command: Sequence[str] = (sys.executable, "-m", "probe", "mcp"),
    at_once: bool = False,
    **more: str,
) -> Talk:
    """Start the server, list its tools, make the calls, end it; validates each document by its schema."""
    return anyio.run(_talk, calls, home, tuple(command), at_once, more)


async def _talk(
    calls: Sequence[Call], home: Path, command: tuple[str, ...], at_once: bool, more: Mapping[str, str]
) -> Talk:
    parameters = StdioServerParameters(
        command=command[0], args=list(command[1:]), env=environment(home, **more), cwd=home
    )
    answers: list[Answer | None] = [None] * len(calls)
    with anyio.fail_after(120):
        async with (
            stdio_client(parameters) as (incoming, outgoing),
            ClientSession(incoming, outgoing) as session,
        ):
            server = await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}

            async def make(index: int) -> None:
                answers[index] = await _call(session, *calls[index])

            if at_once:
                async with anyio.create_task_group() as group:
                    for index in range(len(calls)):
                        group.start_soon(make, index)
            else:
                for index in range(len(calls)):
                    await make(index)
            return Talk(server, tools, [answer for answer in answers if answer is not None])


async def _call(session: ClientSession, name: str, arguments: Mapping[str, Any]) -> Answer:
    try:
        result = await session.call_tool(name, dict(arguments))
    except MCPError as error:
        return Answer(str(error), None, True, refused=True)
    return Answer(result.content[0].text, result.structured_content, bool(result.is_error))
