"""Literal arguments of one transform, taken one by one; what is left over is refused."""

from __future__ import annotations

from collections.abc import Collection

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.refusal import ModelRefused

#: Longest side that a step may make: a square of it takes 50 MB, and no classifier of skin lesions sees so much.
MAX_SIDE = 2048


class PreprocessError(ModelRefused):
    """The pre-processing cannot be split into geometry and intensity; the message names the transform."""


class Arguments:
    """What a config gives to one transform.

    ``where`` names the transform and its position in every message. Each method takes the argument ``key`` out,
    gives ``default`` when it is absent and raises PreprocessError when the value is not of the kind asked for.
    """

    def __init__(self, where: str, values: dict[str, Value]) -> None:
        self.where = where
        self._values = dict(values)

    def error(self, problem: str) -> PreprocessError:
        """Make the error that names this transform."""
        return PreprocessError(f"{self.where}: {problem}")

    def take(self, key: str, default: Value = None) -> Value:
        """Take any plain value."""
        return self._values.pop(key, default)

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false, got {value!r}.")
        return value

    def optional_flag(self, key: str) -> bool | None:
        """Take true, false or null."""
        return None if self._values.get(key) is None and self.take(key) is None else self.flag(key, default=False)

    def is_list(self, key: str) -> bool:
        """Is the argument a list? It is not taken."""
        return isinstance(self._values.get(key), list)

    def is_whole_number(self, key: str) -> bool:
        """Is the argument one whole number? It is not taken."""
        return isinstance(self._values.get(key), int)

    def number(self, key: str, default: float | None) -> float | None:
        """Take a number or null."""
        value = self.take(key, default)
        return None if value is None else self._number(key, value)

    def required_number(self, key: str) -> float:
        """Take a number that must be there."""
        return self._number(key, self.take(key))

    def word(self, key: str, default: str | None, choices: Collection[str | None]) -> str | None:
        """Take one of the given words."""
        value = self.take(key, default)
        if not (value is None or isinstance(value, str)) or value not in choices:
            allowed = ", ".join("null" if choice is None else choice for choice in choices)
            raise self.error(f"{key} must be one of {allowed}, got {value!r}.")
        return value

    def numbers(self, key: str) -> tuple[float, ...] | None:
        """Take a list of numbers, one number (as a tuple of one) or null."""
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, list):
            return tuple(self._number(key, item) for item in value)
        return (self._number(key, value),)

    def size(self, key: str) -> tuple[int, int]:
        """Take two whole numbers, or one for both axes; 0 or less stands for "as the image"."""
        value = self.take(key)
        pair = value if isinstance(value, list) else [value, value]
        sides = [item for item in pair if isinstance(item, int) and not isinstance(item, bool)]
        if len(pair) != 2 or len(sides) != 2 or max(sides) > MAX_SIDE:
            raise self.error(f"{key} must be one or two whole numbers up to {MAX_SIDE}, got {value!r}.")
        return sides[0], sides[1]

    def finish(self) -> None:
        """Refuse arguments that nobody took."""
        if self._values:
            names = ", ".join(sorted(self._values))
            raise self.error(f"unknown argument {names}. Remove it, or write the step with known arguments.")

    def _number(self, key: str, value: Value) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"{key} must be a number, got {value!r}.")
        return float(value)
