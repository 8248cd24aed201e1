"""What the stub is made of, for whoever keeps lists of such things: a CycloneDX bill of materials.

Source: CycloneDX 1.6, JSON; package URLs, https://github.com/package-url/purl-spec. Without a serial number and a time: the same stub, the
same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from installer_stub.version import VERSION
from release import recipe

# Who made the sources, in the words of their licences' lists (SPDX).
_LICENCES: Final = {"cpython": "Python-2.0", "openssl": "Apache-2.0", "zlib": "Zlib", "libffi": "MIT", "xz": "0BSD"}


def sbom(machine: str, sha256: str, versions: Iterable[str]) -> bytes:
    """Return the document of a stub. ``sha256`` is the program's, in hex; ``versions`` are ``NAME=VERSION`` of its distributions."""
    components = [_source(source) for source in recipe.SOURCES]
    components += [_distribution(*line.split("=", 1)) for line in versions if "=" in line]
    components.append(_distribution("airseal", VERSION))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "stub",
                "name": f"airseal-stub-{machine}",
                "version": VERSION,
                "purl": f"pkg:pypi/airseal-stub-{machine.replace('_', '-')}@{VERSION}",
                "hashes": [{"alg": "SHA-256", "content": sha256}],
            }
        },
        "components": sorted(components, key=lambda one: str(one["bom-ref"])),
        "dependencies": [{"ref": "stub", "dependsOn": sorted(str(one["bom-ref"]) for one in components)}],
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _source(source: recipe.PinnedSource) -> Mapping[str, Any]:
    name = f"pkg:generic/{source.component}@{source.version}"
    return {
        "type": "library",
        "bom-ref": name,
        "name": source.component,
        "version": source.version,
        "purl": f"{name}?checksum=sha256:{source.sha256}",
        "licenses": [{"license": {"id": _LICENCES[source.component]}}],
        "hashes": [{"alg": "SHA-256", "content": source.sha256}],
        "externalReferences": [{"type": "distribution", "url": recipe.POOLS[0] + source.path}],
    }


def _distribution(name: str, version: str) -> Mapping[str, Any]:
    purl = f"pkg:pypi/{recipe.normal(name)}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
