"""Prints the alerts as the chart gives them to Prometheus for the release `rel` in the namespace `images`."""

import yaml

import chart

values = chart.changed(chart.cases()["minimal"], ("metrics",), {kind: {"enabled": True} for kind in ("serviceMonitor", "prometheusRule")})
rules = [document for _, document in chart.manifests(values) if document["kind"] == "PrometheusRule"]
print(yaml.safe_dump({"groups": rules[0]["spec"]["groups"]}, sort_keys=False))
