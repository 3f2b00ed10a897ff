"""What the operators' documents name is there: commands, settings, values, metrics, targets, services, files, sections."""

import os
import pathlib
import re
import subprocess
import sys

import yaml

import values_file
from dashboards import declared
from rules import ROOT, anchors

SECTIONS = "server database stores identity policy limits images import data jobs notifications telemetry".split()
# what reads like settings or values: routing keys at a broker, a field of the log, an attribute of OpenTelemetry
ELSEWHERE = {"notifications.info", "notifications.error", "server.address", "service.namespace"}
README, CHART = ROOT / "README.md", ROOT / "helm/vitrine/README.md"


def code(text):
    """Everything that is set as code."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.S)
    return blocks + re.findall(r"(?<!`)(`{1,2})(?!`) ?(.+?) ?\1(?!`)", re.sub(r"```.*?```", "", text, flags=re.S))


def run(*arguments, **environment):
    done = subprocess.run([os.environ["VITRINE"], *arguments], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def problems(path):
    text = path.read_text()
    pieces = [piece if isinstance(piece, str) else piece[1] for piece in code(text)]
    commands = {match for piece in pieces for match in re.findall(r"\bvitrine ((?:config |policy |metadefs )?[a-z]+)(?![\w'-])", piece)}
    for command in sorted(commands):
        if run(*command.split(), "--help")[0]:
            yield f"there is no `vitrine {command}`"
    # `config.` is where the values of the chart have them
    keys = {re.split(" = |: ", piece.removeprefix("config."))[0] for piece in pieces
            if re.fullmatch(rf"(?:config\.)?(?:{'|'.join(SECTIONS)})\.[\w.<>]+(?:(?: =|:) .*)?", piece)}
    values = {".".join(entry.path) for entry in values_file.entries()}
    for key in sorted(keys - ELSEWHERE - (values if path == CHART else set())):
        variable = "VITRINE__" + key.replace("<id>", "main").replace(".", "__").upper()
        if "unknown key" in run("config", "print", **{variable: "1"})[1]:
            yield f"there is no setting `{key}`"
    if path == CHART:
        free = {".".join(entry.path) for entry in values_file.entries() if "a free map" in entry.comment}
        tops = {value.split(".")[0] for value in values} - {"config"}
        named = {re.split(": |=", piece)[0] for piece in pieces if re.fullmatch(rf"(?:{'|'.join(tops)})\.[\w.]+(?:(?:: |=).*)?", piece)}
        for value in sorted(named - ELSEWHERE - values):
            if not any(value.startswith(f"{other}.") for other in free):
                yield f"there is no value `{value}`"
    yield from told_to_run(pieces)
    known = declared()
    metrics = {name for piece in pieces for name in re.findall(r"\b(?:vitrine|db_client|http_server|http_client)_\w+", piece)}
    for name in sorted(metrics - set(known)):
        if not any(other.startswith(name + "_") for other in known) and not re.fullmatch(r"vitrine_[ab]", name):
            yield f"there is no metric `{name}`"
    yield from links(path, text)
    for file in {file for piece in pieces for file in re.findall(r"\b(?:deploy|helm|scripts)/[\w./-]+\w", piece)}:
        if not (ROOT / file).exists():
            yield f"there is no file {file}"


def told_to_run(pieces):
    """Targets of make and services of the compose file, in lines that are to be typed."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
    lines = [line.removeprefix("$ ").split("  #")[0] for piece in pieces for line in piece.splitlines()]
    for line in lines:
        words = line.split()
        if words[:1] == ["make"] and len(words) > 1 and words[1] not in targets:
            yield f"there is no `make {words[1]}`"
        if words[:2] == ["docker", "compose"]:
            names = [word for word in words[3:] if not word.startswith("-")]
            if words[2:3] and words[2] in ("run", "exec"):
                names = names[:1]
            if words[2:3] and words[2].isalpha():
                yield from (f"there is no service {name} to `{line}`" for name in names if name not in services)


def figures():
    """What was measured is told in capacity.md, and the README says nothing else of it."""
    told = re.search(r"^- `make bench` measures.*?(?=^- |^$)", README.read_text(), re.M | re.S)
    if not told:
        yield "README.md: where are the figures of `make bench`?"
        return
    number = r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?"
    for figure in sorted(set(re.findall(number, told[0])) - set(re.findall(number, (ROOT / "docs/capacity.md").read_text()))):
        yield f"README.md: {figure} is no figure of docs/capacity.md"


def links(path, text):
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        other = (path.parent / file) if file else path
        if not target.startswith("http") and (not other.exists() or (anchor and anchor not in anchors(other))):
            yield f"a link leads nowhere: {target}"


def installing():
    """The document on installing fits what is shipped: the role of the account, and a unit that may read its secrets."""
    text = (ROOT / "docs/install.md").read_text()
    roles = re.findall(r"^openstack role add .* (\S+)$", text, re.M)
    wanted = yaml.safe_load((ROOT / "helm/vitrine/values.yaml").read_text())["keystoneBootstrap"]["roles"]
    if roles != wanted:
        yield f"install.md: gives the account the roles {roles}, the chart {wanted}"
    unit = dict(re.findall(r"^(\w+)=(.*)$", re.search(r"```ini\n(.*?)```", text, re.S)[1], re.M))
    account = re.search(r"^useradd .* (\S+)$", text, re.M)
    if "DynamicUser" in unit or not account or unit.get("User") != account[1] or unit.get("Group") != account[1]:
        yield "install.md: the unit does not run under the account that the document makes"
    places = set(re.findall(r"^install -d -m 0750 -o root -g vitrine (\S+)$", text, re.M))
    example = (ROOT / "deploy/config.example.toml").read_text()
    named = {str(pathlib.Path(file).parent) for file in re.findall(r'^\w+_file = "(.+)"', example, re.M)}
    if named != places:
        yield f"install.md: the account may read {places}, while the example keeps its secrets in {named}"
    drain = int(re.search(r'^drain_timeout = "(\d+)s"', example, re.M)[1])
    if int(unit["TimeoutStopSec"]) < drain + 45:
        yield f"install.md: the unit is killed after {unit['TimeoutStopSec']} s, within a drain of {drain} s"


if __name__ == "__main__":
    paths = [README, CHART, *sorted((ROOT / "docs").glob("*.md"))]
    found = [f"{path.relative_to(ROOT)}: {problem}" for path in paths for problem in problems(path)]
    found += [*installing(), *figures()]
    # what else is in the references, tests of the code hold against it
    others = sorted((ROOT / "docs/reference").glob("*.md"))
    found += [f"{path.relative_to(ROOT)}: {problem}" for path in others for problem in links(path, path.read_text())]
    summary = f"ok  {len(paths)} documents name nothing that is not there, and links of {len(others)} more lead somewhere"
    print(*(found or [summary]), sep="\n")
    sys.exit(1 if found or not paths else 0)
