"""The one door to Kubernetes' own API: what the nodes offer. It is asked and never changed.

Which cluster is asked is kubectl's business: KUBECONFIG's current context, or the pod's own.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from components.errors import Failed

TIMEOUT_S = 10


@dataclass(frozen=True)
class Node:
    """A node that takes new pods: its labels, and how much of each resource it gives to pods."""

    name: str
    labels: Mapping[str, str]
    offers: Mapping[str, str]


def schedulable_nodes(timeout_s: int = TIMEOUT_S) -> list[Node]:
    """Every node that is not cordoned; Failed, with the reason, where they can't be asked."""
    import yaml
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    settings = client.Configuration()
    settings.retries = False
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG"):
            config.load_incluster_config(client_configuration=settings)
        else:
            named = os.environ.get("KUBECONFIG") or None
            config.load_kube_config(config_file=named, client_configuration=settings)
        with client.ApiClient(settings) as api:
            found = client.CoreV1Api(api).list_node(_request_timeout=timeout_s).items
    except client.ApiException as error:
        raise Failed(f"the API server answered {error.status} {error.reason}") from error
    except config.ConfigException as error:
        raise Failed(f"kubectl is not set up here: {_short(error)}") from error
    except (HTTPError, OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise Failed(f"the API server cannot be reached: {_short(error)}") from error
    return [
        Node(one.metadata.name, one.metadata.labels or {}, one.status.allocatable or {})
        for one in found
        if not one.spec.unschedulable
    ]


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
