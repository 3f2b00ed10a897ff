#!/usr/bin/env python3
"""Runs docker-compose.yml as processes and takes the tour of the README through its balancer.

    scripts/compose-processes.py [--stay]

With --stay it brings everything up, says where, and waits to be interrupted. Needs PyYAML (.venv/deploy has it),
PostgreSQL, haproxy, curl, SeaweedFS in .venv/seaweedfs, the clients in .venv/clients, and VITRINE, the program.
"""

import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "deploy"))
from stack import ROOT, Failure, Stack, say, until  # noqa: E402

MIB = 1 << 20
OLGA = "X-Auth-Token: olga:alpha:member"


def curl(*arguments, data=None):
    """What curl prints, an answer of failure being an error."""
    command = ["curl", "--noproxy", "*", "--silent", "--show-error", "--fail-with-body", "--max-time", "120"]
    done = subprocess.run([*command, *arguments], input=data, capture_output=True, check=False)
    if done.returncode:
        raise Failure(f"curl {' '.join(arguments)}: {done.stdout[:500]!r} {done.stderr[:500]!r}")
    return done.stdout


def equal(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what}: {str(found)[:200]!r}, wanted {str(wanted)[:200]!r}")
    say(f"ok  {what}")


def with_curl(url):
    body = os.urandom(64 * MIB)
    new = {"name": "tiny", "disk_format": "raw", "container_format": "bare", "os_distro": "debian", "tags": ["demo"]}
    image = json.loads(curl(f"{url}/v2/images", "-H", OLGA, "-d", json.dumps(new)))
    equal("a new image is queued", image["status"], "queued")
    file = f"{url}/v2/images/{image['id']}/file"
    # without a length, in chunks, as stock clients send
    curl("-H", OLGA, "-H", "Content-Type: application/octet-stream", "-T", "-", file, data=body)
    image = json.loads(curl(f"{url}/v2/images/{image['id']}", "-H", OLGA))
    equal("64 MiB sent in chunks are active", (image["status"], image["size"]), ("active", len(body)))
    equal("their MD5", image["checksum"], hashlib.md5(body).hexdigest())
    equal("their SHA-512", image["os_hash_value"], hashlib.sha512(body).hexdigest())
    # across the end of the first part
    begin, end = 16 * MIB - 5, 16 * MIB + 4
    equal("a range", curl("-H", OLGA, "-r", f"{begin}-{end}", file), body[begin:end + 1])
    equal("all of it", hashlib.sha256(curl("-H", OLGA, file)).digest(), hashlib.sha256(body).digest())
    listed = json.loads(curl(f"{url}/v2/images?tag=demo", "-H", OLGA))
    equal("the list has it", [entry["id"] for entry in listed["images"]], [image["id"]])
    heads = curl("-I", "-H", OLGA, f"{url}/v1/images/{image['id']}").decode()
    equal("v1 spells its headers as its clients look for them", "X-Image-Meta-Is_public: False" in heads, True)
    claims = ("-H", "X-Forwarded-Host: evil.example", "-H", "X-Forwarded-Prefix: /evil", "-H", "Forwarded: host=evil")
    links = re.findall(r'"href": ?"(.*?)/v\d/', curl(*claims, f"{url}/versions").decode())
    equal("links lead to the balancer, whatever a client claims", set(links), {url})
    curl("-X", "DELETE", "-H", OLGA, f"{url}/v2/images/{image['id']}")


def with_openstack(url, work):
    client = ROOT / ".venv/clients/bin/openstack"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(work), "no_proxy": "*"}

    def openstack(*arguments):
        # `--os-auth-type none` of this client sends a token that is none of ours
        caller = ["--os-auth-type", "admin_token", "--os-token", "olga:alpha:member", "--os-endpoint", f"{url}/v2"]
        command = [str(client), *caller, "image", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise Failure(f"openstack image {' '.join(arguments)}: {done.stderr[-500:]}")
        return done.stdout

    sent, received = work / "sent.raw", work / "received.raw"
    sent.write_bytes(os.urandom(3 * MIB + 1))
    openstack("create", "--file", str(sent), "--disk-format", "raw", "--container-format", "bare", "from-the-client")
    listed = json.loads(openstack("list", "-f", "json"))
    equal("openstack image list", [(i["Name"], i["Status"]) for i in listed], [("from-the-client", "active")])
    openstack("save", "--file", str(received), "from-the-client")
    equal("openstack image save", received.read_bytes() == sent.read_bytes(), True)
    openstack("delete", "from-the-client")


def nothing_is_left(stack):
    stack.run("sweep")
    reports = json.loads(stack.run("scrub", OTEL_METRICS_EXPORTER="otlp"))
    equal("bucket and ledger agree", [(r["orphans"], r["missing"], r["stale_uploads"]) for r in reports],
          [([], [], [])])
    pushed = any(path == "/v1/metrics" and b"vitrine.scrub.orphans" in body for path, body in stack.collector.bodies)
    equal("the scrub pushes what it found before it ends", pushed, True)


def tour(stack):
    url = stack.url("balancer")
    with_curl(url)
    with_openstack(url, stack.work)
    for replica in stack.replicas:
        equal(f"{replica} had its share", stack.requests(replica) > 0, True)
    nothing_is_left(stack)
    until("traces of both replicas", lambda: traced(stack) >= len(stack.replicas))
    say("ok  both replicas push their traces")
    for replica in stack.replicas:
        equal(f"{replica} ends well at SIGTERM", stack.stop(replica), 0)


def traced(stack):
    """How many processes have pushed traces; each names itself by an id."""
    ids = set()
    for path, body in list(stack.collector.bodies):
        if path == "/v1/traces":
            ids.update(re.findall(rb"service\.instance\.id.{2,6}?([0-9a-f]{8}-[0-9a-f-]{27})", body, re.S))
    return len(ids)


def main():
    with Stack(os.environ["VITRINE"]) as stack:
        stack.up()
        if "--stay" in sys.argv[1:]:
            say(f"serving on {stack.url('balancer')}; replicas: {', '.join(map(stack.url, stack.replicas))}")
            signal.pause()
        tour(stack)
    say("the compose file works as processes")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"compose-processes: {failure}")
