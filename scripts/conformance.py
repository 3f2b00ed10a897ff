#!/usr/bin/env python3
"""Weighs what one run of a conformance checker said; for conformance.sh.

    conformance.py REPORT KNOWN MUST      one configuration
    conformance.py --answered MODULE LEFT_OUT REPORT...      which assertions no configuration answered

KNOWN are assertions that fail on purpose, MUST those that may not be skipped, LEFT_OUT those that are not asked;
each a list of ids. The first line printed is for the shell: passed, failed, skipped, known deviations. A line for
each failure follows.
"""
import json
import re
import sys


def outcomes(report):
    """The id, outcome and reason of each assertion; the two checkers write different reports."""
    with open(report) as file:
        document = json.load(file)
    checks = document["checks"] if isinstance(document, dict) else document
    return [(c["id"], c.get("result") or c.get("outcome"), c["reason"]) for c in checks]


def weigh(report, known, must):
    results = outcomes(report)
    outcome = {id: what for id, what, _ in results}
    bad = [(id, reason) for id, what, reason in results
           if what not in ("ok", "skip") and id not in known]
    bad += [(id, "holds now: take it off the list of deviations") for id in known if outcome.get(id) == "ok"]
    bad += [(id, "was skipped") for id in must if outcome.get(id) in (None, "skip")]
    print(sum(what == "ok" and id not in known for id, what, _ in results), len(bad),
          sum(what == "skip" for what in outcome.values()), sum(outcome.get(id) == "FAIL" for id in known))
    for id, reason in bad:
        print("  %s %s" % (id, reason))


def answered(module, left_out, reports):
    with open(module) as file:
        asked = [m.upper().replace("_", "-") for m in re.findall(r"^def (v\d_\d{3})\(", file.read(), re.M)]
    given = {id for report in reports for id, what, _ in outcomes(report) if what != "skip"}
    missing = [id for id in asked if id not in given and id not in left_out]
    print(len([id for id in asked if id in given]), len(missing), len([id for id in asked if id in left_out]), 0)
    for id in missing:
        print("  %s was answered by no configuration" % id)


if __name__ == "__main__":
    if sys.argv[1] == "--answered":
        answered(sys.argv[2], set(sys.argv[3].split()), sys.argv[4:])
    else:
        weigh(sys.argv[1], set(sys.argv[2].split()), sys.argv[3].split())
