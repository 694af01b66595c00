"""The peers that are Python libraries, as short programs of their documented bulk calls.

``python drivers.py LIBRARY put|get|list LOCAL REMOTE``: s3fs, adlfs, msc.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def _filesystem(library: str) -> Any:
    if library == "s3fs":
        import s3fs

        return s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    import adlfs

    return adlfs.AzureBlobFileSystem(connection_string=os.environ["AZURE_CONNECTION"])


def _fsspec(library: str, what: str, local: str, remote: str) -> None:
    fs = _filesystem(library)
    if what == "put":
        fs.put(f"{local}/", remote, recursive=True)
    elif what == "get":
        fs.get(f"{remote}/", local, recursive=True)
    else:
        print(len(fs.find(remote)))


def _msc(what: str, local: str, remote: str) -> None:
    import multistorageclient as msc

    # Its sync() starts worker processes that take longer than the few files of a slow peer.
    url = f"msc://bench/{remote}"
    with ThreadPoolExecutor(16) as pool:
        if what == "put":
            files = [path for path in Path(local).rglob("*") if path.is_file()]
            keys = [path.relative_to(local) for path in files]
            names = [f"{url}/{key}" for key in keys]
            list(pool.map(msc.upload_file, names, map(str, files)))
        elif what == "get":
            keys = [one.key.removeprefix(f"msc://bench/{remote}/") for one in msc.list(url)]
            for key in keys:
                (Path(local) / key).parent.mkdir(parents=True, exist_ok=True)
            list(pool.map(lambda key: msc.download_file(f"{url}/{key}", f"{local}/{key}"), keys))
        else:
            print(sum(1 for _ in msc.list(url)))


def main() -> None:
    library, what, local, remote = sys.argv[1:]
    if library == "msc":
        _msc(what, local, remote)
    else:
        _fsspec(library, what, local, remote)


if __name__ == "__main__":
    main()
