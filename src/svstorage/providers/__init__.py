"""Providers: each turns settings into a typed config and a config into a connected store.

``base`` holds the protocols that a provider implements. The sub-packages ``local``, ``s3`` and
``azure`` are ordinary plugins, named only by their entry points in ``pyproject.toml``; nothing
else in svstorage imports them.
"""
