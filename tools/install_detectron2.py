"""Install detectron2, which is not on PyPI under its own name.

Nothing is done where `import detectron2` works. Otherwise it is built from upstream's git
repository, where git, a C++ compiler and the network allow, and else taken from the PyPI wheel
`sal-detectron2`, which holds upstream's Python sources of April 2024 under the import name
`detectron2`. That wheel has no usable compiled part: Mask R-CNN needs none, rotated boxes and
deformable convolution do.

This file uses the standard library only, so that it can run before anything is installed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = "https://github.com/facebookresearch/detectron2.git"
WHEEL = "sal-detectron2==0.7.2"
WHEEL_SHA256 = "491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
NETWORK_SECONDS = 15

PROBE = "import detectron2 as d; print(d.__version__, d.__file__)"
PROOF = f"import detectron2.model_zoo, detectron2.modeling, detectron2.data; {PROBE}"


class InstallError(RuntimeError):
    """One way of installing detectron2 did not work; the message is one line that says why."""


def run(
    command: list[str], *, timeout: float | None = None, cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command quietly, without prompts, and return its output.

    Raises:
        InstallError: it failed or took more than `timeout` seconds.
    """
    name = " ".join(Path(word).name if os.sep in word else word for word in command[:4])
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command,
            timeout=timeout,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"'{name}' took more than {timeout:.0f} s") from None
    except OSError as error:
        raise InstallError(f"'{name}' could not be run: {error}") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
        reason = (reasons or lines or [f"exit status {done.returncode}"])[-1]
        raise InstallError(f"'{name}' failed: {reason}")
    return done


def find_detectron2(python: str, code: str = PROBE) -> str:
    """The version and the file of the detectron2 that the interpreter `python` imports.

    Raises:
        InstallError: the import fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        return run([python, "-W", "ignore", "-c", code], cwd=folder).stdout.strip()


def install_from_git(python: str, *, build_timeout: float) -> None:
    """Build detectron2 from upstream's git repository into the environment of `python`.

    Raises:
        InstallError: git, a compiler or the network is missing, or the build fails.
    """
    if shutil.which("git") is None:
        raise InstallError("git is not installed")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        raise InstallError("there is no C++ compiler")
    run(["git", "ls-remote", "--exit-code", REPOSITORY, "HEAD"], timeout=NETWORK_SECONDS)
    say(f"building detectron2 from git (limit {build_timeout:.0f} s) ...")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*pip, f"git+{REPOSITORY}"], timeout=build_timeout)


def install_from_wheel(python: str) -> None:
    """Install the wheel from PyPI into the environment of `python`, after checking its SHA-256.

    Raises:
        InstallError: it cannot be downloaded, or it is not the file that it should be.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Its tag says CPython 3.10, though all that is used of it is Python source.
        tag = ["--python-version", "3.10", "--implementation", "cp", "--abi", "none"]
        tag += ["--platform", "any", "--only-binary=:all:"]
        pip = [python, "-m", "pip"]
        run([*pip, "download", "--quiet", "--no-deps", *tag, "--dest", folder, WHEEL])
        (wheel,) = Path(folder).glob("*.whl")
        check_sha256(wheel, WHEEL_SHA256)
        clean = repack(wheel, Path(folder) / "clean")
        run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(clean)])


def check_sha256(file: Path, expected: str) -> None:
    """Raise InstallError unless the SHA-256 of `file` is `expected` (lower-case hex)."""
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != expected:
        raise InstallError(f"{file.name}: SHA-256 is {found}, expected {expected}; not installed")


def repack(wheel: Path, folder: Path) -> Path:
    """Write a copy of the detectron2 wheel that any Python 3 can install; return its path.

    Left out are the compiled module, which only CPython 3.10 can load, and the top-level package
    `tools`, which would be installed as everybody's `import tools`. The tag becomes
    ``py3-none-any`` and the bound ``numpy<2`` is dropped: numpy 2 works.
    """
    name, version = wheel.name.split("-")[:2]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{version}-py3-none-any.whl"
    record_name = f"{name}-{version}.dist-info/RECORD"
    record = []
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w") as copy:
        for entry in source.infolist():
            path = entry.filename
            if path.startswith("tools/") or path.endswith((".so", "/")) or path == record_name:
                continue
            data = source.read(entry)
            if path.endswith(".dist-info/WHEEL"):
                data = _edit(data, "Tag:", "Tag: py3-none-any")
                data = _edit(data, "Root-Is-Purelib:", "Root-Is-Purelib: true")
            elif path.endswith(".dist-info/METADATA"):
                data = _edit(data, "Requires-Dist: numpy", "Requires-Dist: numpy")
            elif path.endswith(".dist-info/top_level.txt"):
                data = b"detectron2\n"
            copy.writestr(entry, data, compress_type=zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}")
        copy.writestr(record_name, "\n".join([*record, f"{record_name},,", ""]))
    return target


def _edit(data: bytes, start: str, line: str) -> bytes:
    """`data` with every line that begins with `start` replaced by `line`."""
    lines = data.decode("utf-8").split("\n")
    return "\n".join(line if old.startswith(start) else old for old in lines).encode("utf-8")


def say(message: str) -> None:
    """Print one line at once."""
    print(f"detectron2: {message}", flush=True)


def install(python: str, *, source: str, build_timeout: float) -> str:
    """Make `import detectron2` work for the interpreter `python`; return version and file.

    Args:
        python: the interpreter to install for.
        source: "git", "wheel", or "auto": git, else the wheel.
        build_timeout: seconds that a build from git may take.

    Raises:
        InstallError: neither way worked, torch is missing, or detectron2 does not import.
    """
    try:
        found = find_detectron2(python)
    except InstallError:
        say("not installed yet")
    else:
        say(f"already installed ({found})")
        return found
    try:
        run([python, "-W", "ignore", "-c", "import torch"])
    except InstallError as error:
        raise InstallError(
            f"torch is needed first: pip install 'empaste_aug[detectron2]' ({error})"
        ) from None
    if source in ("auto", "git"):
        try:
            install_from_git(python, build_timeout=build_timeout)
        except InstallError as error:
            if source == "git":
                raise
            say(f"not built from git: {error}; taking the wheel")
        else:
            return prove(python, "built from git")
    install_from_wheel(python)
    return prove(python, f"installed from {WHEEL}")


def prove(python: str, how: str) -> str:
    """Import detectron2's main parts in `python`, say that they work, return version and file.

    Raises:
        InstallError: they do not import.
    """
    try:
        found = find_detectron2(python, PROOF)
    except InstallError as error:
        raise InstallError(
            f"{how}, but it does not import ({error}); "
            "its dependencies: pip install 'empaste_aug[detectron2]'"
        ) from None
    say(f"{how}, and it works ({found})")
    return found


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="install_detectron2", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="FILE",
        help="the interpreter to install for (default: the one that runs this)",
    )
    parser.add_argument(
        "--source",
        choices=["auto", "git", "wheel"],
        default="auto",
        help="build from git, take the wheel from PyPI, or try them in this order (default: auto)",
    )
    parser.add_argument(
        "--build-timeout",
        type=float,
        default=1200.0,
        metavar="SECONDS",
        help="how long a build from git may take (default: %(default).0f)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Install, saying what is done, and return the exit status."""
    options = build_parser().parse_args(argv)
    try:
        install(options.python, source=options.source, build_timeout=options.build_timeout)
    except InstallError as error:
        print(f"detectron2: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
