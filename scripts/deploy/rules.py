"""What promtool does not ask of the alerts: a case for and one against each, and words that help."""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "helm/vitrine/alerts/vitrine.rules.yaml"
TESTS = ROOT / "deploy/alerts/vitrine.rules.test.yaml"
# what tells releases apart that one Prometheus watches
APART = {"namespace", "job", "app_kubernetes_io_instance"}


def anchors(path):
    """Anchors of the headings of a document, as they are made of their text."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problems():
    cases = {}
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            cases.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    alerts = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    for rule in alerts:
        name, notes = rule["alert"], rule.get("annotations", {})
        if cases.pop(name, set()) != {True, False}:
            yield f"{name}: the tests have no case in which it fires, or none in which it does not"
        if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
            yield f"{name}: its severity is neither critical nor warning"
        for key in ("summary", "description", "runbook"):
            if not notes.get(key):
                yield f"{name}: no {key}"
        for labels in re.findall(r"\bby \(([^)]*)\)", rule["expr"]):
            if not APART <= set(labels.split(", ")):
                yield f"{name}: takes several releases for one, as it groups by {labels}"
        path, _, anchor = notes.get("runbook", "").partition("#")
        if not (ROOT / path).is_file() or anchor not in anchors(ROOT / path):
            yield f"{name}: there is no section {notes.get('runbook')}"
    for name in cases:
        yield f"{name}: tested, but there is no such alert"


if __name__ == "__main__":
    found = list(problems())
    print(*found, sep="\n")
    sys.exit(1 if found else 0)
