"""Commands that share groups of options: a parameter that stands for several of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import get_type_hints


def composed(parameter: str, reader: Callable[..., object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the parameters of ``reader`` instead of ``parameter``, and hand it what ``reader`` makes of them.

    Those without a default, the arguments of the command line, take its place; the others, options, come last.
    """
    asked = inspect.signature(reader).parameters.values()
    arguments = [one for one in asked if one.default is inspect.Parameter.empty]
    options = [one for one in asked if one.default is not inspect.Parameter.empty]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters.values()
        hints = {**get_type_hints(command, include_extras=True), **get_type_hints(reader, include_extras=True)}
        before = [one for mine in own for one in (arguments if mine.name == parameter else [mine])]
        # By keyword alone: so typer passes them, and arguments may then follow options.
        merged = [
            one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in (*before, *options)
        ]

        @wraps(command)
        def run(**given: object) -> None:
            read = {one.name: given.pop(one.name) for one in asked}
            command(**{parameter: reader(**read)}, **given)

        run.__annotations__ = {**{one.name: one.annotation for one in merged}, "return": None}
        run.__signature__ = inspect.Signature(merged)  # type: ignore[attr-defined]  # what inspect looks for
        return run

    return decorate
