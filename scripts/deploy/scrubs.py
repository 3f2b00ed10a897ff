"""What scrubs push tells releases apart that share a namespace, a collector and a Prometheus.

Scrubs of two releases run with the variables of telemetry that the chart gives their pods. A listener stands for the
collector: it shows what it gets as OpenTelemetry's rules for Prometheus have it, `service.namespace` and `service.name`
being the job. The alert of each release and the panel of the dashboard then find its own scrub alone.
"""

import http.server
import subprocess
import threading

import chart
from stack import Failure, say, until

ALERT = "VitrineScrubOrphans"


# ---- what is pushed ----

def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def fields(data):
    """Fields of a message of Protocol Buffers: number and content."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            length, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + length], at + length
        yield tag >> 3, value


def all_of(number, data):
    return [value for other, value in fields(data) if other == number]


def text_attributes(attributes):
    """Attributes whose values are texts."""
    found = {}
    for attribute in attributes:
        [key], values = all_of(1, attribute), all_of(2, attribute)
        for text in all_of(1, values[0]) if values else []:
            found[key.decode()] = text.decode()
    return found


def gauges(body):
    """Name, resource, attributes and value of every point of a gauge of integers that a request carries."""
    for resource_metrics in all_of(1, body):
        resource = text_attributes(a for r in all_of(1, resource_metrics) for a in all_of(1, r))
        for metric in (m for scope in all_of(2, resource_metrics) for m in all_of(2, scope)):
            for point in (p for gauge in all_of(5, metric) for p in all_of(1, gauge)):
                value = int.from_bytes(all_of(6, point)[0], "little") if all_of(6, point) else None
                yield all_of(1, metric)[0].decode(), resource, text_attributes(all_of(7, point)), value


def exposition(bodies):
    lines = []
    for name, resource, attributes, value in (gauge for body in bodies for gauge in gauges(body)):
        job = "/".join(filter(None, (resource.get("service.namespace"), resource["service.name"])))
        labels = attributes | {"job": job, "instance": resource["service.instance.id"]}
        pairs = ",".join(f'{key.replace(".", "_")}="{text}"' for key, text in labels.items())
        lines.append(f"{name.replace('.', '_')}{{{pairs}}} {value}\n")
    return "".join(lines)


def show(stack):
    """What the collector got, at the address at which the shipped Prometheus reads a collector."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = exposition(body for path, body in list(stack.collector.bodies) if path == "/v1/metrics").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((stack.hosts["otel-collector"], 8889), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()


# ---- what is made of it ----

def rendered(release):
    """Variables of telemetry of the scrub's pod, and the expression of the alert, of a release."""
    values = chart.changed(chart.cases()["minimal"], ("scrub",), {"schedule": "17 3 * * 0"})
    values = chart.changed(values, ("otlp",), {"endpoint": "http://otel-collector:4318"})
    values = chart.changed(values, ("metrics",), {"prometheusRule": {"enabled": True}, "serviceMonitor": {"enabled": True}})
    objects = [document for _, document in chart.manifests(values, release)]
    [job] = [document for document in objects if document["kind"] == "CronJob"]
    [container] = chart.containers(chart.pod_of(job))
    given = {v["name"]: v.get("value", "of-the-pod") for v in container["env"]}
    pod = {name: value for name, value in given.items() if "$(" not in value}
    for name, value in given.items():
        for other, text in pod.items():
            value = value.replace(f"$({other})", text)
        given[name] = value
    [rules] = [document for document in objects if document["kind"] == "PrometheusRule"]
    [expression] = [r["expr"] for g in rules["spec"]["groups"] for r in g["rules"] if r["alert"] == ALERT]
    return {name: value for name, value in given.items() if name.startswith("OTEL_")}, expression


def scrub(stack, release, **more):
    """Scrubs in the name of a release; gives the alert of that release and the exit status."""
    variables, expression = rendered(release)
    variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = stack.own("vitrine-1", variables["OTEL_EXPORTER_OTLP_ENDPOINT"])
    kept = {name: value for name, value in stack.environment("vitrine-1").items() if not name.startswith("OTEL_")}
    done = subprocess.run([stack.vitrine, "scrub"], env=kept | variables | more, cwd="/", text=True, capture_output=True,
                          timeout=120, check=False)
    if done.returncode not in (0, 1):
        raise Failure(f"scrub of {release}: {done.returncode}\n{done.stdout}{done.stderr}")
    return expression, done.returncode


def tell_releases_apart(stack, query, panel):
    """`query` asks Prometheus. `panel` is the dashboard's expression, with its variables."""
    # to a ledger that is empty, all objects of the bucket are astray
    url = stack.environment("vitrine-1")["DATABASE_URL"]
    empty = url.replace("/vitrine?", "/empty?")
    made = subprocess.run(stack.program(["createdb", f"--maintenance-db={url}", "empty"]), cwd="/", env={}, text=True,
                          capture_output=True, check=False)
    if made.returncode or empty == url:
        raise Failure(f"no second database: {made.stderr}")
    stack.run("migrate", DATABASE_URL=empty)
    clean, status = scrub(stack, "clean")
    astray, other = scrub(stack, "astray", DATABASE_URL=empty)
    if (status, other) != (0, 1):
        raise Failure(f"the scrubs ended with {status} and {other}, where 0 and 1 were due")
    found = until("the alert of the release whose bucket differs", lambda: query(astray))
    jobs = {series["metric"].get("job") for series in found}
    if jobs != {f"{chart.NAMESPACE}/astray/vitrine"}:
        raise Failure(f"the alert of the release astray is about {jobs}")
    until("what the other scrub pushed", lambda: query(clean.removesuffix("> 0")))
    if query(clean):
        raise Failure(f"the alert of the release clean is about {query(clean)}")
    for release in ("clean", "astray", "nobody"):
        chosen = panel.replace("$job", "vitrine").replace("$namespace", chart.NAMESPACE).replace("$release", release)
        shown = {series["metric"].get("job") for series in query(chosen)}
        if shown != ({f"{chart.NAMESPACE}/{release}/vitrine"} if release != "nobody" else set()):
            raise Failure(f"the panel for the release {release} shows {shown}")
    say("ok  scrubs of two releases of one namespace: alert and panel of each know its own alone")
