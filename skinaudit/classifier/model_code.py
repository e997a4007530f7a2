"""Running code that comes with a model: whatever it raises or prints is the model's, not the tool's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from skinaudit.classifier.device_memory import is_out_of_memory
from skinaudit.classifier.refusal import ModelRefused

_OURS = __name__.partition(".")[0]


@contextmanager
def code_of_a_model(name: str) -> Iterator[None]:
    """Whatever the code raises becomes one line that names the model; what it prints goes to stderr.

    Lack of memory passes as it is: the same code may do with a smaller batch.

    Raises:
        ModelRefused: in place of anything else that the block raises.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except ModelRefused as error:
        raise ModelRefused(f"{name}: {str(error).removeprefix(f'{name}: ')}") from error
    except (Exception, SystemExit) as error:  # the code of a model may raise anything, and scripts end themselves
        if is_out_of_memory(error) or type(error).__module__.partition(".")[0] == _OURS:
            raise  # a hook of the tool's own may end a pass
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelRefused(f"{name}: its code failed: {type(error).__name__}: {first[:300]}") from error
