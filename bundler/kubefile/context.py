"""The build context: which files docker gets, and whether every COPY has its source among them."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bundler.errors import UsageError
from bundler.kubefile.parse import Instruction, Kubefile, copy_words, expand

RENDERED = ".airseal.Dockerfile"  # the name of the rendered file inside the context
_CHUNK = 1 << 20


def context_paths(directory: Path, keep: str) -> tuple[str, ...]:
    """Return the context's files and directories, relative and sorted, without what ``.dockerignore`` leaves out.

    ``keep`` is the Kubefile's own path in the context. Raises UsageError when there is no such directory.
    """
    # docker's own matching rules, from its SDK: patterns, exceptions and ``**`` mean what they mean to docker.
    from docker.utils.build import exclude_paths

    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory", "name the directory that holds the Kubefile and what it copies")
    ignore = directory / ".dockerignore"
    patterns = []
    if ignore.is_file():
        lines = (line.strip() for line in ignore.read_text().splitlines())
        patterns = [line for line in lines if line and not line.startswith("#")]
    found = exclude_paths(str(directory), patterns, dockerfile=keep)
    return tuple(sorted(path.replace(os.sep, "/") for path in found))


def check_copies(kubefile: Kubefile, directory: Path, paths: tuple[str, ...], build_args: Mapping[str, str]) -> None:
    """Raise KubefileError for the first COPY whose source is not in the context, before docker is asked."""
    variables: dict[str, str] = {}
    for instruction in kubefile.instructions:
        if instruction.name in {"ARG", "ENV"}:
            _learn(instruction, variables, build_args)
        if instruction.name != "COPY":
            continue
        words = copy_words(kubefile.file, instruction)
        if "from" in instruction.flags():
            continue
        for source in words[:-1]:
            _check_source(kubefile, instruction, expand(source, variables), directory, paths)


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


def _learn(instruction: Instruction, variables: dict[str, str], build_args: Mapping[str, str]) -> None:
    """Remember what an ARG or ENV sets, as far as COPY sources may use it."""
    words = instruction.text.split()
    if instruction.name == "ENV" and words and "=" not in words[0]:  # the old form: ENV name value
        variables[words[0]] = expand(" ".join(words[1:]), variables)
        return
    for word in words:
        name, given, value = word.partition("=")
        if instruction.name == "ARG" and name in build_args:
            variables[name] = build_args[name]
        elif given:
            variables[name] = expand(value.strip("\"'"), variables)


def _check_source(kubefile: Kubefile, instruction: Instruction, source: str, directory: Path, paths: tuple[str, ...]) -> None:
    # Docker roots sources at the context and cannot leave it: "/x" is "x", and so is "../x" to its newer builder.
    cleaned = posixpath.normpath("/" + source).lstrip("/")
    if "$" in source or not cleaned:
        return
    if source.startswith("../") or "/../" in source:
        hint = "copy it into the context directory, or build from the directory above"
        raise kubefile.error(instruction.line, f"COPY {source} leaves the context {directory}", hint)
    segments = cleaned.count("/") + 1
    heads = {"/".join(path.split("/")[:segments]) for path in paths if path.count("/") + 1 >= segments}
    if cleaned in heads or any(_glob(cleaned, head) for head in heads):
        return
    if (directory / cleaned).exists():
        hint = "take the line out of .dockerignore, or add an exception: !" + cleaned
        raise kubefile.error(instruction.line, f"COPY {source}: .dockerignore leaves it out of the context", hint)
    hint = "check its spelling; paths are relative to the context directory"
    raise kubefile.error(instruction.line, f"COPY {source}: there is no such file in {directory}", hint)


def _glob(pattern: str, path: str) -> bool:
    """Match segment by segment: ``*`` does not cross a slash (Go's filepath.Match)."""
    return all(fnmatch.fnmatchcase(*pair) for pair in zip(path.split("/"), pattern.split("/"), strict=True))


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
