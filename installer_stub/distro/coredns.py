"""CoreDNS's Corefile, for a site that has no nameserver."""

from __future__ import annotations


def without_forward(corefile: str) -> str:
    """Return the Corefile without its ``forward`` plugins, blocks included; everything else unchanged.

    Without a nameserver CoreDNS dies ("plugin/forward: no nameservers found"), with a loopback one too ("Loop
    detected"). ``loop`` has nothing to find then and stays: it is harmless without forward.
    """
    kept: list[str] = []
    depth = 0  # of braces inside the forward block that is being left out
    for line in corefile.splitlines(keepends=True):
        words = line.split()
        if depth:
            depth += line.count("{") - line.count("}")
        elif words and words[0] == "forward":
            depth = line.count("{") - line.count("}")
        else:
            kept.append(line)
    return "".join(kept)
