"""What ships: one version, the server switched on, a bundle under the name that JupyterLab looks for."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import connvault_jupyter

ROOT = Path(__file__).resolve().parents[1]


def test_python_and_labextension_have_one_version() -> None:
    """They speak one protocol, so they are released as one."""
    package = json.loads((ROOT / "labextension" / "package.json").read_text())
    assert package["version"] == connvault_jupyter.__version__ == version("connvault-jupyter")


def test_the_config_snippet_enables_the_module_that_has_the_extension_points() -> None:
    """The name in the snippet is the module that Jupyter Server asks."""
    snippet = ROOT / "setup_hooks" / "jupyter_server_config.d" / "connvault_jupyter.json"
    enabled = json.loads(snippet.read_text())["ServerApp"]["jpserver_extensions"]
    assert enabled == {connvault_jupyter.__name__: True}
    assert callable(connvault_jupyter._jupyter_server_extension_points)


def test_the_bundle_is_named_as_it_is_installed() -> None:
    """npm name, labextension path and the folder in the wheel are one name."""
    package = json.loads((ROOT / "labextension" / "package.json").read_text())
    assert [path["dest"] for path in connvault_jupyter._jupyter_labextension_paths()] == [package["name"]]
    assert f"share/jupyter/labextensions/{package['name']}" in (ROOT / "pyproject.toml").read_text()
