"""`make dist`: wheel and source distribution in dist, and their bills of materials (CycloneDX) in dist/sbom.

Built with the locked tools of .venv. A release says what it is for, and gets nothing that says something else:
CONNVAULT_TAG has to be this version's tag, CONNVAULT_REPOSITORY the address that `[project.urls]` has as `Source`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping, Sequence
from email.parser import HeaderParser
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
    if trouble := wrong_tag(os.environ.get("CONNVAULT_TAG", "")):
        return refuse(trouble)
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.rmtree(MADE_IN, ignore_errors=True)
    wheel = build()
    if trouble := wrong_source(os.environ.get("CONNVAULT_REPOSITORY", ""), wheel):
        shutil.rmtree(DIST)
        return refuse(trouble)
    SBOM.mkdir()
    of_python(wheel, SBOM / "python.cdx.json")
    of_labextension(SBOM / "labextension.cdx.json")
    for path in sorted(path for path in DIST.rglob("*") if path.is_file()):
        print(path.relative_to(ROOT))
    return 0


def refuse(trouble: str) -> int:
    print(f"distribution: {trouble}", file=sys.stderr)
    return 1


def wrong_tag(tag: str) -> str:
    """Why nothing may be released for `tag`; empty if it is this version's, or if there is none."""
    if tag in ("", f"v{__version__}"):
        return ""
    return f"the tag is {tag}, but connvault_jupyter/_version.py says {__version__}"


def wrong_source(repository: str, wheel: Path) -> str:
    """Why `wheel` may not be released from `repository`; empty if it names it as its source, or if there is none.

    Whoever looks for the code of a release must not be led to a place that somebody else may own.
    """
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        urls = HeaderParser().parsestr(archive.read(name).decode()).get_all("Project-URL", [])
    named = dict(url.split(", ", 1) for url in urls).get("Source", "")
    if repository in ("", named):
        return ""
    return f"this is {repository}, but [project.urls] of pyproject.toml has {named or 'no address'} as Source"


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
    # Nothing is run from there.
    run([*pip(packages / "bin"), "--no-compile", "-c", lock, f"{wheel}[{EXTRAS}]"])
    venv.create(tool)
    run([*pip(tool / "bin"), "--no-deps", "-r", "requirements/cyclonedx.lock"])
    described = ["--pyproject", "pyproject.toml", "--mc-type", "library", "--output-reproducible"]
    run(
        [str(tool / "bin" / "cyclonedx-py"), "environment", *described, "-o", str(target), str(packages)],
    )


def of_labextension(target: Path) -> None:
    """What the page is made of, as it is locked."""
    command = ["npm", "sbom", "--package-lock-only", "--sbom-format=cyclonedx", "--omit=dev"]
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
