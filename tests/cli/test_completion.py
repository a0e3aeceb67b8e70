"""The Tab key, in the shells themselves where they are installed."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from probe.cli.completion import install_script, shell_of
from probe.cli.completion_scripts import SCRIPTS
from tests.cli.program import ROOT, run_probe


def offered(*words: str, folder: Path, **environment: str) -> tuple[str, list[str]]:
    """What the shell should offer itself, and the words we offer."""
    outcome = run_probe("__complete", *words, folder=folder, **environment)
    assert (outcome.code, outcome.talk) == (0, "")
    beside, *rows = outcome.text.splitlines()
    return beside, [row.partition("\t")[0] for row in rows]


@pytest.mark.parametrize(
    ("words", "beside", "some"),
    [
        ((":",), "none", {"scan", "check", "catalog", "completion"}),
        ((":pre",), "none", {"preflight"}),
        (("check", ":exaone-4.0-3"), "files", {"exaone-4.0-32b"}),
        (("check", "qwen3-8b", ":--con"), "none", {"--context"}),
        (("check", "qwen3-8b", "--engine", ":vllm"), "none", {"vllm", "vllm-rbln"}),
        (("check", "--engine", "vllm", "--json", ":qwen3-8"), "files", {"qwen3-8b"}),
        (("check", "qwen3-8b", "--quant", ":q4_k"), "none", {"Q4_K_M", "Q4_K_S"}),
        (("check", "qwen3-8b", "--as", ":rtx 509"), "none", {"RTX 5090"}),
        (("check", "qwen3-8b", "--as", ":2x RTX 4090; RTX 509"), "none", {"2x RTX 4090; RTX 5090"}),
        (("train", "qwen3-8b", "--method", ":q"), "none", {"qlora"}),
        (("preflight", ":ol"), "none", {"ollama"}),
        (("catalog", ":va"), "none", {"validate"}),
        (("catalog", "show", ":Tesla P1"), "none", {"Tesla P100-PCIE-12GB"}),
        (("--for", ":coding,kor"), "none", {"coding,korean"}),
        ((":--format=h",), "none", {"--format=html"}),
        (("--format", "=", ":h"), "none", {"html"}),  # as bash cuts it
        (("--lang", ":"), "none", {"en", "ko"}),
        (("--machine", ":re"), "files", set()),
        (("fleet", ":re"), "folders", set()),
        (("check", "qwen3-8b", ":"), "none", set()),
        (("nonsense", ":"), "none", set()),
    ],
)
def test_what_may_stand_next_is_offered(
    words: tuple[str, ...], beside: str, some: set[str], tmp_path: Path
) -> None:
    found, names = offered(*words, folder=tmp_path)
    typed = words[-1].lstrip(":").lower()
    assert found == beside
    assert some - set(names) == set()
    assert bool(names) == bool(some)
    assert [name for name in names if not name.lower().startswith(typed)] == []


def test_explanations_speak_the_systems_language(tmp_path: Path) -> None:
    outcome = run_probe("__complete", ":sc", folder=tmp_path, LANG="ko_KR.UTF-8")
    assert outcome.text == "none\nscan\t하드웨어만 보기\n"


def test_the_script_is_printed_for_the_shell_in_use(tmp_path: Path) -> None:
    assert run_probe("completion", folder=tmp_path, SHELL="/usr/bin/fish").text == SCRIPTS["fish"]
    assert run_probe("completion", "zsh", folder=tmp_path).text == SCRIPTS["zsh"]
    unknown = run_probe("completion", folder=tmp_path, SHELL="/bin/tcsh")
    assert (unknown.code, unknown.stdout) == (2, b"")
    assert "`probe completion bash`" in unknown.talk


def test_windows_without_a_shell_of_unix_means_powershell() -> None:
    assert shell_of({}, "win32") == "powershell"
    assert shell_of({"SHELL": "/usr/bin/bash"}, "win32") == "bash"
    assert shell_of({}, "linux") is None


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_installing_twice_adds_one_line_and_keeps_the_rest(shell: str, tmp_path: Path) -> None:
    starter = tmp_path / f".{shell}rc"
    starter.write_bytes(b"alias ll='ls -l'  # caf\xe9, no newline at the end")
    for _ in range(2):
        script, _ = install_script(shell, tmp_path, {})
    lines = starter.read_bytes().split(b"\n")
    assert lines[0] == b"alias ll='ls -l'  # caf\xe9, no newline at the end"
    assert lines[1:] == [f'[ -r "{script}" ] && . "{script}"'.encode(), b""]
    assert script.read_text(encoding="utf-8") == SCRIPTS[shell]


def home_with_probe(folder: Path) -> dict[str, str]:
    """A home folder with completion installed, and its environment."""
    commands = folder / "bin"
    commands.mkdir()
    # Asked for words it answers; called by the user it only notes with what.
    (commands / "probe").write_text(
        f"""#!/bin/sh
