"""The end of a build's network: whatever is still in it is looked for, and removed until nothing is found."""

from __future__ import annotations

import time
from typing import Final

from bundler.engine import Engine, explanation

_PATIENCE: Final = 30.0  # seconds; an engine that is busy says "removal in progress" or "device or resource busy"
_PAUSE: Final = 0.1


def clear(engine: Engine, network: str, patience: float = _PATIENCE) -> str:
    """Remove the network and every container whose name begins with its name; return why something is left, empty if nothing is.

    Nothing is concluded from what a caller remembers of it, nor from a removal that was asked for: the engine's own lists say
    what there is. Raises nothing: this runs while something else may be on its way out.
    """
    import docker.errors
    import requests

    api, deadline, why = engine.client.api, time.monotonic() + patience, ""
    while True:
        try:
            left = [str(each["Id"]) for each in api.containers(all=True, filters={"name": network})]
            for each in left:
                api.remove_container(each, force=True, v=True)
            if not left and not api.networks(names=[network]):
                return ""
            api.remove_network(network)
        except docker.errors.APIError as error:
            why = explanation(error)
        except (docker.errors.DockerException, requests.RequestException) as error:
            return str(error)
        if time.monotonic() > deadline:
            return why or "the engine lists it again and again"
        time.sleep(_PAUSE)
