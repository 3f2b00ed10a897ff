"""What deny.toml says of licences, names and sources, held against the resolved dependencies, without a network.

Advisories and yanked releases are asked for by `make deny`, which needs both cargo-deny and its database.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

from license_expression import Licensing

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# the service has several hundred
LEAST = 100


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], cwd=ROOT, capture_output=True, check=True, text=True).stdout


def resolved(target):
    """The packages that the service is built and tested with, on one target and with every feature."""
    options = ["--locked", "--all-features"]
    # metadata alone names optional packages too that no feature turns on
    tree = cargo("tree", *options, "--target", target, "--prefix", "none", "--format", "{p}")
    used = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    metadata = json.loads(cargo("metadata", *options, "--format-version", "1", "--filter-platform", target))
    return [package for package in metadata["packages"] if (package["name"], f"v{package['version']}") in used]


def is_allowed(expression, allowed):
    """Whether an SPDX expression can be met with allowed licences alone."""
    if getattr(expression, "operator", "").strip() == "OR":
        return any(is_allowed(part, allowed) for part in expression.args)
    if getattr(expression, "operator", "").strip() == "AND":
        return all(is_allowed(part, allowed) for part in expression.args)
    return str(expression) in allowed


def problems(packages, rules):
    licensing, allowed = Licensing(), set(rules["licenses"]["allow"])
    for package in packages:
        name = f"{package['name']} {package['version']}"
        # an older manifest separates alternatives by a slash
        licence = (package["license"] or "").replace("/", " OR ")
        if not licence or not is_allowed(licensing.parse(licence), allowed):
            yield f"{name}: its licence is not allowed: {licence or 'none is named'}"
        if package["source"] not in (None, REGISTRY):
            yield f"{name}: it comes from {package['source']}"
    for ban in rules["bans"]["deny"]:
        found = sorted({package["version"] for package in packages if package["name"] == ban["name"]})
        if len(found) > (1 if ban.get("deny-multiple-versions") else 0):
            yield f"{ban['name']}: banned, or there more than once: {', '.join(found)}"


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    found, checked = set(), set()
    for target in rules["graph"]["targets"]:
        packages = resolved(target)
        checked.update(package["id"] for package in packages)
        found.update(problems(packages, rules))
        # a tree that is read wrongly leaves nothing to find a problem in
        names = {package["name"] for package in packages}
        if "vitrine" not in names or len(names) < LEAST:
            found.add(f"{target}: only {len(names)} packages were found, {'with' if 'vitrine' in names else 'without'} vitrine itself")
    for problem in sorted(found):
        print(problem, file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{len(checked)} packages: licences, names and sources are as deny.toml says")


main()
