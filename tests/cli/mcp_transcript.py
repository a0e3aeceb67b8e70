"""A session written down line by line: what goes to `probe mcp` and what comes back.

`python -m tests.cli.mcp_transcript` writes it anew; people read it in review. Figures
that change with the data are left to other tests: of a document stay its kind
and verdict, of an output schema where it is published.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from probe import __version__
from tests.cli.mcp_client import environment

FILE: Final = Path(__file__).parent / "mcp_transcript.txt"
_MACHINE: Final = "RTX 4090; 64GB DDR5-5600 x2"


def _request(number: int, method: str, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def _tool(number: int, name: str, **arguments: Any) -> str:
    return _request(number, "tools/call", name=name, arguments=arguments)


# Line and whether an answer comes; one is awaited before the next line is sent.
LINES: Final = (
    (
        _request(
            1,
            "initialize",
            protocolVersion="2025-11-25",
            capabilities={},
            clientInfo={"name": "transcript", "version": "1"},
        ),
        True,
    ),
    (json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}), False),
    (_request(2, "tools/list"), True),
    (_request(3, "ping"), True),
    (_tool(4, "scan", **{"as": _MACHINE}), True),
    (_tool(5, "check", model="qwen3-8b", **{"as": _MACHINE}), True),
    (_tool(6, "check", model="qwen3-8b", lang="ko", **{"as": _MACHINE}), True),
    (_tool(7, "plan", model="qwen3-4b"), True),
    (_tool(8, "preflight", engine="vllm", model="qwen3-8b", **{"as": _MACHINE}), True),
    (_tool(9, "check", model="qwen9-8b", **{"as": _MACHINE}), True),
    (_tool(10, "check", model="hf:Qwen/Qwen3-8B"), True),
    (_tool(11, "check", modell="qwen3-8b"), True),
    (_tool(12, "write", path="/tmp/x"), True),
    (_request(13, "resources/list"), True),
)


def record() -> str:
    """The session, one JSON text a line: `>` sent, `<` received."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "probe", "mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=environment(Path(folder)),
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            for line, is_answered in LINES:
                lines.append(f"> {line}")
                process.stdin.write(f"{line}\n".encode())
                process.stdin.flush()
                if is_answered:
                    answer = json.loads(process.stdout.readline())
                    lines.append(f"< {json.dumps(_normal(answer), ensure_ascii=False)}")
            rest, _ = process.communicate(timeout=180)
            lines.append(f"end: {len(rest)} bytes more, exit code {process.returncode}")
    return "\n".join(lines) + "\n"


def _normal(answer: dict[str, Any]) -> dict[str, Any]:
    result = answer.get("result", {})
    if "serverInfo" in result:
        assert result["serverInfo"]["version"] == __version__
        result["serverInfo"]["version"] = "VERSION"
    for tool in result.get("tools", ()):
        tool["outputSchema"] = "as published in reports/schema"
    if result.get("structuredContent"):
        document = result["structuredContent"]
        kept = ("kind", "schema_version", "verdict")
        result["structuredContent"] = {name: document[name] for name in kept if name in document}
        result["content"] = [{**one, "text": one["text"].partition("\n")[0]} for one in result["content"]]
    return answer


if __name__ == "__main__":
    FILE.write_text(record(), encoding="utf-8", newline="\n")
