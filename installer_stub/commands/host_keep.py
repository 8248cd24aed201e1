"""``host keep`` and its kin: what the host's own unit and the installer ask of the stub, about what the host must stay."""

from __future__ import annotations

import json
import sys
from argparse import Namespace, _SubParsersAction
from pathlib import Path
from typing import Any, Final

from installer_stub.agent.words import Answer

DIFFERS: Final = 10  # exit code of keep --check: something is not as it must be
FAILED: Final = 4
WORDS: Final = frozenset(
    {"keep", "release", "end-pods", "certificates", "renew-certificates", "place-certificate", "kubelet-request", "kubelet-sign", "kubelet-install"}
)


def define(words: _SubParsersAction[Any]) -> None:
    """Add the words and their options."""
    text = "make the host what /var/lib/airseal/host.json says it must stay; prints what was done as JSON"
    keep = words.add_parser("keep", help=text, description=text)
    keep.add_argument("--check", action="store_true", help=f"only look; exit code {DIFFERS}: something differs")
    keep.add_argument("--no-certificates", action="store_true", help="leave certificates for the next time")
    keep.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long the node's address may take to come")
    words.add_parser("release", help="take away what keep made and no file holds: the route to services")
    words.add_parser("end-pods", help="end all containers, if the host is being switched off; at any other time nothing")
    words.add_parser("certificates", help="print every certificate of Kubernetes and of airseal on this host as JSON")
    renew = words.add_parser("renew-certificates", help="renew the certificates of a master now")
    renew.add_argument("--only-due", action="store_true", help="only if one of them is past half of its life")
    place = words.add_parser("place-certificate", help="put the API server's certificate and key from a directory in their places, both or none")
    place.add_argument("directory", metavar="DIR", help="holds apiserver.crt and apiserver.key; it is removed")
    words.add_parser("kubelet-request", help="make a key for kubelet's client certificate, and print the request")
    sign = words.add_parser("kubelet-sign", help="sign such a request from stdin with the cluster's CA, and print the certificate")
    sign.add_argument("--name", required=True, metavar="NODE")
    words.add_parser("kubelet-install", help="put the certificate from stdin and the waiting key in kubelet's place")


def run(arguments: Namespace) -> int:
    """Do what the word says."""
    match arguments.word:
        case "release":
            return _release()
        case "end-pods":
            return _end_pods()
        case "renew-certificates":
            return _renew(only_due=arguments.only_due)
        case "place-certificate":
            return _place(Path(arguments.directory))
        case _:
            return _kubelet(arguments)


def keep(arguments: Namespace, _stdin: bytes) -> Answer:
    """Do ``keep``."""
    from installer_stub.keep import keeper
    from installer_stub.keep.renew import keep_certificates

    with keeper.alone():
        document = keeper.load()
        report = keeper.keep(document, look_only=arguments.check, wait=arguments.wait)
        if not arguments.no_certificates and not arguments.check:
            keep_certificates(document, report)
    said = "".join(f"airseal: {failure}\n" for failure in report.failed)
    return Answer(FAILED if report.failed else DIFFERS if report.differs else 0, f"{report.encode()}\n", said)


def _release() -> int:
    from installer_stub.keep import keeper

    with keeper.alone():
        keeper.release(keeper.load())
    return 0


def _end_pods() -> int:
    from installer_stub.keep import pods

    if pods.is_going_down():
        print(f"airseal: pods have ended; not by themselves: {', '.join(pods.end()) or 'none'}")
    return 0


def certificates(_arguments: Namespace, _stdin: bytes) -> Answer:
    """Do ``certificates``."""
    from installer_stub.keep.certificates import host_certificates

    found = [
        {"path": each.path, "begins": each.begins, "ends": each.ends, "authority": each.authority, "problem": each.problem}
        for each in host_certificates()
    ]
    return Answer(out=f"{json.dumps(found)}\n")


def _renew(*, only_due: bool) -> int:
    import time

    from installer_stub.keep import keeper, renewal
    from installer_stub.keep.certificates import host_certificates
    from installer_stub.keep.mend import mend
    from installer_stub.keep.renew import kubernetes, put_back, renew
    from installer_stub.keep.report import Report

    report = Report()
    with keeper.alone():
        put_back(report)
        document = keeper.load()
        if not only_due:
            mend(document, report)
        certificates = kubernetes(host_certificates())
        leaves = tuple(each for each in certificates if not each.authority and not each.problem)
        renew(document, renewal.due(certificates, time.time()) if only_due else leaves, report)
    print(report.encode())
    return FAILED if report.failed else 0


def _place(directory: Path) -> int:
    import shutil

    from installer_stub.keep import keeper
    from installer_stub.keep.api_pair import place
    from installer_stub.keep.renew import put_back
    from installer_stub.keep.report import Report

    try:
        with keeper.alone():
            put_back(Report())
            place(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _kubelet(arguments: Namespace) -> int:
    from installer_stub.distro.certificates import KUBELET_CLIENT
    from installer_stub.keep import keeper, kubelet_client
    from installer_stub.keep.programs import run as program

    document = keeper.load()
    if arguments.word == "kubelet-request":
        Path(KUBELET_CLIENT).parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.write(kubelet_client.request(document.name).decode())
    elif arguments.word == "kubelet-sign":
        sys.stdout.write(kubelet_client.sign(sys.stdin.buffer.read(1 << 16), arguments.name, document.certificates.validity).decode())
    else:
        kubelet_client.install(sys.stdin.buffer.read(1 << 16))
        return 0 if program(("systemctl", "--no-block", "restart", "kubelet.service"), timeout=60.0).ok else FAILED
    return 0
