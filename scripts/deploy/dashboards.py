"""Dashboards and alerts name nothing that the service does not expose.

Runs the compose file as processes, provokes what can be provoked, lets a Prometheus read the replicas, and puts every
expression to it. A name or a label that no replica shows is looked up among the instruments that
src/telemetry/metrics.rs declares, and that code elsewhere records: those appear with the first event of their kind.
Anything else fails.
"""

import json
import os
import re
import signal
import sys
import urllib.parse

import yaml

import scrubs
from images import RAW, Client
from stack import ROOT, Failure, Stack, fetch, say, until

RULES = ROOT / "helm/vitrine/alerts/vitrine.rules.yaml"
DASHBOARDS = ROOT / "helm/vitrine/dashboards"
# These judge how fast it is, which says nothing about it on a machine that has other work.
OF_SPEED = {"alert VitrineMetadataSlow", "alert VitrineDatabasePoolSlow"}
# What Prometheus adds to every series, or has of its own; the chart adds which component of which release it is.
SCRAPE = {"up": set()}
SCRAPE_LABELS = {"job", "instance", "namespace", "app_kubernetes_io_component", "app_kubernetes_io_instance"}
# What a reader of dashboards chooses by, as the chart names it. What a scrub pushes has the job that a collector gives it.
CHOICES = {"job": "$job", "namespace": "$namespace", "app_kubernetes_io_instance": "$release"}
PUSHED = {"vitrine_scrub_orphans": ('job=~"(.*/)?($job)"', 'job=~"(($namespace)/($release)/)?[^/]*"')}
WORDS = set("""and or unless by without on ignoring group_left group_right bool offset
    sum min max avg count topk bottomk rate irate increase histogram_quantile max_over_time absent vector time""".split())


# ---- what is declared ----

def declared():
    """Names in the form of Prometheus, each with the labels of the functions that record it."""
    text = (ROOT / "src/telemetry/metrics.rs").read_text().split("#[cfg(test)]")[0]
    bodies = functions(text)
    fields, found = {}, {}
    kinds = {"seconds": ("_seconds", True), "body": ("_bytes", True), "counter": ("_total", False),
             "level": ("", False), "gauge": ("", False), "time": ("_seconds", False)}
    for field, kind, name in re.findall(r'(\w+): (\w+)\(\s*"([\w.]+)"', text):
        if kind in kinds:
            fields[field] = (name.replace(".", "_") + kinds[kind][0], kinds[kind][1])
    for name, body in bodies.items():
        if not is_used(name):
            continue
        labels = labels_of(body, bodies)
        for field in re.findall(r"instruments\s*\.(\w+)", body):
            if field in fields:
                add(found, *fields[field], labels)
        for kind, instrument in re.findall(r'u64_observable_(gauge|counter)\("([\w.]+)"\)', body):
            add(found, instrument.replace(".", "_") + ("_total" if kind == "counter" else ""), False, labels)
        for instrument in re.findall(r'observe_total\(\s*"([\w.]+)"', body):
            add(found, instrument.replace(".", "_") + "_total", False, labels)
    return found


def functions(text):
    """Functions of the file, by name, with what they consist of."""
    parts = re.split(r"^ *(?:pub(?:\(super\))? )?fn (\w+)", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def is_used(name):
    """Whether code elsewhere calls the function: an instrument that nobody records is never seen."""
    call = re.compile(rf"\.{name}\(")
    for path in (ROOT / "src").rglob("*.rs"):
        if "metrics" not in path.name and "tests" not in str(path.relative_to(ROOT)) and call.search(path.read_text()):
            return True
    return False


def labels_of(body, bodies, seen=frozenset()):
    """Labels that a function sets, by itself or through others of the file."""
    found = set(re.findall(r'(?:word|label|KeyValue::new)\("([\w.]+)"', body))
    if ", &state(" in body:
        found.add("db.client.connection.state")
    found = {label.replace(".", "_") for label in found}
    for other in set(re.findall(r"\b(\w+)\(", body)) & set(bodies) - seen:
        found |= labels_of(bodies[other], bodies, seen | {other})
    return found


def add(found, name, is_histogram, labels):
    for suffix in ("_bucket", "_sum", "_count") if is_histogram else ("",):
        found.setdefault(name + suffix, set()).update(labels | ({"le"} if suffix == "_bucket" else set()))


# ---- what is shown ----

def shown(text):
    """Names of an exposition, each with its labels."""
    found = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.M):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def provoke(stack):
    """What makes instruments appear: uploads, downloads, refusals, an import, events."""
    for replica in stack.replicas:
        client = Client(stack.url(replica))
        body = os.urandom(17 << 20)
        image = client.create(name="seen")
        client.upload(image, body, chunk=1 << 20)
        client.download(image)
        client.download(image, (1, 2))
        client.ask("GET", "/v2/nothing", wanted=(404,))
        # a member may not publish
        patch = [{"op": "replace", "path": "/visibility", "value": "public"}]
        media_type = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        client.ask("PATCH", f"/v2/images/{image}", json.dumps(patch), media_type, wanted=(403,))
        importing = client.create(name="not from there")
        method = {"method": {"name": "web-download", "uri": "http://169.254.169.254/latest"}}
        client.ask("POST", f"/v2/images/{importing}/import", json.dumps(method), {"Content-Type": "application/json"},
                   wanted=(400, 403))
        client.ask("PUT", f"/v2/images/{importing}/stage", b"staged", {"Content-Type": "application/octet-stream"},
                   wanted=(204,))
        client.ask("POST", f"/v2/images/{importing}/import", json.dumps({"method": {"name": "glance-direct"}}),
                   {"Content-Type": "application/json"}, wanted=(202,))
        until("the import", lambda: client.show(importing)["status"] == "active")
        v1 = {f"x-image-meta-{key}": value for key, value in RAW.items()}
        client.ask("POST", "/v1/images", b"v1", v1 | {"Content-Type": "application/octet-stream"}, wanted=(201,))
        client.delete(image)
        until("gauges of the background work", lambda: "vitrine_tasks{" in stack.metrics(replica))
    until("events at the webhook", lambda: any(path == "/events" for path, _ in list(stack.collector.bodies)))


