"""BuildKit, through the docker command line: files, secrets and ssh agents travel by a session that no other client speaks.

Whether it is there is asked by building with it: the engine's word alone says nothing of the client, nor the client's of the engine.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.errors import BuildFailed

_PROBE_SECONDS: Final = 60.0
_TAIL: Final = 60  # lines that are kept for the error
_SAID: Final = 12  # lines of a failed step that the error shows
_END_SECONDS: Final = 10.0  # for the client to end after it was asked to
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NOISE: Final = re.compile(r"(?:sha256:[0-9a-f]{64}.*|DONE .*|CACHED|(?:transferring|resolve|extracting|exporting|writing|naming|unpacking|copying) .*|\.\.\.|)")
_LINE: Final = re.compile(r"#(?P<number>\d+) (?:(?P<time>[0-9]+\.[0-9]+) )?(?P<text>.*)")
_PREFIX: Final = re.compile(r"^(?:ERROR: )?(?:failed to build: )?(?:failed to solve(?: with frontend \S+)?: )?(?:failed to create LLB definition: )?")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built. ``secrets`` and ``ssh`` are as docker's options have them: names and files, never a secret itself."""

    context: Path
    dockerfile: str
    ignore: tuple[str, ...]
    name: str  # what the builder calls the Dockerfile: the Kubefile's own name
    tag: str
    platform: str
    labels: Mapping[str, str]
    build_args: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    target: str = ""
    no_cache: bool = False


class BuildKitFailed(BuildFailed):
    """A build that BuildKit ended. ``said`` is all that it said at its end."""

    def __init__(self, problem: str, said: str) -> None:
        super().__init__(problem)
        self.said = said


@dataclass(frozen=True, slots=True)
class BuildKit:
    """A docker client that builds with BuildKit. ``config`` is docker's configuration directory, None for the user's own."""

    command: tuple[str, ...]
    config: Path | None = None

    @classmethod
    def find(cls, config: Path | None = None) -> BuildKit | None:
        """Return the first client in PATH through which BuildKit builds, None where none does."""
        # Plug-ins lie in the configuration's directory too, and one that was made for its logins has none: FROM is fetched
        # by the engine, with those logins, so the user's own configuration does as well.
        for place in dict.fromkeys((config, None)):
            for program in _programs():
                # The engine's own builder in either case: another one does not see the images that the engine has.
                for words in (("buildx", "build", "--builder", "default", "--load"), ("build",)):
                    found = cls((program, *words), place)
                    if found.works():
                        return found
        return None

    def works(self) -> bool:
        """Build a file out of nothing and look whether it has come."""
        with tempfile.TemporaryDirectory() as name:
            context, made = Path(name, "context"), Path(name, "made")
            context.mkdir()
            (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
            words = [word for word in self.command if word != "--load"]
            try:
                subprocess.run(
                    [*words, "--progress=plain", f"--output=type=local,dest={made}", str(context)],
                    env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, check=True,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError):
                return False
            return (made / "Dockerfile").is_file()

    def build(self, order: Order, output: Callable[[str], None]) -> str:
        """Build, each line worth reading to ``output``; return the image's ID. Raises BuildKitFailed."""
        with tempfile.TemporaryDirectory(prefix="airseal-") as name:
            file, image = Path(name, order.name), Path(name, ".image")
            file.write_text(order.dockerfile, encoding="utf-8")
            file.with_name(f"{order.name}.dockerignore").write_text("".join(f"{line}\n" for line in order.ignore), encoding="utf-8")
            words = [*self.command, *_options(order), f"--iidfile={image}", f"--file={file}", str(order.context)]
            told = _Told(output)
            with _running(words, self._environment()) as process:
                assert process.stdout is not None  # noqa: S101 - it is a pipe
                for line in process.stdout:
                    told.line(_COLOURS.sub("", line).rstrip())
                status = process.wait()
            if status != 0:
                raise BuildKitFailed(told.problem(), told.end())
            return image.read_text().strip()

    def _environment(self) -> dict[str, str]:
        # DOCKER_CONTEXT and BUILDX_BUILDER would lead to an engine that is not ours; an attestation makes an image a list of two.
        kept = {name: value for name, value in os.environ.items() if name != "BUILDX_BUILDER"}
        config = {"DOCKER_CONFIG": str(self.config)} if self.config is not None else {}
        return {**kept, **config, "DOCKER_CONTEXT": "default", "DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def _programs() -> Iterator[str]:
    """Return every docker in PATH, in its order: an older one may be able to do what a newer one without its plug-in cannot."""
    seen = set[str]()
    for directory in os.get_exec_path():
        path = Path(directory, "docker")
        if path.is_file() and os.access(path, os.X_OK) and (real := str(path.resolve())) not in seen:
            seen.add(real)
            yield str(path)


def _options(order: Order) -> Iterator[str]:
    yield from ("--progress=plain", f"--tag={order.tag}", f"--platform={order.platform}")
    yield from (f"--label={name}={text}" for name, text in sorted(order.labels.items()))
    yield from (f"--build-arg={name}={text}" for name, text in order.build_args.items())
    yield from (f"--secret={each}" for each in order.secrets)
    yield from (f"--ssh={each}" for each in order.ssh)
    yield from (f"--target={order.target}",) if order.target else ()
    yield from ("--no-cache",) if order.no_cache else ()


@contextmanager
def _running(words: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the client; it ends with the block, however that ends."""
    try:
        process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except OSError as error:
        raise BuildFailed(f"{words[0]} cannot be run: {error.strerror}", "install docker's command line") from None
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


class _Told:
    """Reads the plain progress: ``#7 [2/3] RUN make`` names a step, ``#7 0.5 text`` is what it says."""

    def __init__(self, output: Callable[[str], None]) -> None:
        self._output = output
        self._tail = deque[str](maxlen=_TAIL)
        self._steps: dict[str, str] = {}
        self._said: dict[str, deque[str]] = {}
        self._failed = ""

    def line(self, line: str) -> None:
        self._tail.append(line)
        match = _LINE.fullmatch(line)
        if match is None:
            return
        number, text = match["number"], match["text"]
        if match["time"]:
            self._said.setdefault(number, deque(maxlen=_SAID)).append(text)
        elif text.startswith("ERROR: "):
            self._failed = number
        elif text.startswith("["):
            again = number in self._steps
            self._steps[number] = text
            if again or text.startswith("[internal]"):
                return
        if not match["time"] and _NOISE.fullmatch(text):
            return
        self._output(text)

    def problem(self) -> str:
        """Return its last word, and what the step that failed had said."""
        last = next((line for line in reversed(self._tail) if line.strip(" -") and not line.startswith("View build details")), "docker said nothing")
        said = "".join(f"\n  {line}" for line in self._said.get(self._failed, ()))
        return f"{_PREFIX.sub('', last)}{said}"

    def end(self) -> str:
        """Return the step that failed, and all that was said last."""
        return "\n".join([*self._tail, self._steps.get(self._failed, "")])
