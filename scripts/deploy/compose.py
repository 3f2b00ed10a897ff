"""What the schema does not ask of docker-compose.yml and the settings beside it."""

import pathlib
import os
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# the one that hands a new volume over, and may do nothing else
ROOTS = {"minio-volume"}


def problems():
    text = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", r"\2", (ROOT / "docker-compose.yml").read_text())
    services = yaml.safe_load(text)["services"]
    for name, service in services.items():
        yield from (f"{name}: {problem}" for problem in one(name, service, services))
    needs = re.search(r"^# Needs Docker Engine (\d+)", (ROOT / "docker-compose.yml").read_text(), re.M)
    # the first that knows `start_interval`
    if any("start_interval" in s.get("healthcheck", {}) for s in services.values()) and (not needs or int(needs[1]) < 25):
        yield "the head of docker-compose.yml does not say which Docker Engine it needs"
    user = re.search(r"^USER (\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.M)[1]
    for name, service in services.items():
        if "build" in service and service["user"] != user:
            yield f"{name}: runs as {service['user']}, while the image says {user}"
    yield from collector()
    yield from example()


def one(name, service, services):
    if service.get("read_only") is not True or service.get("cap_drop") != ["ALL"]:
        yield "writable, or with capabilities"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "may gain privileges"
    if (service.get("user", "0").split(":")[0] == "0") != (name in ROOTS):
        yield f"runs as {service.get('user')}"
    if name in ROOTS and (service.get("network_mode") != "none" or service.get("cap_add") != ["CHOWN"]):
        yield "root with more than one power"
    if name not in ROOTS and ("cap_add" in service or "privileged" in service):
        yield "has capabilities"
    tag = service["image"].split("@")[0].rpartition(":")[2]
    if "build" not in service and not re.search(r"\d", tag):
        yield f"{service['image']} is not pinned"
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            yield f"published beyond this host: {port}"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith(".") and (not (ROOT / source).exists() or not volume.endswith(":ro")):
            yield f"{volume}: not there, or writable"
    for other, terms in service.get("depends_on", {}).items():
        if terms["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"waits for the health of {other}, which has no check"


def collector():
    """Pipelines of the collector name what is declared, and all of it."""
    settings = yaml.safe_load((ROOT / "deploy/otel-collector.yaml").read_text())
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in settings["service"]["pipelines"].values() for name in pipeline[kind]}
        if used != set(settings[kind]):
            yield f"otel-collector.yaml: {kind} {used ^ set(settings[kind])}"
    # what arrives is counted at the level of information
    level = settings["service"]["telemetry"]["logs"]["level"]
    if level not in ("debug", "info") and settings["exporters"]["debug"].get("use_internal_logger") is not False:
        yield f"otel-collector.yaml: a log of {level} drops the counts of traces"


def example():
    """The example is accepted as it stands, once its secrets are there; and with every commented value."""
    text = (ROOT / "deploy/config.example.toml").read_text()
    with tempfile.TemporaryDirectory() as place:
        for secret in re.findall(r'"/etc/vitrine/secrets/([\w-]+)"', text):
            (pathlib.Path(place) / secret).write_text("postgres://user:secret@host/name\n")
        text = text.replace("/etc/vitrine/secrets", place)
        every = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.M)
        for what, variant in (("as it stands", text), ("with what is commented out", every)):
            file = pathlib.Path(place) / "config.toml"
            file.write_text(variant)
            done = subprocess.run([os.environ["VITRINE"], "config", "print", "--config", str(file)], env={},
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                yield f"config.example.toml {what}: {done.stderr}"


if __name__ == "__main__":
    found = list(problems())
    print(*(found or ["ok  the compose file and its settings are as they should be"]), sep="\n")
    sys.exit(1 if found else 0)
