"""``build``: a Kubefile becomes one file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.verbs.sources import add_downloads, add_logins, add_sign, add_stub, add_values

if TYPE_CHECKING:
    from bundler.options import AttachedOptions, BuildOptions

_EPILOG = """\
examples:
  airseal build -t shop:1.4.0 -o shop.run .
  airseal build -t shop:1.4.0 -o shop.run -f deploy/Kubefile --build-arg TAG=1.4.0 .
  airseal build -t shop:1.4.0 -o shop.run --mirrors mirrors.yaml --ca corporate-root.pem --json .
  airseal build -t shop:1.4.0 -o shop.run --sign release.key .
  airseal build -t shop:1.4.0 -o shop.run --require-signatures policy.yaml .    # whose signatures images must have: docs/signatures.md

BuildKit makes the cluster image, by the docker client that is there; a temporary cluster in one privileged container (--record 1+2 for more) runs
the application, and every image that it pulls is recorded; then the finished file installs itself on blank hosts without a network, every CronJob
is run and every host emptied once (--rehearse 3+1 for more hosts). The registries' logins are docker's own.
Signatures, attestations and SBOMs that registries keep for the images are sealed and served, too, where cosign looks for them.

exit codes: 0 built, 2 usage, 3 Kubefile or recipe, 4 docker, 5 download, 6 image, 7 cluster, 8 recording, 9 disk full, 10 rehearsal, 11 signing,
12 an image is not signed as --require-signatures wants it, 13 there is no whole installer for its hosts, 130 stopped"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("context", type=Path, metavar="CONTEXT_DIR", help="the directory that holds what the Kubefile copies")
    parser.add_argument("-t", "--tag", required=True, metavar="NAME:VERSION", help="what the artifact is called")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the artifact goes, for example shop.run")
    parser.add_argument("-f", "--file", type=Path, metavar="KUBEFILE", help="the Kubefile (default CONTEXT_DIR/Kubefile)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="K=V", help="a value for an ARG of the Kubefile; may be repeated")
    parser.add_argument("--secret", action="append", default=[], metavar="id=ID,src=FILE", help="a file for RUN --mount=type=secret, which no layer keeps, as docker build has it; may be repeated")
    parser.add_argument("--ssh", action="append", default=[], metavar="default|ID=SOCKET", help="an agent or key for RUN --mount=type=ssh, as docker build has it; may be repeated")
    parser.add_argument("--target", default="", metavar="STAGE", help="the stage of the Kubefile that is built (default: the last one)")
    parser.add_argument("--pull", action="store_true", help="ask registries also for images of FROM that docker, or the store of cluster images, has already")
    parser.add_argument("--no-cache", action="store_true", help="let docker run every RUN again")
    parser.add_argument("--platform", default="linux/amd64", metavar="OS/ARCH", help="what hosts are (default linux/amd64)")
    add_downloads(parser)
    record = parser.add_argument_group("recording")
    add_logins(record)
    add_values(record)
    record.add_argument("--build-host-image", default="", metavar="REF", help="an image with systemd for the temporary host, instead of ours")
    record.add_argument("--recorder", choices=("auto", "direct", "relay"), default="auto", help="how the temporary cluster asks for images: direct, where docker's networks are on this machine; relay, a container that brings it here from any engine; auto finds out (default)")
    record.add_argument("--settle-timeout", type=float, default=900, metavar="S", help="how long workloads may take to become ready (default 900)")
    record.add_argument("--quiet-period", type=float, default=60, metavar="S", help="how long nothing may be pulled, and nothing change in the cluster, before the recording ends: an operator that waits longer between two steps loses what it makes then (default 60; never less than the longest lease in the cluster)")
    record.add_argument("--strict", action="store_true", help="fail if the scan of the cluster finds an image that was neither pulled nor listed, or one that cannot be sealed")
    record.add_argument("--keep-cluster", action="store_true", help="leave the temporary cluster running, to look at it; at a terminal the build waits when it is recorded, or cannot be, so that the cluster can still pull")
    record.add_argument("--allow-internet", action="store_true", help="let commands and pods reach the internet while they are recorded; the file says so for ever (default: a closed network, as at the site)")
    record.add_argument("--record", default="1+0", metavar="M+N|CLUSTERFILE", help="masters and nodes of the temporary cluster, for applications that one host does not satisfy; of a Clusterfile the hosts count, with their roles, labels and taints (default 1+0)")
    record.add_argument("--locked", type=Path, metavar="FILE", help="an artifact or its images.lock.json: tags mean what they meant there, and any image that came or went is an error that shows the difference")
    record.add_argument("--update", action="append", default=[], metavar="IMAGE", help="ask registries anew for this image (reference, repository, or all) and record again; without it what was recorded of the same inputs is taken; may be repeated")
    record.add_argument("--require-signatures", type=Path, metavar="POLICY.YAML", help="end the build unless every image has a signature by a key that this file names for it (cosign's, by public keys, verified offline), or is said to need none")
    record.add_argument("--without-signatures", action="store_true", help="do not ask registries for signatures, attestations and SBOMs of the images; none is sealed")
    proof = parser.add_argument_group("rehearsal: the finished file installs itself on blank hosts without a network")
    proof.add_argument("--rehearse", default="1+1", metavar="M+N|CLUSTERFILE", help="masters and nodes of the rehearsal; of a Clusterfile the hosts count, with their roles, labels and taints (default 1+1)")
    proof.add_argument("--skip-rehearsal", action="store_true", help="seal without proof; the file says so for ever")
    proof.add_argument("--keep-lab", action="store_true", help="leave the rehearsal's hosts running, to look at them")
    add_stub(parser)
    add_sign(parser)
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: Namespace) -> int:
    """Build, and say what was built."""
    import logging
    import time
    from contextlib import closing
    from tempfile import gettempdir

    from bundler.build import build
    from bundler.cache.builds import in_use
    from bundler.cache.tidy import tidy, tidy_docker
    from bundler.disk import full_disk_named
    from bundler.doctor.first import check_engine
    from bundler.engine import Engine
    from bundler.errors import BuildError
    from installer_stub.errors import InstallerError
    from installer_stub.ui.console import console
    from installer_stub.ui.logfile import log_file
    from installer_stub.ui.transfer import size
    from registry_snapshot.errors import RegistryError

    began = time.monotonic()
    options = parse_build(arguments)
    reporter = console(json_events=arguments.json)
    place = options.output.parent
    with full_disk_named(options.cache, place, Path(gettempdir())), log_file(options.output.name, directory=place, only=True) as log:
        try:
            with closing(Engine.connect()) as engine:
                check_engine(engine, options.way)
                with in_use(options.cache):
                    built = build(options, engine, reporter)
                if gone := tidy_docker(engine, options.cache, time.time()):
                    reporter.step(f"removed {gone} images of earlier builds from docker")
            if freed := tidy(options.cache, time.time()):
                reporter.step(f"removed {size(freed)} from the cache that nobody had used for two months")
        except (BuildError, InstallerError, RegistryError) as error:
            logging.getLogger("airseal").exception("the build failed")
            error.remedy = f"{error.remedy}\n  full log: {log}".lstrip()
            raise
        finally:
            reporter.close()
    reporter.event("built", "\n".join(built.lines(time.monotonic() - began)), **built.fields())
    reporter.close()
    return 0


