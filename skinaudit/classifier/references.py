"""`@id` references of a bundle's config, followed as far as they lead to literals and never evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.refusal import ModelRefused

MAX_CHAIN = 10
MAX_VALUES = 20_000


@dataclass
class Resolver:
    """Follows references inside one config file and remembers which top-level entries it used.

    ``file`` names the config in messages; ``config`` is its parsed content.
    """

    file: str
    config: dict[str, Value]
    used: set[str] = field(default_factory=set)
    _values: int = 0

    def entry(self, key: str) -> Value:
        """Give the top-level entry ``key`` with every reference in it replaced by the literal it leads to.

        Raises:
            ModelRefused: The entry holds an expression (``$…``), a macro (``%…``), a reference that leads nowhere, in
                a circle, over more than ten steps, or more values than any model needs.
        """
        self.used.add(key)
        return self._literal(self.config[key], key, ())

    def _literal(self, value: Value, where: str, chain: tuple[str, ...]) -> Value:
        self._values += 1
        if self._values > MAX_VALUES:
            raise ModelRefused(f"{self.file}: {where} grows beyond {MAX_VALUES} values; write it shorter.")
        if isinstance(value, dict):
            return {key: self._literal(item, f"{where}::{key}", chain) for key, item in value.items()}
        if isinstance(value, list):
            return [self._literal(item, f"{where}::{index}", chain) for index, item in enumerate(value)]
        if isinstance(value, str) and value.startswith(("$", "%")):
            raise ModelRefused(
                f'{self.file}: {where} asks for "{value[:200]}"; a bundle is read as data and this value is not a '
                "literal. Remove it or write the value itself."
            )
        if isinstance(value, str) and value.startswith("@"):
            return self._follow(value, where, chain)
        return value

    def _follow(self, reference: str, where: str, chain: tuple[str, ...]) -> Value:
        if reference in chain:
            raise ModelRefused(f'{self.file}: {where}: the reference "{reference}" leads back to itself.')
        if len(chain) >= MAX_CHAIN:
            raise ModelRefused(f"{self.file}: {where}: more than {MAX_CHAIN} references in a row; write the value.")
        steps = reference[1:].replace("#", "::").split("::")
        value: Value = self.config
        for step in steps:
            if isinstance(value, str) and value.startswith("@"):
                value = self._follow(value, where, (*chain, reference))
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and _is_index(step) and int(step) < len(value):
                value = value[int(step)]
            else:
                raise ModelRefused(
                    f'{self.file}: {where} refers to "{reference[:200]}", which is not in this file. Write the value.'
                )
        self.used.add(steps[0])
        return self._literal(value, "::".join(steps), (*chain, reference))


def _is_index(step: str) -> bool:
    return step.isascii() and step.isdigit() and len(step) <= 9
