"""Is this process the command ``svstorage``, or somebody's program that uses the library?

The command may have child processes as it likes; a program is not given any.
"""

from __future__ import annotations

is_ours = False
"""Set by the command before it does anything."""
