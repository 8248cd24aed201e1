"""Builds the parts into ``<cache>/parts/<part>/out``, each once per recipe."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.testbed.cache import Cache, TestBedError, build_once, is_built, key_of
from tests.testbed.part_table import GO_PARTS, PAUSE_SOURCE, GoPart
from tests.testbed.progress import run_logged, say, step

_GO = "1.26.0"
_STAGING = re.compile(r"^\s+(k8s\.io/\S+) v0\.0\.0$", re.MULTILINE)
_SHOP_API = Path(__file__).parents[2] / "examples" / "shop" / "api"


class Parts:
    """What was built, by part name."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def out(self, part: str) -> Path:
        """Return the directory with a part's programs."""
        return self._cache.parts / part / "out"

    def key(self, part: str) -> str:
        """Return the recipe key a part was built with. Raises TestBedError when it was not."""
        stamp = self._cache.parts / part / "recipe"
        if not stamp.exists():
            raise TestBedError(f"part {part} is not built; run: python -m tests.testbed parts")
        return stamp.read_text()

    def build_all(self, *, only: tuple[str, ...] = ()) -> None:
        """Build whatever is missing or was built by another recipe; the example's own program in any case."""
        _require_go()
        for part in GO_PARTS:
            if not only or part.name in only:
                self.build(part)
        if not only:
            self._build("pause", key_of(PAUSE_SOURCE), _build_pause)
        self._build("shop-api", key_of(_GO, *_sources(_SHOP_API)), _build_shop_api)

    def build(self, part: GoPart) -> None:
        """Build one, unless it is there."""
        self._build(part.name, key_of(part, _GO), functools.partial(_build_go_part, part))

    def _build(self, name: str, key: str, build: Callable[[Path], None]) -> None:
        target = self._cache.parts / name
        if is_built(target, key):
            return
        with step(f"part {name}"):
            build_once(target, key, build)


def module_file(module: str, version: str, path: str) -> bytes:
    """Return a file of a Go module: the project's own manifest, for instance."""
    return (Path(_module(module, version)["Dir"]) / path).read_bytes()


def _require_go() -> None:
    if shutil.which("go") is None:
        raise TestBedError(
            f"Go is not installed; install Go >= {_GO} (https://go.dev/dl/) and put it into PATH"
        )


@functools.cache
def _module(module: str, version: str) -> dict[str, str]:
    command = ["go", "mod", "download", "-json", f"{module}@{version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        detail = (done.stdout + done.stderr).strip()
        raise TestBedError(
            f"cannot download {module}@{version}; look at `go env GOPROXY` and the network\n{detail}"
        )
    value: dict[str, str] = json.loads(done.stdout)
    return value


def _go_mod(part: GoPart) -> str:
    lines = ["module build", f"go {_GO}", f"require {part.module} {part.version}"]
    lines += [f"require {requirement}" for requirement in part.requires]
    lines += [f"replace {replacement}" for replacement in part.replaces]
    if part.staging:
        own = Path(_module(part.module, part.version)["GoMod"]).read_text()
        staging = "v0." + part.version.split(".", 1)[1]
        lines += [f"replace {name} => {name} {staging}" for name in sorted(set(_STAGING.findall(own)))]
    return "\n".join(lines) + "\n"


def _build_go_part(part: GoPart, directory: Path) -> None:
    """An empty module that requires one version, and a file that imports the commands: then Go does the rest."""
    imports = "".join(f'\t_ "{path}"\n' for path in part.import_paths)
    files = {
        "go.mod": _go_mod(part),
        "tools.go": f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n",
        **part.files,
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    log = directory / "build.log"
    remedy = "look at the log; a download that failed can simply be tried again"
    say(f"part {part.name}: resolving {part.module}@{part.version}")
    run_logged(
        ["go", "mod", "tidy", *(["-e"] if part.tolerant else [])], cwd=directory, log=log, remedy=remedy
    )
    say(f"part {part.name}: compiling {len(part.packages)} command(s)")
    flags = [
        "-trimpath",
        "-ldflags",
        f"-s -w {part.ldflags}".strip(),
        *(["-tags", part.tags] if part.tags else []),
    ]
    (directory / "out").mkdir()
    run_logged(
        ["go", "build", *flags, "-o", f"{directory}/out/", *part.import_paths],
        cwd=directory,
        env={**os.environ, "CGO_ENABLED": str(int(part.cgo))},
        log=log,
        remedy=remedy,
    )


def _build_pause(directory: Path) -> None:
    (directory / "pause.c").write_text(PAUSE_SOURCE)
    (directory / "out").mkdir()
    command = ["gcc", "-static", "-Os", "-s", "-o", "out/pause", "pause.c"]
    run_logged(command, cwd=directory, log=directory / "build.log", remedy="install gcc and libc6-dev")


def _sources(directory: Path) -> list[str]:
    return [
        f"{path.name}\n{path.read_text()}"
        for path in sorted(directory.glob("*.go")) + sorted(directory.glob("go.*"))
    ]


def _build_shop_api(directory: Path) -> None:
    """The example application's own program, built as its Dockerfile would."""
    (directory / "out").mkdir()
    run_logged(
        ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{directory}/out/shop-api", "."],
        cwd=_SHOP_API,
        env={**os.environ, "CGO_ENABLED": "0"},
        log=directory / "build.log",
        remedy="look at examples/shop/api",
    )