# ---- what is asked for ----

def expressions():
    """Every expression, with where it comes from."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]
    files = sorted(DASHBOARDS.glob("*.json"))
    if not files:
        raise Failure(f"no dashboards in {DASHBOARDS}")
    for file in files:
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.name}: {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            values = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable.get("definition", ""))
            if not values and variable["type"] == "query":
                raise Failure(f"{file.name}: variable {variable['name']} is not understood")
            if values:
                yield f"{file.name}: variable {variable['name']}", f'{values[1]}{{{values[2]}=""}}'


def plain(expression):
    """The expression with values for the variables of dashboards."""
    expression = expression.replace("$__rate_interval", "1m").replace("$job", ".*vitrine.*")
    return expression.replace("$namespace", ".*").replace("$release", ".*")


def unchosen(expression):
    """Selectors of a dashboard that show more than what its reader has chosen."""
    for name, body in re.findall(r"(\w+)\{((?:[^{}\"]|\"[^\"]*\")*)\}", expression):
        for wanted in PUSHED.get(name) or [f'{label}=~"{choice}"' for label, choice in CHOICES.items()]:
            if wanted not in body:
                yield f"{name} does not go by {wanted}"


def names(expression):
    """Metrics of an expression with the labels asked of them, then the labels that it groups by."""
    selectors = re.findall(r"(\w+)\{((?:[^{}\"]|\"[^\"]*\")*)\}", expression)
    asked = [(name, set(re.findall(r'(\w+) ?(?:=~|!~|!=|=)', re.sub(r'"[^"]*"', '""', body)))) for name, body in selectors]
    rest = re.sub(r"\w+\{(?:[^{}\"]|\"[^\"]*\")*\}", "", expression)
    grouping = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", rest)
    rest = re.sub(r"\b(?:by|without|on|ignoring) \([^)]*\)|\[[^]]*\]|\"[^\"]*\"", "", rest)
    bare = {word for word in re.findall(r"[A-Za-z_]\w*", rest)} - WORDS
    if bare:
        raise Failure(f"names without a selector: {', '.join(sorted(bare))} in {expression}")
    unbound = {name for name, labels in asked if "job" not in labels} if "rate(" in expression else set()
    if unbound:
        raise Failure(f"{', '.join(sorted(unbound))} without a job: {expression}")
    return asked, {label.strip() for labels in grouping for label in labels.split(",")}


def judge(where, expression, seen, known):
    """Problems of one expression; names known from their declaration alone go to `late`."""
    asked, grouping = names(plain(expression))
    available = set(SCRAPE_LABELS)
    for name, labels in asked:
        in_view, by_declaration = seen.get(name), known.get(name)
        if in_view is None and by_declaration is None and name not in SCRAPE:
            yield f"{where}: no replica shows {name}, and no code records it"
            continue
        if in_view is None and name not in SCRAPE:
            late.add(name)
        has = (in_view or set()) | (by_declaration or set()) | SCRAPE_LABELS
        available |= has
        for label in labels - has:
            yield f"{where}: {name} has no label {label}"
    for label in grouping - available:
        yield f"{where}: nothing in it has a label {label}"


late = set()


# ---- what Prometheus makes of it ----

def prometheus(stack):
    """A Prometheus with the shipped settings, but for paths, addresses and a quicker pace; gives its address."""
    text = (ROOT / "deploy/prometheus.yml").read_text()
    for replica in stack.replicas:
        text = text.replace(f"{replica}:", f"{stack.hosts[replica]}:")
    text = text.replace("otel-collector:", f"{stack.hosts['otel-collector']}:")
    text = text.replace("/etc/prometheus/rules", str(RULES.parent)).replace("15s", "1s")
    file = stack.work / "prometheus.yml"
    file.write_text(text)
    address = f"{stack.net}.99:9090"
    stack.start("prometheus", ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={stack.work}/prometheus",
                               f"--web.listen-address={address}"])
    until("Prometheus", lambda: fetch(f"http://{address}/-/ready"))
    return f"http://{address}/api/v1"


def query(api, expression):
    answer = fetch(f"{api}/query?" + urllib.parse.urlencode({"query": plain(expression)}))
    if answer is None:
        raise Failure(f"Prometheus refuses {expression}")
    return json.loads(answer)["data"]["result"]


def may_be_empty(expression):
    """Whether a healthy installation has nothing to show: failures, and what has not happened yet."""
    used = {name for name, _ in names(plain(expression))[0]}
    return bool(used & late) or 'error_type!=""' in expression or '"5.."' in expression


def look(stack, api):
    """Judges every expression against what replicas show and Prometheus finds."""
    seen = {}
    for replica in stack.replicas:
        for name, labels in shown(stack.metrics(replica)).items():
            seen.setdefault(name, set()).update(labels)
    known = declared()
    wild = {name for name in seen if name not in known and name != "target_info"}
    problems = [f"a replica shows {name}, which is not declared" for name in sorted(wild)]
    count = 0
    for where, expression in expressions():
        count += 1
        problems += judge(where, expression, seen, known)
        if not where.startswith("alert ") and "variable" not in where:
            problems += [f"{where}: {problem}" for problem in unchosen(expression)]
        found = query(api, expression)
        if where.startswith("alert "):
            if found and where not in OF_SPEED:
                problems.append(f"{where}: fires at a healthy installation: {found}")
        elif not found and "variable" not in where and not may_be_empty(expression):
            problems.append(f"{where}: Prometheus finds nothing")
    if problems:
        raise Failure("\n".join(problems))
    say(f"ok  {count} expressions; {len(seen)} names shown, {len(known)} declared and recorded")
    say(f"ok  declared and recorded, but nothing of their kind happened: {', '.join(sorted(late))}")


def ready(stack):
    return [fetch(stack.url(replica, 9293) + "/readyz") is not None for replica in stack.replicas]


def outages(stack, api):
    """The alert about readiness says what /readyz says, in an outage of the store and one of the database."""
    expression = next(e for where, e in expressions() if where == "alert VitrineNoReadyReplica")
    store = stack.processes["minio"]
    store.send_signal(signal.SIGSTOP)
    until("replicas that are not ready", lambda: not any(ready(stack)))
    until("the alert about an outage of the store", lambda: query(api, expression))
    store.send_signal(signal.SIGCONT)
    until("replicas that are ready again", lambda: all(ready(stack)))
    until("the end of that alert", lambda: not query(api, expression))
    stack.stop("postgres", signal.SIGINT)
    until("the alert about an outage of the database", lambda: query(api, expression))
    say("ok  VitrineNoReadyReplica fires without the store, ends with its return, and fires without the database")


def main():
    with Stack(os.environ["VITRINE"]) as stack:
        # sinks of events make their instruments appear, and the webhook those of requests to other servers
        stack.extra_environment = {
            "VITRINE__NOTIFICATIONS__LOG": "true", "VITRINE__NOTIFICATIONS__WEBHOOK__SECRET": "of no worth",
            "VITRINE__NOTIFICATIONS__WEBHOOK__URL": stack.url("otel-collector", 4318) + "/events"}
        for replica in stack.replicas:
            stack.bring_up(replica)
        until("replicas that are ready", lambda: all(ready(stack)))
        scrubs.show(stack)
        api = prometheus(stack)
        provoke(stack)
        until("Prometheus to read both", lambda: len(query(api, 'up{job="vitrine"} == 1')) == len(stack.replicas))
        begun = float(query(api, "vector(time())")[0]["value"][1])
        until("two more rounds", lambda: float(query(api, "vector(time())")[0]["value"][1]) > begun + 4)
        look(stack, api)
        panel = next(e for where, e in expressions() if "vitrine_scrub_orphans" in e and not where.startswith("alert "))
        scrubs.tell_releases_apart(stack, lambda expression: query(api, expression), panel)
        outages(stack, api)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"check-dashboards: {failure}")
