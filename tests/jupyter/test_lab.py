"""JupyterLab in a real browser: what a data scientist does and sees."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

import pytest

from svstorage.jupyter.names import conflict_of

from .browser import Browser
from .conftest import Bay
from .lab import TOKEN, Lab
from .test_keeper import wait_until


def notebook(*cells: str) -> bytes:
    return json.dumps(
        {
            "cells": [
                {"cell_type": "code", "execution_count": None, "id": f"cell-{number}",
                 "metadata": {}, "outputs": [], "source": text}
                for number, text in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"display_name": "Python 3 (ipykernel)",
                                        "language": "python", "name": "python3"}},
            "nbformat": 4, "nbformat_minor": 5,
        }
    ).encode()  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_notebook_in_the_browser(s3: Bay, tmp_path: Path) -> None:
    folder, home = tmp_path / "notebooks", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    s3.put("my analysis.ipynb", notebook("1 + 1"))
    env_file = s3.env_file(tmp_path / ".env", JUPYTER_DOWNLOAD_FILES_BEFORE_START="true")
    lab = Lab(folder, env_file, home, poll=60)
    try:
        lab.wait()
        # It was there before the server was.
        assert lab.ask("api/contents/my%20analysis.ipynb")["type"] == "notebook"
        with Browser(tmp_path / "browser") as browser:
            path = urllib.parse.quote("my analysis.ipynb")
            browser.page("goto", f"{lab.url}/lab/tree/{path}?token={TOKEN}&reset")
            item = ".svstorage-status button"
            assert "Storage: in step" in browser.see(item, 60)

            browser.on(".jp-Notebook .jp-CodeCell .cm-content", "click")
            browser.keys("press", "End")
            browser.keys("type", "  # typed in the browser")
            browser.keys("press", "Control+s")
            wait_until(lambda: b"typed in the browser" in s3.held()["my analysis.ipynb"])
            wait_until(lambda: "in step" in browser.see(item))

            s3.put("other.txt", b"from another place")
            browser.on(item, "click")
            browser.see(".svstorage-details")
            browser.on(".jp-Dialog button.jp-mod-accept", "click")  # Sync now
            wait_until((folder / "other.txt").exists)

            # Both change the notebook: somebody elsewhere, and we, who have not seen it.
            s3.put("my analysis.ipynb", notebook("'changed by somebody else'"))
            browser.on(".jp-Notebook .jp-CodeCell .cm-content", "click")
            browser.keys("press", "End")
            browser.keys("type", " and once more")
            browser.keys("press", "Control+s")
            wait_until(lambda: "Storage: conflict (1)" in browser.see(item))
            browser.on(item, "click")
            shown = browser.see(".svstorage-details")
            assert "my analysis (conflict " in shown
            assert "beside my analysis.ipynb" in shown
            browser.on(".svstorage-open", "click")
            browser.see('.lm-TabBar-tab.lm-mod-current:has-text("(conflict ")')

            # The tab with the older version: JupyterLab asks before it saves over the new one.
            browser.on('.lm-TabBar-tab:has-text("my analysis.ipynb")', "click")
            browser.on(".jp-NotebookPanel:not(.lm-mod-hidden) .cm-content", "click")
            browser.keys("type", "stale ")
            browser.keys("press", "Control+s")
            assert "changed on disk" in browser.see(".jp-Dialog")
            browser.on('.jp-Dialog button:has-text("Revert")', "click")
            browser.see('.cm-content:has-text("changed by somebody else")')
            assert browser.errors() == []

        (copy,) = [key for key in s3.held() if conflict_of(key)]
        assert b"and once more" in s3.held()[copy]
        assert b"somebody else" in s3.held()["my analysis.ipynb"]
        assert (folder / copy).read_bytes() == s3.held()[copy]
    finally:
        lab.end()


@pytest.mark.slow
def test_without_settings_nothing_is_shown(tmp_path: Path) -> None:
    folder, home = tmp_path / "notebooks", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    env_file = tmp_path / ".env"
    env_file.write_text("STORAGE_PROVIDER=http\n")
    lab = Lab(folder, env_file, home, command=("-m", "jupyterlab"))
    try:
        lab.wait()
        assert lab.status()["state"] == "off"
        assert not (folder / ".svstorage").exists()
        with Browser(tmp_path / "browser") as browser:
            browser.page("goto", f"{lab.url}/lab?token={TOKEN}&reset")
            browser.see(".jp-Launcher", 60)
            assert browser.on(".svstorage-status button", "isVisible") is False
            assert browser.errors() == []
    finally:
        lab.end()
