"""What the operators' documents name is there: commands, settings, metrics, files, sections."""

import os
import pathlib
import re
import subprocess
import sys

import yaml

from dashboards import declared
from rules import ROOT, anchors

SECTIONS = "server database stores identity policy limits images import data jobs notifications telemetry".split()


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
    commands = {match for piece in pieces for match in re.findall(r"\bvitrine ((?:config |policy )?[a-z]+)(?![\w'-])", piece)}
    for command in sorted(commands):
        if run(*command.split(), "--help")[0]:
            yield f"there is no `vitrine {command}`"
    keys = {piece.split(" = ")[0] for piece in pieces if re.fullmatch(rf"(?:{'|'.join(SECTIONS)})\.[\w.<>]+(?: = .*)?", piece)}
    for key in sorted(keys):
        variable = "VITRINE__" + key.replace("<id>", "main").replace(".", "__").upper()
        if "unknown key" in run("config", "print", **{variable: "1"})[1]:
            yield f"there is no setting `{key}`"
    known = declared()
    metrics = {name for piece in pieces for name in re.findall(r"\b(?:vitrine|db_client|http_server|http_client)_\w+", piece)}
    for name in sorted(metrics - set(known)):
        if not any(other.startswith(name + "_") for other in known) and not re.fullmatch(r"vitrine_[ab]", name):
            yield f"there is no metric `{name}`"
    yield from links(path, text)
    for file in {file for piece in pieces for file in re.findall(r"\b(?:deploy|helm|scripts)/[\w./-]+\w", piece)}:
        if not (ROOT / file).exists():
            yield f"there is no file {file}"


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
    paths = sorted((ROOT / "docs").glob("*.md"))
    found = [f"{path.name}: {problem}" for path in paths for problem in problems(path)]
    found += installing()
    # what else is in the references, tests of the code hold against it
    others = [ROOT / "README.md", ROOT / "helm/vitrine/README.md", *sorted((ROOT / "docs/reference").glob("*.md"))]
    found += [f"{path.relative_to(ROOT)}: {problem}" for path in others for problem in links(path, path.read_text())]
    summary = f"ok  {len(paths)} documents name nothing that is not there, and links of {len(others)} more lead somewhere"
    print(*(found or [summary]), sep="\n")
    sys.exit(1 if found or not paths else 0)
