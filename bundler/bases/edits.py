"""Changes that a recipe makes to what it downloaded. Each is a pure function from text to text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bundler.errors import RecipeError

POD_NETWORK = "10.244.0.0/16"  # what the installer's plan gives kubeadm unless told otherwise


def flannel(text: str) -> str:
    """Return flannel's manifest, fit for a site.

    * cniVersion 0.3.1: the flannel plugin that can be had widely (v0.9.1) knows nothing newer; all runtimes know it.
    * ``--iface=$(NODE_IP)``: left alone, flannel asks the default route which interface to use, and dies without one.
    * its network must be the plan's; anything else is refused here and not found out at a site.

    Raises RecipeError when the manifest is not of the form that this was written for.
    """
    import yaml

    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
        _edit_config(_only(documents, "ConfigMap")["data"])
        _edit_daemon(_only(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        hint = "take the flannel version that the recipe names, or teach bundler/bases/edits.py the new form"
        raise RecipeError(f"flannel's manifest has changed its form: {error!r}", hint) from None
    return yaml.safe_dump_all(documents, sort_keys=False, width=1000)


EDITS: Mapping[str, Callable[[str], str]] = MappingProxyType({"flannel": flannel})


def _only(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (document for document in documents if document.get("kind") == kind)
    return found


def _edit_config(data: dict[str, str]) -> None:
    network = json.loads(data["net-conf.json"])
    if network["Network"] != POD_NETWORK:
        raise ValueError(f"network {network['Network']} is not {POD_NETWORK}")
    plugins = json.loads(data["cni-conf.json"])
    plugins["cniVersion"] = "0.3.1"
    data["cni-conf.json"] = json.dumps(plugins, indent=2) + "\n"


def _edit_daemon(containers: list[dict[str, Any]]) -> None:
    (container,) = containers
    arguments = [argument for argument in container["args"] if not argument.startswith("--iface")]
    container["args"] = [*arguments, "--iface=$(NODE_IP)"]
    environment = [item for item in container["env"] if item["name"] != "NODE_IP"]
    container["env"] = [*environment, {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]
