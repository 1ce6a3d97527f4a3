"""A stand-in for the package `modal`, so that examples/modal_app.py can be imported and its functions called here.

It does nothing of what Modal does: decorators give back the function, and everything else gives back itself.
"""

from __future__ import annotations

from typing import Any


class Anything:
    """Whatever is asked of it, it notes, and gives itself."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any, **options: Any) -> Anything:
            self.asked.append((name, arguments, options))
            return self

        return ask


class App(Anything):
    """Functions stay what they are."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__()
        self.name, self.options, self.functions = name, options, {}

    def function(self, **options: Any) -> Any:
        def keep(function: Any) -> Any:
            self.functions[function.__name__] = options
            return function

        return keep


Image, Volume, Secret = Anything(), Anything(), Anything()


def concurrent(**_: Any) -> Any:
    return lambda function: function


def asgi_app(**_: Any) -> Any:
    return lambda function: function