def parse_build(arguments: Namespace) -> BuildOptions:
    """Return the options that the arguments mean. Raises UsageError."""
    from bundler.lab.topology import Topology
    from bundler.lab.way import Way
    from bundler.options import (
        BuildOptions,
        ImageOptions,
        RehearsalOptions,
        StepOptions,
        cache_root,
        check_output,
        check_seconds,
        parse_build_args,
        parse_platform,
        parse_title,
    )
    from bundler.signing.signing import Signing, ask_for
    from installer_stub.values.sources import Sources

    name, version = parse_title(arguments.tag)
    return BuildOptions(
        name=name,
        version=version,
        output=check_output(arguments.output),
        context=arguments.context,
        kubefile=arguments.file,
        build_args=parse_build_args(arguments.build_arg),
        mirrors=arguments.mirrors,
        mirror=tuple(arguments.mirror),
        ca=tuple(arguments.ca),
        pins=arguments.pins,
        accept_checksums=arguments.accept_publisher_checksums,
        docker_config=arguments.docker_config,
        platforms=parse_platform(arguments.platform),
        host_image=arguments.build_host_image,
        settle_timeout=check_seconds("--settle-timeout", arguments.settle_timeout),
        quiet_period=check_seconds("--quiet-period", arguments.quiet_period),
        stub=arguments.stub,
        keep=arguments.keep_cluster,
        strict=arguments.strict,
        cache=cache_root(arguments.cache),
        values=Sources(tuple(arguments.set), tuple(arguments.set_file), tuple(arguments.values)),
        image=ImageOptions(
            tuple(arguments.secret), tuple(arguments.ssh), arguments.target, arguments.pull, arguments.no_cache, arguments.docker_config
        ),
        recorded_on=Topology.parse("--record", arguments.record),
        steps=StepOptions(arguments.locked, tuple(arguments.update)),
        way=Way(arguments.recorder),
        attached=_attached(arguments.require_signatures, without=arguments.without_signatures),
        signing=Signing.load(arguments.sign, ask_for, arguments.sign_x509),
        rehearsal=RehearsalOptions(
            Topology.parse("--rehearse", arguments.rehearse), arguments.skip_rehearsal, arguments.keep_lab, arguments.allow_internet
        ),
    )


def _attached(policy: Path | None, *, without: bool) -> AttachedOptions:
    from bundler.errors import UsageError
    from bundler.options import AttachedOptions
    from bundler.policy.read import load

    if policy is not None and without:
        raise UsageError("--without-signatures: --require-signatures wants them", "leave out one of the two")
    return AttachedOptions(not without, load(policy) if policy is not None else None)
