"""`probe mcp`: the tools over stdin and stdout, by the official SDK.

Imported only by that command: the SDK takes a second to load. It keeps stdout for
the protocol and turns whatever else a library prints there to stderr.
"""

from typing import Final

import mcp_types as types
import msgspec
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from probe import __version__
from probe.api.failures import error_text, unforeseen_line
from probe.errors import InputError, ProbeError
from probe.mcp_server.calls import Calls
from probe.mcp_server.tools import TOOLS, Tool
from probe.messages import LANGUAGES, t
from probe.render.markdown import render_markdown
from probe.report.encode import to_json

TIMEOUT_S: Final = 60.0
# Agents read an answer whole; a folder of thousands of machines is for `probe fleet`.
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


async def serve(lang: str) -> None:
    """Answer until the client closes our stdin."""
    server = build_server(lang)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def build_server(lang: str, *, tools: tuple[Tool, ...] = TOOLS, timeout_s: float = TIMEOUT_S) -> Server:
    """The server with its tools; `lang` where a call names none."""
    calls = Calls(timeout_s=timeout_s)
    known = {tool.name: tool for tool in tools}
    described = [_description(tool, lang) for tool in tools]

    async def list_tools(_: object, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=described)

    async def call_tool(_: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = known.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"unknown tool; known: {', '.join(known)}")
        given = params.arguments or {}
        asked_lang = given.get("lang")
        spoken = asked_lang if asked_lang in LANGUAGES else lang
        try:
            return await calls.run(tool.name, lambda: _result(tool, given, spoken))
        except ProbeError as error:
            return _failure(error_text(error, spoken))
        except Exception as error:  # the one boundary: a bug of ours is one honest line, the server goes on
            return _failure(unforeseen_line(error, spoken))

    return Server(
        "probe",
        version=__version__,
        title="probe",
        instructions=t("mcp.instructions", lang),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _description(tool: Tool, lang: str) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=t(f"mcp.title.{tool.name}", lang),
        description=t(f"mcp.description.{tool.name}", lang),
        input_schema=tool.input_schema(),
        output_schema=tool.output_schema(),
        annotations=types.ToolAnnotations(
            title=t(f"mcp.title.{tool.name}", lang),
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _result(tool: Tool, given: dict[str, object], lang: str) -> types.CallToolResult:
    """The page as text, and the document of `--json` as structured content."""
    reply = tool.reply(given, lang)
    encoded = to_json(reply.document, pretty=False)
    if len(encoded) > MAX_ANSWER_BYTES:
        raise InputError("mcp.answer_too_large", size_bytes=len(encoded), limit_bytes=MAX_ANSWER_BYTES)
    return types.CallToolResult(
        content=[types.TextContent(text=render_markdown(reply.page))],
        structured_content=msgspec.json.decode(encoded),
    )


def _failure(sentence: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=sentence)], is_error=True)
