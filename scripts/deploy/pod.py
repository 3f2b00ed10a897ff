"""A container of the chart on this machine: its files below a directory, its variables, its command."""

import os
import pathlib
import re
import subprocess

import chart

BINARY = os.environ.get("VITRINE") or str(chart.ROOT / "target" / "debug" / "vitrine")
# what each key of a Secret holds unless a check says otherwise
CONTENT = {
    "database/url": "postgres://vitrine:secret@database.example.org:5432/images",
    "amqp/url": "amqp://vitrine:secret@broker.example.org:5672/images",
}


class Missing(Exception):
    """A pod names something that does not exist."""


def secret_text(secrets, name, key, path):
    """The content of a key of a Secret: that of `secrets` where given, else something of the right form."""
    if secrets is not None:
        try:
            return secrets[name][key]
        except KeyError:
            raise Missing(f"Secret {name} has no key {key}") from None
    return CONTENT.get(path, "not-a-real-secret")


def volume_files(volume, objects, secrets):
    """Relative path, content and mode of every file of a volume."""
    kind = next(iter(volume.keys() - {"name"}))
    source = volume[kind]
    if kind == "configMap":
        document = chart.find(objects, "ConfigMap", source["name"])
        if document is None:
            raise Missing(f"ConfigMap {source['name']} does not exist")
        return [(path, text, 0o644) for path, text in document["data"].items()]
    if kind == "projected":
        sources = [s["secret"] for s in source["sources"]]
    elif kind == "secret":
        sources = [{"name": source["secretName"], "items": source["items"]}]
    else:
        return []
    items = [(s["name"], item["key"], item["path"]) for s in sources for item in s["items"]]
    return [(path, secret_text(secrets, name, key, path), source["defaultMode"]) for name, key, path in items]


class Container:
    """A container of the service, its files below `root` instead of where the chart mounts them."""

    def __init__(self, pod, container, objects, root, secrets=None):
        self.spec, self.root = container, pathlib.Path(root)
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        self.mounts = set()
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                raise Missing(f"{container['name']} mounts {mount['name']}, which is no volume of its pod")
            if not mount["mountPath"].startswith(chart.MOUNTED + "/"):
                continue
            self.mounts.add(mount["mountPath"])
            for path, text, mode in volume_files(volumes[mount["name"]], objects, secrets):
                file = self.local(mount["mountPath"]) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                if file.name.endswith(".toml"):
                    text = text.replace(chart.MOUNTED, str(self.root))
                file.write_text(text)
                file.chmod(mode)
        self.variables = {}
        for variable in container.get("env", []):
            value = variable.get("value", "from-elsewhere")
            self.variables[variable["name"]] = value.replace(chart.MOUNTED, str(self.root))

    def local(self, path):
        """Where a path of the container lies here."""
        return self.root / pathlib.PurePosixPath(path).relative_to(chart.MOUNTED)

    def environment(self, **more):
        """Its variables and nothing else."""
        return {**self.variables, **more}

    def run(self, *arguments, timeout=60):
        """The service with other arguments than the container's, in its surroundings."""
        return subprocess.run([BINARY, *arguments], env=self.environment(), cwd="/", timeout=timeout, text=True, capture_output=True, check=False)


def of_service(pod):
    """The containers of a pod that run the service."""
    return [c for c in chart.containers(pod) if any(e["name"] == "VITRINE_CONFIG" for e in c.get("env", []))]


def seconds(text):
    """A duration of the configuration."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)?", str(text)).groups()
    return int(number) * {"ms": 0.001, "s": 1, None: 1, "m": 60, "h": 3600, "d": 86400}[unit]


def mebibytes(text):
    """A size of the configuration, or a quantity of Kubernetes."""
    number, unit = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]*)", str(text)).groups()
    factor = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    return float(number) * factor[unit.removesuffix("B")] / (1 << 20)
