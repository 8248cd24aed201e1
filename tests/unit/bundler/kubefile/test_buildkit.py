"""BuildKit is found by building with it, gets files and names, and its words become lines and errors.

A docker client of three lines stands in PATH; what it says was said by docker 20.10.24.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.kubefile.buildkit import BuildKit, BuildKitFailed, Order

CLIENT = """\
#!/bin/sh
echo "$DOCKER_BUILDKIT$BUILDX_BUILDER $*" >> "{log}"
case "$*" in
  buildx*) {buildx} ;;
  *output=type=local*) for a in "$@"; do case $a in --output=*) d=${{a#*dest=}} ;; esac; done; {probe} ;;
  *) for a in "$@"; do case $a in --iidfile=*) i=${{a#*=}} ;; --file=*) f=${{a#*=}} ;; esac; done
     cat "$f.dockerignore" >> "{log}"; {build} ;;
esac
"""
WORKS = 'mkdir "$d"; cp "$0" "$d/Dockerfile"'
SAID = """\
#1 [internal] load build definition from Kubefile
#1 sha256:106b5c43d532500a2784c62b3bd9889bbf780bc7b4a3bcc799d92fa8c0e84431
#1 DONE 0.1s
#5 [1/2] FROM x
#5 CACHED
#6 [2/2] RUN make
#6 0.512 compiling
#6 0.6 failed: no rule
#6 ERROR: executor failed running [/bin/sh -c make]: exit code: 2
------
 > [2/2] RUN make:
------
executor failed running [/bin/sh -c make]: exit code: 2
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(tmp_path, monkeypatch)


class Client:
    """Clients in directories of PATH, and what they were asked."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.log = root, root / "log"
        self._path: list[Path] = []
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("BUILDX_BUILDER", "elsewhere")

    def add(self, *, buildx: str = "exit 1", probe: str = "exit 1", build: str = "exit 1") -> Path:
        directory = self.root / f"bin{len(self._path)}"
        directory.mkdir()
        program = directory / "docker"
        program.write_text(CLIENT.format(log=self.log, buildx=buildx, probe=probe, build=build))
        program.chmod(0o755)
        self._path.append(directory)
        self._monkeypatch.setenv("PATH", ":".join([*map(str, self._path), "/usr/bin", "/bin"]) if probe else "")
        return program

    def order(self) -> Order:
        labels = {"b": "it's", "a": "x"}
        return Order(self.root, "FROM x\nRUN make\n", ("*.run", "!a"), "Kubefile", "t:1", "linux/amd64", labels, {"V": "1"}, ("id=s,src=f",), ("default",), "one", True)


def test_the_client_that_builds_is_taken_whichever_it_is(client: Client) -> None:
    client.add()
    older = client.add(probe=WORKS)
    assert BuildKit.find() == BuildKit((str(older), "build"))


def test_a_configuration_for_logins_alone_does_not_hide_the_plug_in(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    program = client.add(probe=f'[ -z "$DOCKER_CONFIG" ] && {WORKS}')
    monkeypatch.setattr("bundler.kubefile.buildkit._programs", lambda: iter([str(program)]))  # not the machine's own docker
    assert BuildKit.find(client.root / "logins") == BuildKit((str(program), "build"), None)


def test_an_engine_without_buildkit_says_done_and_brings_nothing(client: Client) -> None:
    assert not BuildKit((str(client.add(buildx="true", probe="true")), "build")).works()


def test_what_is_built_is_told_by_files_and_names(client: Client) -> None:
    said: list[str] = []
    kit = BuildKit((str(client.add(build='echo "#7 [1/2] FROM x"; printf sha256:1 > "$i"')), "build"))
    assert kit.build(client.order(), said.append) == "sha256:1"
    asked = client.log.read_text()
    assert asked.startswith("1 build --progress=plain --tag=t:1 --platform=linux/amd64 --label=a=x --label=b=it's --build-arg=V=1 --secret=id=s,src=f --ssh=default --target=one --no-cache ")
    assert asked.endswith("*.run\n!a\n")
    assert said == ["[1/2] FROM x"]


def test_a_failure_says_what_the_step_had_said(client: Client) -> None:
    (client.root / "said").write_text(SAID)
    said: list[str] = []
    kit = BuildKit((str(client.add(build=f"cat {client.root}/said; exit 1")), "build"))
    with pytest.raises(BuildKitFailed) as caught:
        kit.build(client.order(), said.append)
    assert said == ["[1/2] FROM x", "[2/2] RUN make", "compiling", "failed: no rule", "ERROR: executor failed running [/bin/sh -c make]: exit code: 2"]
    assert caught.value.problem == "executor failed running [/bin/sh -c make]: exit code: 2\n  compiling\n  failed: no rule"
    assert "[2/2] RUN make" in caught.value.said