[ "$1" = __complete ] && exec "{sys.executable}" -m probe "$@"
printf '%s|' "$@" > "$HOME/called"
""",
        encoding="utf-8",
    )
    (commands / "probe").chmod(0o755)
    for shell in ("bash", "zsh", "fish"):
        install_script(shell, folder, {})
    return {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PS1": "> ",
    }


def called_after_tab(command: list[str], keys: str, environment: dict[str, str]) -> str:
    """With what `probe` is called when these keys, Tab and Enter are pressed in an interactive shell."""
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, environment)  # noqa: S606 - the shell itself is under test

    def read_until(over: Callable[[bytes], bool]) -> None:
        seen, end = b"", time.monotonic() + 90
        while not over(seen) and time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.1)
            if ready:
                seen += os.read(terminal, 65536)

    called = Path(environment["HOME"]) / "called"
    try:
        # Keys count once the start file is through.
        os.write(terminal, b"echo rea''dy\n")
        read_until(lambda seen: b"ready" in seen)
        os.write(terminal, f"{keys}\t\n".encode())
        read_until(lambda _: called.is_file() and called.read_text(encoding="utf-8").endswith("|"))
    finally:
        os.close(terminal)
        os.kill(child, signal.SIGKILL)  # a shell may outlive its terminal
        os.waitpid(child, 0)
    return called.read_text(encoding="utf-8") if called.is_file() else "not called"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("keys", "called"),
    [
        ("probe pref", "preflight|"),
        ("probe check exaone-4.0-3", "check|exaone-4.0-32b|"),
        ("probe check qwen3-8b --engine vllm-a", "check|qwen3-8b|--engine|vllm-ascend|"),
        ('probe check qwen3-8b --as "Tesla P100-SXM2', "check|qwen3-8b|--as|Tesla P100-SXM2-16GB|"),
        ("probe check qwen3-8b --format=h", "check|qwen3-8b|--format=html|"),
        ("probe fleet sha", "fleet|shared folder|"),
    ],
)
def test_tab_completes_in_the_shell(shell: str, keys: str, called: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    environment = home_with_probe(tmp_path)
    (tmp_path / "shared folder").mkdir()
    interactive = ["bash", "-i"] if shell == "bash" else ["zsh", "-o", "NO_GLOBAL_RCS", "-i"]
    os_folder = ["env", "-C", str(tmp_path), *interactive]
    # zsh takes the slash behind a folder away again.
    assert called_after_tab(os_folder, keys, environment).replace("/|", "|") == called


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("probe pref", "preflight\tBefore installing vLLM, Ollama ...: will it run"),
        ("probe check exaone-4.0-3", "exaone-4.0-32b"),
        ("probe check qwen3-8b --engine vllm-a", "vllm-ascend"),
        ("probe check qwen3-8b --as RTX\\ 509", "RTX 5090"),
    ],
)
def test_fish_offers_the_same(line: str, expected: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["fish", "-c", 'complete -C "$argv[1]"', line],
        env=home_with_probe(tmp_path),
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=180,
        check=False,
    )
    assert expected in done.stdout.splitlines()
