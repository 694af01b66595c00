"""Settings: where they come from, what they are called, and how secrets stay secret."""

from __future__ import annotations

from . import variables
from .loaded import Settings
from .secret import Secret
from .source import Setting, Source
from .variables import Variable

__all__ = ["Secret", "Setting", "Settings", "Source", "Variable", "variables"]
