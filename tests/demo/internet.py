"""Which internet a demo's build sees: the real one where there is one, else the one of our own."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

from tests.testbed.cache import Cache
from tests.testbed.internet import Internet
from tests.testbed.progress import say

_PROBES = ("https://registry.k8s.io/v2/", "https://dl.k8s.io/", "https://registry-1.docker.io/v2/")


def choose_internet(cache: Cache, which: str) -> list[str]:
    """Bring up what the build needs and return the options that it needs besides. ``which`` is auto, real or own.

    With the real one only the company's registry is ours: nobody else has its images. Its build has a cache of its own,
    since the hashes that were frozen for our own programs are not those of the real ones.
    """
    real = which == "real" or (which == "auto" and has_real_internet())
    say(f"building against {'the real internet' if real else 'an internet of our own'}")
    Internet(cache, real=real).up()
    return ["--cache", str(cache.root.parent / "real-internet")] if real else []


def has_real_internet() -> bool:
    """Tell whether the registries and download sites of the world answer."""
    for url in _PROBES:
        try:
            urllib.request.urlopen(url, timeout=10, context=ssl.create_default_context()).close()  # noqa: S310
        except urllib.error.HTTPError:
            continue  # 401 or 404: it answers
        except OSError:
            return False
    return True
