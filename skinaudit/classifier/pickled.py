"""The pickle of a state_dict, walked through without doing what it says.

``torch.load(weights_only=True)`` runs no code of a file, but a few bytes can still make it allocate without bound (a
bytearray of any length, one long list copied again and again) or crash (the hash of a tuple a million levels deep).
"""

from __future__ import annotations

import pickletools
from collections import Counter
from dataclasses import dataclass, replace

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 50
#: Entries of a tuple: the arguments of a tensor or its shape.
MAX_TUPLE = 64

#: Learning rate schedules in checkpoints hold counters.
_ORDERED, _COUNTER = "collections OrderedDict", "collections Counter"
#: How often something may stand in a pickle; the last two copy what they are given.
_LIMITS = {"operations": 1_000_000, "REDUCE": 100_000, "BUILD": 10, _COUNTER: 10}
_FUNCTIONS = frozenset({"torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2", "torch device"}) | {
    "torch._utils _rebuild_parameter"
}
_STORAGES = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
_GLOBALS = (
    _FUNCTIONS
    | {_ORDERED, _COUNTER}
    | {f"torch {name}Storage" for name in _STORAGES}
    | {f"torch {name}" for name in _DTYPES}
)
_OPERATIONS = frozenset(
    {"PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINPUT", "LONG_BINPUT", "BINGET"}
    | {"LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
    | {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT"}
    | {"SETITEM", "SETITEMS"}
)
#: These change the object under their arguments; the others make a new one out of their arguments.
_CHANGING = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD"})


class NotPlainWeights(ValueError):
    """A torch file asks for more than tensors in dictionaries, lists and tuples; the message says for what."""


@dataclass(frozen=True)
class _Thing:
    """What is known of an object that was not made: how deep it is nested, and what never changes about it."""

    depth: int = 0
    name: str = ""  # of a global, or of the operation that made the object
    plain: bool = True  # no list or dictionary stands directly in it: those can be grown after a look at them


_MARK = _Thing(name="MARK")


def check_pickle(content: bytes) -> None:
    """Check that a pickle builds nothing but what a state_dict needs, each step at a cost bounded by its own bytes.

    Raises:
        NotPlainWeights: It does not.
    """
    if len(content) > MAX_BYTES:
        raise NotPlainWeights(f"its pickle has {len(content)} bytes; at most {MAX_BYTES}")
    walk = _Walk()
    try:
        for operation, argument, _ in pickletools.genops(content):
            walk.step(operation, argument)
    except (LookupError, ValueError) as error:
        if isinstance(error, NotPlainWeights):
            raise
        raise NotPlainWeights(f"its pickle is damaged: {error}") from error


class _Walk:
    """The stack and the memo of an unpickler, with things in place of objects."""

    def __init__(self) -> None:
        self.stack: list[_Thing] = []
        self.memo: dict[int, _Thing] = {}
        self.counts: Counter[str] = Counter()

    def step(self, operation: pickletools.OpcodeInfo, argument: object) -> None:
        """Do one operation."""
        name = operation.name
        self._count("operations")
        self._count(name)
        if name not in _OPERATIONS:
            raise NotPlainWeights(f"its pickle uses the operation {name}")
        if name == "GLOBAL" and argument not in _GLOBALS:
            asked = str(argument).replace(" ", ".")[:100]
            raise NotPlainWeights(f"reading it asks for {asked}, which is not a dense tensor but may be code")
        if name == "MARK":
            self.stack.append(_MARK)
        elif name.endswith("BINPUT"):
            self.memo[int(str(argument))] = self._top()
        elif name.endswith("BINGET"):
            self.stack.append(self.memo[int(str(argument))])
        else:
            self._apply(operation, argument)

    def _count(self, name: str) -> None:
        self.counts[name] += 1
        if name in _LIMITS and self.counts[name] > _LIMITS[name]:
            raise NotPlainWeights(f"its pickle has more than {_LIMITS[name]} {name}")

    def _apply(self, operation: pickletools.OpcodeInfo, argument: object) -> None:
        """Take an operation's arguments from the stack and put there what is known of its result."""
        name, taken = operation.name, self._take(operation)
        depth = 1 + max((thing.depth for thing in taken), default=-1)
        if depth > MAX_DEPTH:
            raise NotPlainWeights(f"its pickle is nested deeper than {MAX_DEPTH} levels")
        if name == "TUPLE" and len(taken) > MAX_TUPLE:
            raise NotPlainWeights(f"its pickle has a tuple of {len(taken)} entries; at most {MAX_TUPLE}")
        if name == "REDUCE":
            self._check_call(function=taken[1], arguments=taken[0])
        if name in _CHANGING:
            changed = taken[-1]
            self.stack.append(replace(changed, depth=max([changed.depth, *(1 + thing.depth for thing in taken[:-1])])))
        elif operation.stack_after:
            plain = not any(thing.name in {"EMPTY_LIST", "EMPTY_DICT"} for thing in taken)
            self.stack.append(_Thing(depth, str(argument) if name == "GLOBAL" else name, plain))

    def _check_call(self, function: _Thing, arguments: _Thing) -> None:
        """Hold a call to arguments that it cannot copy: a list of a million entries could be copied a million times."""
        if function.name == _COUNTER:
            self._count(_COUNTER)
            fits = True
        elif function.name == _ORDERED:
            fits = arguments.name == "EMPTY_TUPLE"
        else:
            fits = function.name in _FUNCTIONS and "TUPLE" in arguments.name and arguments.plain
        if not fits:
            raise NotPlainWeights("its pickle calls something that makes no tensor")

    def _take(self, operation: pickletools.OpcodeInfo) -> list[_Thing]:
        """Take arguments from the stack, the topmost first."""
        taken: list[_Thing] = []
        for slot in reversed(operation.stack_before):
            if slot is pickletools.stackslice:
                while self.stack[-1] is not _MARK:
                    taken.append(self.stack.pop())
            elif slot is pickletools.markobject:
                self.stack.pop()
            else:
                taken.append(self._top())
                self.stack.pop()
        return taken

    def _top(self) -> _Thing:
        if self.stack[-1] is _MARK:
            raise NotPlainWeights("its pickle is damaged: an operation has too few arguments")
        return self.stack[-1]
