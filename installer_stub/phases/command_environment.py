"""What a CMD knows of the cluster it runs in: variables, the same at the build and at every site.

They are documented (docs/kubefile.md, "What a CMD finds"), so a name here stays. No secret is among them: the environment of a process can
be read, and a CMD passes its own on.
"""

from __future__ import annotations

from typing import Final

from installer_stub.plan.model import API_PORT, Plan, in_url
from installer_stub.values.store import SECRETS, VALUES

PREFIX: Final = "AIRSEAL_"


def plan_environment(plan: Plan) -> dict[str, str]:
    """Return the variables that say what the plan decided."""
    bundle = plan.bundle
    first = plan.site_masters[0].address
    endpoint = plan.access.endpoint.url if plan.access.endpoint is not None else f"https://{in_url(first)}:{API_PORT}"
    return {
        "AIRSEAL_BUNDLE_NAME": bundle.name,
        "AIRSEAL_BUNDLE_VERSION": bundle.version,
        "AIRSEAL_CLUSTER_DIR": plan.cluster_directory,  # what was /cluster in the image
        "AIRSEAL_ENDPOINT": endpoint,
        "AIRSEAL_KUBERNETES_VERSION": bundle.kubernetes,
        "AIRSEAL_MASTERS": str(len(plan.site_masters)),
        "AIRSEAL_NODES": str(len(plan.site_nodes)),
        "AIRSEAL_POD_CIDR": plan.pod_cidr,
        "AIRSEAL_REGISTRY": ",".join(plan.images.endpoints),  # URLs; every host pulls from there whatever a name says
        "AIRSEAL_SERVICE_CIDR": plan.service_cidr,
        **({"AIRSEAL_VALUES": VALUES, "AIRSEAL_SECRETS": SECRETS} if plan.values_identity else {}),
        **dict(plan.values),
    }
