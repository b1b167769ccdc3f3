"""What can go wrong with a model."""

from __future__ import annotations


class ModelError(Exception):
    """A model folder is missing, damaged or not the one it names, or a model gave something that is no number.

    The message is one line that a user can act on.
    """


class OverBudget(ModelError):
    """A call to a language model was not made, as no more are allowed for now."""


class DataError(ModelError):
    """A file of labelled posts is missing, damaged or not labelled for what is asked."""
