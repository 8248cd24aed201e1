"""The build context: what is left out of it, and the tar of it that docker's classic builder gets."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bundler.errors import UsageError
from bundler.kubefile.parse import Kubefile
from bundler.kubefile.stages import Stages
from registry_snapshot.store.bounded import read_file

RENDERED: Final = ".airseal.Dockerfile"  # the name of the rendered file inside the tar
ARTIFACTS: Final = "**/*.run"  # artifacts are gigabytes, and an artifact within an artifact doubles with every build
_CHUNK: Final = 1 << 20
_PLAIN: Final = re.compile(r"[\w./@+-]+")


def ignore_lines(directory: Path, kubefile: Path, output: Path | None) -> tuple[str, ...]:
    """Return the context's ignore file: ours first, so that a user's exception wins, and the output last, so that none does.

    The user's is ``KUBEFILE.dockerignore`` beside the Kubefile, or else ``.dockerignore`` of the context, as docker has it.
    Raises UsageError for one that cannot be read.
    """
    own = kubefile.with_name(f"{kubefile.name}.dockerignore")
    file = own if own.is_file() else directory / ".dockerignore"
    try:
        lines = read_file(file).decode().splitlines() if file.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "it must be a text file in UTF-8") from None
    return (ARTIFACTS, "**/*.run.sha256", "**/*.run.sig", "**/.*.run.part", *lines, *_of_output(directory, output))


def check_sources(stages: Stages, directory: Path) -> None:
    """Raise KubefileError for the first COPY or ADD of a plainly named file that certainly is not there.

    It spares people the download of a base before docker finds the same. Whatever is quoted, globbed or has a variable is
    docker's to find.
    """
    kubefile = stages.kubefile
    for stage in stages.all:
        for instruction in stage.instructions:
            words = instruction.without_flags().split()
            if instruction.name not in {"COPY", "ADD"} or instruction.heredocs or "from" in instruction.flags() or words[0].startswith("["):
                continue
            for source in words[:-1]:
                if _PLAIN.fullmatch(source):
                    _check_source(kubefile, instruction.line, instruction.name, source, directory)


def context_paths(directory: Path, ignore: tuple[str, ...], keep: str) -> tuple[str, ...]:
    """Return the context's files and directories, relative and sorted, without what ``ignore`` leaves out.

    ``keep`` is the Kubefile's own path in the context. Raises UsageError when there is no such directory.
    """
    # docker's own matching rules, from its SDK: patterns, exceptions and ``**`` mean what they mean to docker.
    from docker.utils.build import exclude_paths

    patterns = [line.strip() for line in ignore if line.strip() and not line.strip().startswith("#")]
    found = exclude_paths(str(directory), patterns, dockerfile=keep)
    return tuple(sorted(path.replace(os.sep, "/") for path in found))


def context_tar(directory: Path, paths: tuple[str, ...], dockerfile: str) -> Iterator[bytes]:
    """Yield the context as a tar, a piece at a time: its size is no matter. Owners are root and times are zero."""
    data = dockerfile.encode()
    entry = tarfile.TarInfo(RENDERED)
    entry.size, entry.mode = len(data), 0o644
    yield _header(entry) + data + _padding(len(data))
    for path in paths:
        full = directory / path
        entry = _entry(full, path)
        if not entry.isreg():
            yield _header(entry)
            continue
        with full.open("rb") as file:
            entry.size = os.fstat(file.fileno()).st_size
            yield _header(entry)
            left = entry.size
            while left:
                piece = file.read(min(_CHUNK, left))
                if not piece:
                    raise UsageError(f"{full} became shorter while it was read", "start again once nothing writes to it")
                left -= len(piece)
                yield piece
            yield _padding(entry.size)
    yield b"\0" * 2 * tarfile.BLOCKSIZE


def _of_output(directory: Path, output: Path | None) -> Iterator[str]:
    """Return the output, its unfinished self, its log, sums and signature, where they lie in the context."""
    if output is None:
        return
    try:
        place = output.resolve().relative_to(directory.resolve())
    except ValueError:
        return
    for name in (place.name, f".{place.name}.part", f"{place.name}.log", f"{place.name}.sha256", f"{place.name}.sig"):
        yield _literal((place.parent / name).as_posix())


def _literal(path: str) -> str:
    """Return a pattern for this path. ``?`` stands for what would mean something: docker and its SDK escape differently."""
    return re.sub(r"[*?\[\]\\!]", "?", path)


def _check_source(kubefile: Kubefile, line: int, name: str, source: str, directory: Path) -> None:
    # Docker roots sources at the context and cannot leave it: "/x" is "x", and so is "../x" to its newer builder.
    if "://" in source or source.startswith("git@") or (directory / os.path.normpath("/" + source).lstrip("/")).exists():
        return
    if ".." in source.split("/"):
        hint = "copy it into the context directory, or build from the directory above"
        raise kubefile.error(line, f"{name} {source} leaves the context {directory}", hint)
    if name == "ADD" and ":" in source:
        return
    hint = "check its spelling; paths are relative to the context directory"
    raise kubefile.error(line, f"{name} {source}: there is no such file in {directory}", hint)


def _entry(full: Path, path: str) -> tarfile.TarInfo:
    status = full.lstat()
    entry = tarfile.TarInfo(path)
    entry.mode = status.st_mode & 0o777
    if full.is_symlink():
        entry.type, entry.linkname = tarfile.SYMTYPE, str(full.readlink())
    elif full.is_dir():
        entry.type = tarfile.DIRTYPE
    elif not full.is_file():
        raise UsageError(f"{full} is neither file, directory nor link", "remove it, or name it in .dockerignore")
    return entry


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)
