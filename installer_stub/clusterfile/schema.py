"""The schema of a Clusterfile: JSON Schema 2020-12, which editors know, and what our own reader goes by.

Beside the standard's words it has three of ours: ``format`` names a check in ``formats``; ``x-not-yet`` says that a field has
its place and is not honoured by this version, so that writing it is an error and never silence; ``x-free`` is whatever JSON can say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from installer_stub.distro.paths import KUBELET
from installer_stub.plan.model import BUNDLES
from installer_stub.plan.settings import STATIC_PODS

API_VERSION: Final = "airseal/v1"
KIND: Final = "Cluster"
_BUNDLES: Final = f"bundles lie in {BUNDLES}: units and ledger name that place; mount a file system there instead"


def _text(description: str, **more: object) -> dict[str, object]:
    return {"type": "string", "description": description, "minLength": 1, "maxLength": 253, **more}


def _list(description: str, items: Mapping[str, object], **more: object) -> dict[str, object]:
    return {"type": "array", "description": description, "items": dict(items), "maxItems": 5000, **more}


def _texts(description: str, format_: str) -> dict[str, object]:
    return {"type": "object", "description": description, "propertyNames": {"format": f"{format_}-name"}, "additionalProperties": {"type": "string", "maxLength": 1024, "format": format_}}


def _free(description: str, types: list[str]) -> dict[str, object]:
    return {"type": types, "description": description, "x-free": True}


_PORT: Final = {"type": "integer", "description": "SSH port; default: that of the command line, or 22", "minimum": 1, "maximum": 65535}
_HOST: Final[Mapping[str, object]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["address", "role"],
    "properties": {
        "address": _text("how this machine reaches the host: an address or a name", format="host"),
        "internal": _text("how the other hosts reach it, where that is another address", format="address"),
        "role": {"type": "string", "enum": ["master", "node"], "description": "control plane, or worker"},
        "user": _text("login; default: that of the command line, or root", format="user"),
        "port": _PORT,
        "labels": _texts("labels of the node; those that are not here any more are taken away again", "label"),
        "taints": _list("taints of the node, as kubectl spells them: key=value:Effect", _text("taint", format="taint", maxLength=512)),
        "env": _texts("environment of containerd and kubelet on this host; the record keeps it, so no passwords", "environment"),
    },
}

SCHEMA: Final[Mapping[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Clusterfile",
    "description": "A site as it is wanted. `apply -f` merges it with the record of the site; what it does not say stays as it is.",
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "hosts"],
    "properties": {
        "apiVersion": {"type": "string", "enum": [API_VERSION]},
        "kind": {"type": "string", "enum": [KIND]},
        "hosts": _list("the hosts, masters in the order in which they begin", _HOST, minItems=1),
        "networks": {
            "type": "object",
            "description": "the cluster's own address ranges; they stay for the life of the cluster",
            "additionalProperties": False,
            "properties": {
                "pods": _text("network of pods, 10.244.0.0/16 by default", format="network"),
                "services": _text("network of Services, 10.96.0.0/16 by default", format="network"),
            },
        },
        "endpoint": _text("HOST[:PORT] of a load balancer or virtual address in front of the masters; none: not any more", format="endpoint"),
        "subjectAltNames": _list("more names and addresses that the API is reached by", _text("name or address", format="san")),
        "certificateValidity": _text("how long certificates live: days, or a number with d, h or m", format="validity"),
        "env": _texts("environment of the application's commands, beside the bundle's; another value runs them again; the record keeps it, so no passwords", "command-environment"),
        "values": _free("what the bundle lets a site decide, checked against its values.schema.json (inspect --values); no secrets: --set-file", ["object"]),
        "registry": {
            "type": "object",
            "description": "the site registry",
            "additionalProperties": False,
            "properties": {"port": {"type": "integer", "description": "5443 by default; it stays for the life of the cluster", "minimum": 1024, "maximum": 65535}},
        },
        "dataDirectories": {
            "type": "object",
            "description": f"where data lies on every host; it stays for the life of the cluster. Storage drivers that expect {KUBELET} must be told",
            "additionalProperties": False,
            "properties": {
                **{name: _text(f"an empty directory for the data of {name}, or one to be made", format="path") for name in ("containerd", "kubelet", "etcd")},
                "bundles": {**_text("where masters keep bundles", format="path"), "x-not-yet": _BUNDLES},
            },
        },
        "patches": {
            "type": "object",
            "description": "changes to what airseal writes",
            "additionalProperties": False,
            "properties": {
                **{name: _free(f"of the static pod {name}: a strategic merge patch, or a list as in JSON Patch; for life", ["object", "array"]) for name in STATIC_PODS},
                "kubelet": _free("merged into every host's KubeletConfiguration; for life", ["object"]),
                "containerd": {"type": "string", "description": "TOML, read after containerd's configuration; may change at any time", "maxLength": 16384, "format": "toml"},
            },
        },
    },
}
