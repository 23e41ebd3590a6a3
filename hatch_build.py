"""Wheels and source archives hold the commit that they were built of, by which runs tell what code made them."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Commit(BuildHookInterface[Any]):
    """Adds trainers/assets/commit.txt, where there is a git checkout; a source archive has it already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file to a folder that goes with this object."""
        if version == "editable" or not Path(self.root, ".git").exists() or shutil.which("git") is None:
            return  # an editable installation runs from the checkout, which tells it at any time
        asked = ["git", "describe", "--always", "--dirty=+"]
        commit = subprocess.run(asked, cwd=self.root, capture_output=True, text=True, check=False).stdout.strip()
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name, "commit.txt")
        file.write_text(commit)
        build_data["force_include"][str(file)] = "trainers/assets/commit.txt"
