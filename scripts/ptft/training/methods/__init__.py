"""Fine-tuning methods by name. A method is one module here and one entry of ``_METHODS``.

Importing this package imports no torch: the study's schema reads the settings only, and methods
import what they need when they are used.
"""

import inspect

from ptft.training.methods.base import Method
from ptft.training.methods.full import Full
from ptft.training.methods.instruct import Instruct
from ptft.training.methods.lora import Lora
from ptft.training.settings import TrainingSettings

_METHODS: dict[str, type[Method]] = {"full": Full, "lora": Lora, "instruct": Instruct}

METHODS: dict[str, type[TrainingSettings]] = {
    name: method.Settings for name, method in _METHODS.items()
}
"""Name of a method to the class of its settings."""


def summary(name: str) -> str:
    """What a method is, in one line."""
    return inspect.getdoc(_METHODS[name]).splitlines()[0]


def get_method(name: str) -> Method:
    """The method of a name.

    Raises:
        ValueError: there is no such method.
    """
    if name not in _METHODS:
        raise ValueError(f"method: found {name!r}, expected one of {sorted(_METHODS)}")
    return _METHODS[name]()
