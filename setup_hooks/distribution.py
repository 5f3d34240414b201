"""`make dist`: wheel and source distribution in dist, and their bills of materials (CycloneDX) in dist/sbom.

Built with the locked tools of .venv. With CONNVAULT_TAG only if that is this version's tag.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from connvault_jupyter._version import __version__  # noqa: E402 (a script is not started from the root)
from setup_hooks.bootstrap import BIN, LOCKS, PYTHON  # noqa: E402

DIST = ROOT / "dist"
SBOM = DIST / "sbom"
MADE_IN = ROOT / "build" / "distribution"
# What people install: a bill of materials without them would not name the drivers.
EXTRAS = "postgresql,mysql,redis,http,s3,ssh"


def main() -> int:
    tag = os.environ.get("CONNVAULT_TAG", "")
    if tag and tag != f"v{__version__}":
        print(
            f"distribution: the tag is {tag}, but connvault_jupyter/_version.py says {__version__}",
            file=sys.stderr,
        )
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.rmtree(MADE_IN, ignore_errors=True)
    wheel = build()
    SBOM.mkdir()
    of_python(wheel, SBOM / "python.cdx.json")
    of_labextension(SBOM / "labextension.cdx.json")
    for path in sorted(path for path in DIST.rglob("*") if path.is_file()):
        print(path.relative_to(ROOT))
    return 0


def build() -> Path:
    """Both, from this checkout; the wheel."""
    # The build asks for it even where there is another node.
    run([*pip(BIN), "-r", "requirements/node.lock"])
    committed = ["git", "log", "-1", "--format=%ct"]
    epoch = subprocess.run(committed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    run([str(BIN / "hatchling"), "build", "-d", str(DIST)], env={"SOURCE_DATE_EPOCH": epoch})
    (wheel,) = DIST.glob("*.whl")
    return wheel


def of_python(wheel: Path, target: Path) -> None:
    """What the wheel and its extras need, in the versions that the tests run with."""
    packages, tool = MADE_IN / "packages", MADE_IN / "cyclonedx"
    venv.create(packages)
    lock = f"requirements/{LOCKS.get(PYTHON, 'dev.lock')}"
    run([*pip(packages / "bin"), "-c", lock, f"{wheel}[{EXTRAS}]"])
    venv.create(tool)
    run([*pip(tool / "bin"), "--no-deps", "-r", "requirements/cyclonedx.lock"])
    described = ["--pyproject", "pyproject.toml", "--mc-type", "library", "--output-reproducible"]
    run(
        [str(tool / "bin" / "cyclonedx-py"), "environment", *described, "-o", str(target), str(packages)],
    )


def of_labextension(target: Path) -> None:
    """What the page's bundle is made of."""
    command = ["npm", "sbom", "--sbom-format=cyclonedx", "--omit=dev"]
    with target.open("w") as output:
        subprocess.run(command, cwd=ROOT / "labextension", stdout=output, check=True)


def pip(programs: Path) -> list[str]:
    """The start of a command that installs into the environment of `programs`, which may have no pip itself."""
    python = str(programs / "python")
    return [
        str(BIN / "python"),
        "-m",
        "pip",
        "--python",
        python,
        "--disable-pip-version-check",
        "-qq",
        "install",
    ]


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
    subprocess.run(argv, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
