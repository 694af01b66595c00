"""Settings: where they come from, what they are called, and how secrets stay secret."""

from __future__ import annotations

from svstorage.settings import variables
from svstorage.settings.loaded import Settings
from svstorage.settings.secret import Secret
from svstorage.settings.source import Setting, Source
from svstorage.settings.variables import Variable

__all__ = ["Secret", "Setting", "Settings", "Source", "Variable", "variables"]
