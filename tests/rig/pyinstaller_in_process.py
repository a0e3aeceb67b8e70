"""PyInstaller with its helpers in this process: under Wine a child gets no pipes and waits for ever."""

import sys
from collections.abc import Callable
from typing import Any

from PyInstaller import isolated
from PyInstaller.__main__ import run
from PyInstaller.isolated import _parent


class Here:
    """Stands for the child process; also the context manager of several calls."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: Any) -> None: ...

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)


for module in (isolated, _parent):
    module.call = Here().call
    module.decorate = lambda function: function
    module.Python = Here
run(sys.argv[1:])
