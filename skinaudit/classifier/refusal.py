"""The one error with which a model is turned away, and how text out of a model is shown."""

from __future__ import annotations

#: Longest message; a hostile file may hold names of any length.
MAX_LENGTH = 1500


def shown(text: str, limit: int = MAX_LENGTH) -> str:
    r"""Text out of a model on one line, without anything that a terminal or a page would obey.

    Args:
        text: any text, control characters, line ends and halves of surrogate pairs included.
        limit: most characters of the result.

    >>> print(shown("mel\x1b[31m\n noma"))
    mel\x1b[31m noma
    >>> shown("melanoma", 5)
    'mela…'
    """
    line = " ".join(text[: 4 * limit].split())
    plain = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


class ModelRefused(ValueError):
    """A model cannot be audited; the message names the thing, what is wrong with it and what to do, on one line."""

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))
