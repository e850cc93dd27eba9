"""The manifests are what Kubernetes' own API description allows, and hold together.

The schema is that of Debian's python3-kubernetes: its models are generated from the OpenAPI
description of the API, with every field's name and type and what is required.
"""
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml
from kubernetes import client

from deploy_files import DEPLOY, environment

APPLIED = (".yaml", ".yml", ".json")  # what `kubectl apply -f DIRECTORY` takes of it
EXAMPLE = DEPLOY / "kubernetes/secret.yaml.example"
KINDS = {("v1", "ConfigMap"): "V1ConfigMap", ("v1", "Secret"): "V1Secret",
         ("v1", "Service"): "V1Service", ("apps/v1", "StatefulSet"): "V1StatefulSet",
         ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
         ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy"}
SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float), "datetime": str,
           "object": object}


def problems(value, kind, path=""):
    """What in `value` is not of the schema type `kind`, as lines."""
    found = []
    inner = re.fullmatch(r"list\[(.*)\]", kind)
    if inner:
        if not isinstance(value, list):
            return [f"{path}: expected a list"]
        for i, item in enumerate(value):
            found += problems(item, inner[1], f"{path}[{i}]")
        return found
    inner = re.fullmatch(r"dict\(str, (.*)\)", kind)
    if inner:
        if not isinstance(value, dict):
            return [f"{path}: expected a map"]
        for key, item in value.items():
            found += problems(item, inner[1], f"{path}.{key}")
        return found
    if kind in SCALARS:
        mistaken = kind in ("int", "float") and isinstance(value, bool)
        return [] if isinstance(value, SCALARS[kind]) and not mistaken else \
            [f"{path}: expected {kind}, not {value!r}"]
    if not isinstance(value, dict):
        return [f"{path}: expected a map ({kind})"]
    model = getattr(client, kind)
    attributes = {key: name for name, key in model.attribute_map.items()}
    for key, item in value.items():
        if key in attributes:
            found += problems(item, model.openapi_types[attributes[key]], f"{path}.{key}")
        else:
            found.append(f"{path}.{key}: unknown field of {kind}")
    try:
        model(**{attributes[key]: item for key, item in value.items() if key in attributes})
    except ValueError as error:  # what is required and missing, what is out of bounds
        found.append(f"{path}: {error}")
    return found


def applied():
    """What `kubectl apply -f deploy/kubernetes/` sends, with -R too."""
    return [(path.name, content) for path in sorted((DEPLOY / "kubernetes").rglob("*"))
            if path.suffix in APPLIED for content in yaml.safe_load_all(path.read_text())]


def manifests():
    """The same, and the Secret that is made by hand."""
    return [*applied(), (EXAMPLE.name, yaml.safe_load(EXAMPLE.read_text()))]


def manifest(kind):
    found, = [m for _, m in manifests() if m["kind"] == kind]
    return found


class Kubernetes(unittest.TestCase):
    def test_every_manifest_fits_the_schema(self):
        found = manifests()
        self.assertEqual({m["kind"] for _, m in found}, {kind for _, kind in KINDS})
        for name, content in found:
            with self.subTest(name):
                self.assertEqual(
                    problems(content, KINDS[content["apiVersion"], content["kind"]]), [])

    def test_applying_the_directory_leaves_the_real_certificates_alone(self):
        self.assertNotIn("Secret", [content["kind"] for _, content in applied()])

    def test_the_readme_makes_the_secret_that_is_mounted_before_it_applies_the_rest(self):
        secret = manifest("Secret")
        command = "kubectl create secret generic " \
            f"{secret['metadata']['name']} --type {secret['type']}"
        for path in (DEPLOY.parent / "README.md", EXAMPLE):
            with self.subTest(path.name):
                text = re.sub(r"\s*\\\n[#\s]*", " ", path.read_text())
                line = next(line for line in text.splitlines() if command in line)
                self.assertEqual({pathlib.Path(file).name
                                  for file in re.findall(r"--from-file (\S+)", line)},
                                 set(secret["stringData"]))
        text = (DEPLOY.parent / "README.md").read_text()
        self.assertLess(text.index("kubectl create secret"),
                        text.index("kubectl apply -f deploy/kubernetes/"))

    def test_the_schema_check_finds_mistakes(self):
        stateful = manifest("StatefulSet")
        container = stateful["spec"]["template"]["spec"]["containers"][0]
        container["livenesProbe"] = container.pop("livenessProbe")
        container["ports"][0]["containerPort"] = "grpc"
        del stateful["spec"]["selector"]
        text = "\n".join(problems(stateful, "V1StatefulSet"))
        self.assertIn("containers[0].livenesProbe: unknown field of V1Container", text)
        self.assertIn("ports[0].containerPort: expected int", text)
        self.assertIn("`selector`, must not be `None`", text)

    def test_the_parts_name_each_other(self):
        spec = manifest("StatefulSet")["spec"]
        pod, labels = spec["template"]["spec"], spec["template"]["metadata"]["labels"]
        self.assertEqual(spec["serviceName"], manifest("Service")["metadata"]["name"])
        for selector in (spec["selector"]["matchLabels"], manifest("Service")["spec"]["selector"],
                         manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
                         manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]):
            self.assertLessEqual(selector.items(), labels.items())
        container, = pod["containers"]
        volumes = {v["name"] for v in pod["volumes"]} | \
            {c["metadata"]["name"] for c in spec["volumeClaimTemplates"]}
        self.assertEqual({m["name"] for m in container["volumeMounts"]}, volumes)
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertIn(container[probe]["httpGet"]["port"], ports)
        for port in manifest("Service")["spec"]["ports"]:
            self.assertEqual(ports[port["targetPort"]], port["port"])
        for rule in manifest("NetworkPolicy")["spec"]["ingress"]:
            self.assertIn(rule["ports"][0]["port"], ports)
        names = {"ConfigMap": pod["volumes"][1]["configMap"]["name"],
                 "Secret": pod["volumes"][2]["secret"]["secretName"]}
        for kind, name in names.items():
            self.assertEqual(manifest(kind)["metadata"]["name"], name)

    def test_the_pod_is_the_user_of_the_image_and_writes_to_its_volumes_only(self):
        pod = manifest("StatefulSet")["spec"]["template"]["spec"]
        container, = pod["containers"]
        image = (DEPLOY.parent / "Dockerfile").read_text()
        user = re.search(r"^USER (\d+):(\d+)$", image, re.M)
        self.assertEqual(pod["securityContext"]["runAsUser"], int(user[1]))
        self.assertEqual(pod["securityContext"]["fsGroup"], int(user[2]))
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])
        self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
        mounted = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        declared = re.search(r"^VOLUME (\[.*\])$", image, re.M)
        self.assertEqual(mounted, set(yaml.safe_load(declared[1])))

    def test_both_drains_fit_into_the_grace_period(self):
        pod = manifest("StatefulSet")["spec"]["template"]["spec"]
        hook = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        self.assertEqual(hook[:3], ["postern", "drain", "--budget"])
        configuration = yaml.safe_load(manifest("ConfigMap")["data"]["postern.yaml"])
        seconds = [int(re.fullmatch(r"(\d+)s", text)[1])
                   for text in (hook[3], configuration["options"]["drain_budget"])]
        self.assertLess(sum(seconds) + 10, pod["terminationGracePeriodSeconds"])

    def test_posternd_takes_the_configuration(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "postern.yaml"
            path.write_text(manifest("ConfigMap")["data"]["postern.yaml"])
            run = subprocess.run([environment("POSTERND"), "--check-config", "--config", path],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual((run.returncode, run.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
