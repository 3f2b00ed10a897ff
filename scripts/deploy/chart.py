"""What the checks of the Helm chart share: rendering, and looking into what comes out."""

import copy
import os
import pathlib
import sys

import helm_python
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "vitrine"
RELEASE, NAMESPACE = "rel", "images"
WORKLOADS = ("Deployment", "Job", "Pod", "StatefulSet", "DaemonSet", "CronJob")
# where the chart mounts files
MOUNTED = "/etc/vitrine"

_chart = helm_python.Chart.load(CHART)


class _Once(yaml.SafeLoader):
    """Takes no key twice; Kubernetes would take the last one and say nothing."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(None, None, f"keys that stand there twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


class Findings:
    """Problems, all of which are told before the end."""

    def __init__(self):
        self.found = []

    def require(self, holds, problem):
        if not holds:
            self.found.append(problem)

    def end(self, summary):
        """Ends the program: with the problems, or with what was looked at."""
        for problem in self.found:
            print(f"  {problem}", file=sys.stderr)
        if self.found:
            sys.exit(f"{os.path.basename(sys.argv[0])}: {len(self.found)} problems")
        print(summary)
        sys.exit(0)


def cases():
    """The values files of ci/ by name, read as Helm reads them."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    found = {file.name.removesuffix("-values.yaml"): helm_python.values_from_yaml(file.read_text()) for file in files}
    if {"minimal", "ha", "existing-secrets", "everything"} - found.keys():
        sys.exit("values files are missing in ci/")
    return found


def defaults():
    return _chart.values


def merged(values):
    """The values that a release with these would use."""
    return _chart.merge_values(values)


def schema():
    return _chart.schema


def changed(values, path, value):
    """A copy of `values` with `value` at `path`, a tuple of keys."""
    values = copy.deepcopy(values)
    at = values
    for key in path[:-1]:
        at = at.setdefault(key, {})
    at[path[-1]] = value
    return values


def lint(values):
    return helm_python.lint(CHART, values, strict=True, namespace=NAMESPACE)


def manifests(values, release=RELEASE, **options):
    """The objects that Helm would send, each with its template; NOTES.txt is rendered and left out."""
    rendered = _chart.render(values, name=release, namespace=NAMESPACE, **options)
    objects = []
    for template, text in sorted(rendered.items()):
        if template.endswith("NOTES.txt"):
            continue
        for number, document in enumerate(yaml.load_all(text, _Once)):
            if document is not None:
                objects.append((f"{pathlib.PurePath(template).name}#{number}", document))
    return objects


def notes(values):
    """What Helm prints after an installation."""
    rendered = _chart.render(values, name=RELEASE, namespace=NAMESPACE)
    return next(text for template, text in rendered.items() if template.endswith("NOTES.txt"))


def refusal(values, release=RELEASE):
    """Why Helm refuses these values; none if it does not."""
    try:
        manifests(values, release)
    except (helm_python.HelmError, yaml.YAMLError) as error:
        return str(error)
    return None


def pod_of(document):
    """The pod (metadata and spec) of a workload; none for other objects."""
    kind = document["kind"]
    if kind not in WORKLOADS:
        return None
    if kind == "Pod":
        return document
    if kind == "CronJob":
        return document["spec"]["jobTemplate"]["spec"]["template"]
    return document["spec"]["template"]


def pods(objects):
    """Name and pod of every workload."""
    for _, document in objects:
        if (pod := pod_of(document)) is not None:
            yield f"{document['kind']} {document['metadata']['name']}", pod


def containers(pod):
    """Every container of a pod, whenever it runs."""
    spec = pod["spec"]
    return [c for field in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(field) or []]


def find(objects, kind, name):
    for _, document in objects:
        if document["kind"] == kind and document["metadata"]["name"] == name:
            return document
    return None
