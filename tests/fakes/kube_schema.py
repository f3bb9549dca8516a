"""Kubernetes manifests against the kubernetes client's models: an unknown or mistyped field is named.

TrainJob (Kubeflow Trainer v1alpha1) and SparkApplication (Spark operator v1beta2) are no kinds of
Kubernetes: the fields of theirs that deploy/ uses are listed here, and what they take from
Kubernetes is checked by the same models.
"""

import re
from typing import Any

import kubernetes.client as kube

KINDS = {
    ("v1", "Namespace"): "V1Namespace",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "Secret"): "V1Secret",
    ("v1", "Service"): "V1Service",
    ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("rbac.authorization.k8s.io/v1", "Role"): "V1Role",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "V1RoleBinding",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
}
TRAINJOB = {
    "runtimeRef": {"name": "str", "apiGroup": "str", "kind": "str"},
    "suspend": "bool",
    "managedBy": "str",
    "labels": "dict(str, str)",
    "annotations": "dict(str, str)",
    "trainer": {
        "image": "str",
        "command": "list[str]",
        "args": "list[str]",
        "env": "list[V1EnvVar]",
        "numNodes": "int",
        "numProcPerNode": "int",
        "resourcesPerNode": "V1ResourceRequirements",
    },
}
_SPARK_POD = {
    "cores": "int",
    "memory": "str",
    "serviceAccount": "str",
    "env": "list[V1EnvVar]",
    "volumeMounts": "list[V1VolumeMount]",
    "podSecurityContext": "V1PodSecurityContext",
    "securityContext": "V1SecurityContext",
}
SPARK = {
    "type": "str",
    "pythonVersion": "str",
    "mode": "str",
    "sparkVersion": "str",
    "image": "str",
    "mainApplicationFile": "str",
    "arguments": "list[str]",
    "sparkConf": "dict(str, str)",
    "restartPolicy": {
        "type": "str",
        "onFailureRetries": "int",
        "onFailureRetryInterval": "int",
    },
    "volumes": "list[V1Volume]",
    "driver": _SPARK_POD,
    "executor": {**_SPARK_POD, "instances": "int"},
}
THEIRS = {
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"): TRAINJOB,
    ("sparkoperator.k8s.io/v1beta2", "SparkApplication"): SPARK,
}
PLAIN = {"str": str, "int": int, "bool": bool, "float": float}
LOOSE = {"object": object, "datetime": str}


def faults(manifest: dict[str, Any]) -> list[str]:
    """What of a manifest no server would take; empty where it is valid."""
    kind = (manifest.get("apiVersion"), manifest.get("kind"))
    if kind in THEIRS:
        top = {
            "apiVersion": "str",
            "kind": "str",
            "metadata": "V1ObjectMeta",
            "spec": THEIRS[kind],
        }
        return list(_fields(manifest, top, str(kind[1]), needed=("metadata", "spec")))
    if kind not in KINDS:
        return [f"{kind} is no kind that is known here"]
    return list(_walk(manifest, KINDS[kind], str(kind[1])))


def part_faults(kind: str, value: Any) -> list[str]:
    """The same of a part, whose kind is spelled as the client does: list[V1Toleration]."""
    return list(_walk(value, kind, kind))


def _walk(value: Any, kind: Any, where: str):
    if isinstance(kind, dict):
        yield from _fields(value, kind, where)
    elif kind in LOOSE:
        return
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (kind != "bool" and isinstance(value, bool)):
            yield f"{where}: {value!r} is no {kind}"
    elif found := re.fullmatch(r"list\[(.+)\]", kind):
        yield from _each(value, list, enumerate, found[1], where)
    elif found := re.fullmatch(r"dict\(str, (.+)\)", kind):
        yield from _each(value, dict, dict.items, found[1], where)
    else:
        yield from _model(value, kind, where)


def _each(value: Any, expected: type, pairs: Any, kind: str, where: str):
    if not isinstance(value, expected):
        yield f"{where}: {value!r} is no {expected.__name__}"
        return
    for name, inner in pairs(value):
        yield from _walk(inner, kind, f"{where}[{name}]")


def _model(value: Any, kind: str, where: str):
    model = getattr(kube, kind)
    fields = {model.attribute_map[name]: inner for name, inner in model.openapi_types.items()}
    if isinstance(value, dict):
        own = {name: value.get(model.attribute_map[name]) for name in model.openapi_types}
        try:
            model(**own)  # the models refuse a field that must be there and is not
        except ValueError as error:
            yield f"{where}: {error}"
    yield from _fields(value, fields, where)


def _fields(value: Any, fields: dict[str, Any], where: str, needed: tuple[str, ...] = ()):
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no object"
        return
    for name in needed:
        if name not in value:
            yield f"{where}: {name} is missing"
    for name, inner in value.items():
        if name not in fields:
            yield f"{where}: unknown field {name}"
        else:
            yield from _walk(inner, fields[name], f"{where}.{name}")
