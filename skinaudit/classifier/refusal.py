"""The one error with which a model is turned away."""

from __future__ import annotations


class ModelRefused(ValueError):
    """A model cannot be audited; the message names the thing, what is wrong with it and what to do."""
