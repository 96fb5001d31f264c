"""The example for Ray's operator on Kubernetes: its schemas, and that its parts agree.

Pods are held against the schema of Kubernetes itself. The operator's own (the CRD `rayjobs.ray.io`) is in no package of
the index: its fields, as version 1 documents them, are written down below. Where `RAYJOB_CRD` names the CRD's file, the
example is held against that too.
"""

from __future__ import annotations

import copy
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.cli.main import parser

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = yaml.safe_load((ROOT / "docker/rayjob.yaml").read_text(encoding="utf-8"))
SPEC = EXAMPLE["spec"]["rayClusterSpec"]
GROUPS = [SPEC["headGroupSpec"], *SPEC["workerGroupSpecs"]]


def test_it_is_a_ray_job_with_a_head_and_workers():
    assert (EXAMPLE["apiVersion"], EXAMPLE["kind"]) == ("ray.io/v1", "RayJob")
    assert all({"rayStartParams", "template"} <= set(group) for group in GROUPS)
    assert all(isinstance(value, str) for group in GROUPS for value in group["rayStartParams"].values())


def test_its_entrypoint_is_a_command_line_that_bench_understands():
    words = shlex.split(EXAMPLE["spec"]["entrypoint"])
    assert words[0] == "bench"
    options = parser().parse_args(words[1:])
    assert (options.executor, options.address) == ("ray", "auto")
    mounts = [mount["mountPath"] for group in GROUPS for one in containers(group) for mount in one["volumeMounts"]]
    assert all(any(path.startswith(f"{mount}/") for mount in mounts) for path in (options.suite, options.results))


def containers(group: dict[str, Any]) -> list[dict[str, Any]]:
    return group["template"]["spec"]["containers"]


def test_its_version_of_ray_is_the_one_that_is_installed_with_the_image():
    (pinned,) = re.findall(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert SPEC["rayVersion"] == pinned
    (extras,) = re.findall(
        r'^ARG EXTRAS="(.*)"$', (ROOT / "docker/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert "ray" in extras.split(",")


def test_every_mount_has_its_volume_and_all_share_one_image_and_one_claim():
    for group in GROUPS:
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for one in containers(group) for mount in one["volumeMounts"]} <= volumes
    assert len({one["image"] for group in GROUPS for one in containers(group)}) == 1
    claims = [v["persistentVolumeClaim"]["claimName"] for g in GROUPS for v in g["template"]["spec"]["volumes"] if v["name"] == "shared"]  # fmt: skip  # noqa: E501
    assert len(claims) == len(GROUPS)
    assert len(set(claims)) == 1


def test_workers_are_alike_and_alone_on_their_machines_and_the_head_does_no_job():
    assert SPEC["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in SPEC["workerGroupSpecs"]:
        spec = group["template"]["spec"]
        (term,) = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["labelSelector"]["matchLabels"]["ray.io/group"] == group["groupName"]
        assert spec["nodeSelector"]
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        (resources,) = [one["resources"] for one in containers(group)]
        assert resources["requests"] == resources["limits"]


WHOLE = {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def fields(required: list[str], **properties: Any) -> dict[str, Any]:
    """A mapping of these fields and no others."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


GROUP = {"rayStartParams": TEXTS, "template": {"type": "object"}, "labels": TEXTS, "resources": TEXTS}
NUMBERS = dict.fromkeys(("replicas", "minReplicas", "maxReplicas", "numOfHosts", "idleTimeoutSeconds"), WHOLE)
OPERATOR = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields(["name"], name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?$"}, labels=TEXTS),
    spec=fields(
        ["entrypoint", "rayClusterSpec"],
        entrypoint={"type": "string"},
        runtimeEnvYAML={"type": "string"},
        shutdownAfterJobFinishes={"type": "boolean"},
        suspend={"type": "boolean"},
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        ttlSecondsAfterFinished=WHOLE,
        activeDeadlineSeconds=WHOLE,
        backoffLimit=WHOLE,
        rayClusterSpec=fields(
            ["headGroupSpec"],
            rayVersion={"type": "string"},
            enableInTreeAutoscaling={"type": "boolean"},
            headGroupSpec=fields(["template"], **GROUP, serviceType={"type": "string"}),
            workerGroupSpecs={
                "type": "array",
                "items": fields(
                    ["groupName", "minReplicas", "maxReplicas", "template"],
                    **GROUP,
                    **NUMBERS,
                    groupName={"type": "string"},
                ),
            },
        ),
    ),
)


def complaints(schema: Any, example: Any) -> list[str]:
    import jsonschema

    found = jsonschema.Draft202012Validator(schema).iter_errors(example)
    return [f"{list(error.path)}: {error.message}" for error in found]


def test_it_has_the_fields_of_the_operator_and_no_others():
    pytest.importorskip("jsonschema", reason="the package jsonschema is not installed")
    assert complaints(OPERATOR, EXAMPLE) == []
    mistyped = copy.deepcopy(EXAMPLE)
    mistyped["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replica"] = 4
    mistyped["spec"]["ttlSecondsAfterFinished"] = "600"
    assert len(complaints(OPERATOR, mistyped)) == 2


def test_its_pods_keep_the_schema_of_kubernetes():
    known = pytest.importorskip("kubernetes_validate", reason="the package kubernetes-validate is not installed")

    def validated(template: Any) -> None:
        whole = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pods"}, "template": template}
        known.validate(whole, known.latest_version(), strict=True)

    for group in GROUPS:
        validated(group["template"])
        mistyped = copy.deepcopy(group["template"])
        mistyped["spec"]["containers"][0]["volumeMount"] = []
        with pytest.raises(known.ValidationError, match="volumeMount"):
            validated(mistyped)


@pytest.mark.skipif("RAYJOB_CRD" not in os.environ, reason="RAYJOB_CRD does not name the file of the operator's schema")
def test_it_keeps_the_schema_of_the_operator():
    crd = yaml.safe_load(Path(os.environ["RAYJOB_CRD"]).read_text(encoding="utf-8"))
    (version,) = [v for v in crd["spec"]["versions"] if v["name"] == "v1"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    assert complaints(schema, EXAMPLE) == []


def closed(schema: Any) -> Any:
    """The schema without fields that it does not name, as the API server's strict validation has it."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string") is True:
        made.pop("type", None)
    return made
