"""Which keys obstore keeps exactly as they are.

obstore's Rust core (object_store) parses keys into paths: it drops a leading or trailing ``/``
silently and refuses empty, ``.`` and ``..`` segments and control characters. Such keys take
another way; ``tests/strategies/test_exact_keys.py`` holds this rule against obstore itself.
"""

from __future__ import annotations

import re

_ALTERED = re.compile(r"^/|/$|//|(?:^|/)\.\.?(?:/|$)|[\x00-\x1f\x7f]|[\ud800-\udfff]|^$")


def obstore_keeps(key: str) -> bool:
    """True where obstore reads and writes the object under exactly this key."""
    return _ALTERED.search(key) is None
