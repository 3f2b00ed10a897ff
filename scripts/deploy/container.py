"""What hadolint does not ask of deploy/Dockerfile."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def instructions(text):
    """Pairs of keyword and rest, continued lines joined, comments gone."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M)
    text = re.sub(r"\\\n", " ", text)
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def output(*command, cwd=ROOT):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


def problems(text):
    all_of_it = instructions(text)
    starts = [n for n, (keyword, _) in enumerate(all_of_it) if keyword == "FROM"]
    yield from bases(all_of_it)
    yield from last_stage(all_of_it[starts[-1]:])
    yield from context(all_of_it)
    yield from dependency_layer(text)
    builds = re.findall(r"cargo auditable build [^&\n]*", text)
    for build in builds:
        for option in ("--locked", "--no-default-features", "--release"):
            if option not in build:
                yield f"a build without {option}: {build}"
    status, tree = output("cargo", "tree", "--locked", "--no-default-features", "--edges", "normal", "--prefix", "none")
    if status or re.search(r"^s3s ", tree, re.M) or not re.search(r"^axum ", tree, re.M):
        yield f"the image would hold the servers of `vitrine dev`, or its dependencies cannot be told: {tree[-300:]}"


def bases(all_of_it):
    values = dict(rest.split("=", 1) for keyword, rest in all_of_it if keyword == "ARG" and "=" in rest)
    stages = set()
    for keyword, rest in all_of_it:
        if keyword != "FROM":
            continue
        words = [word for word in rest.split() if not word.startswith("--")]
        image = re.sub(r"\$\{(\w+)\}", lambda m: values.get(m[1], ""), words[0])
        if image not in stages and not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image):
            yield f"{image} is not pinned by tag and digest"
        stages.update(words[2:3])


def last_stage(stage):
    found = dict(stage)
    if "RUN" in found:
        yield "the last stage runs something: its base has no shell"
    user = found.get("USER", "")
    if not re.fullmatch(r"\d{5,}:\d{5,}", user):
        yield f"USER {user} is not a number of 10000 or more"
    health = re.search(r"CMD (\[.*\])", found.get("HEALTHCHECK", ""))
    for name, value in (("ENTRYPOINT", found.get("ENTRYPOINT", "")), ("CMD", found.get("CMD", "")),
                        ("HEALTHCHECK", health[1] if health else "")):
        if not value.startswith("["):
            yield f"{name} needs a shell"
    program, *command = re.findall(r'"([^"]*)"', health[1] if health else "")
    if f'["{program}"]' != found.get("ENTRYPOINT") or output(os.environ["VITRINE"], *command, "--help")[0]:
        yield f"the program has no subcommand {' '.join(command)} for HEALTHCHECK"
    for label in ("title", "description", "licenses", "version", "revision", "created", "source"):
        if f"org.opencontainers.image.{label}=" not in found.get("LABEL", ""):
            yield f"no label {label}"


def context(all_of_it):
    """What is copied must be there and not be ignored, and nothing else may get in."""
    ignore = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    if ignore[0] != "*":
        yield ".dockerignore does not begin by ignoring everything"
    copied = {word for keyword, rest in all_of_it if keyword == "COPY" and "--from" not in rest
              for word in rest.split()[:-1]}
    for path in copied ^ let_in:
        yield f"{path}: copied and ignored, or let in and not copied"
    for path in copied:
        if not (ROOT / path).exists():
            yield f"{path}: copied, but not there"


def dependency_layer(text):
    """The empty targets must be those of the package, or the layer is built another way than what comes after it."""
    commands = re.search(r"(mkdir -p src .*?touch src/lib\.rs)", text, re.S)
    if not commands:
        yield "the layer of dependencies is not where it was"
        return
    with tempfile.TemporaryDirectory() as place:
        for name in ("Cargo.toml", "Cargo.lock"):
            (pathlib.Path(place) / name).write_bytes((ROOT / name).read_bytes())
        status, said = output("bash", "-euc", commands[1].replace("\\\n", " "), cwd=place)
        if not status:
            status, said = output("cargo", "metadata", "--locked", "--no-deps", "--format-version=1", cwd=place)
        if status:
            yield f"the layer of dependencies is no package: {said[-500:]}"
            return
        there = {target["name"] for package in json.loads(said)["packages"] for target in package["targets"]}
        status, said = output("cargo", "metadata", "--locked", "--no-deps", "--format-version=1")
        wanted = {target["name"] for package in json.loads(said)["packages"] for target in package["targets"]
                  if "test" not in target["kind"]}
        if there != wanted:
            yield f"the layer of dependencies has {sorted(there)}, while the manifest names {sorted(wanted)}"


# in the place of git: one commit, and changes where a file lies beside it
GIT = """#!/bin/bash
here=${0%/*}
case "$*" in
  "rev-parse HEAD") echo REVISION ;;
  "log -1 --format=%cI") echo CREATED ;;
  "status --porcelain -- "*) printf '%s\\n' "${@:4}" >"$here/asked"; [ ! -e "$here/changes" ] || echo "?? src/new.sql" ;;
  *) echo "not expected: git $*" >&2; exit 1 ;;
esac
"""
REVISION, CREATED = "0123456789abcdef0123456789abcdef01234567", "2026-01-02T03:04:05+00:00"


def recipe(text):
    """What `make image` asks of docker. In the place of docker and git are scripts: one that writes down its arguments, and
    one that knows a commit, as these files may lie where no repository is, or somebody else's."""
    def make(*said, path, **environment):
        command = ["make", "--no-print-directory", "image", *said]
        done = subprocess.run(command, cwd=ROOT, env={"PATH": path, **environment}, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    image = "IMAGE=registry.example.org/vitrine:1"
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        for tool in ("bash", "make", "sed", "head", "basename", "dirname"):
            (place / tool).symlink_to(shutil.which(tool))
        docker, git = place / "docker", place / "git"
        git.write_text(GIT.replace("REVISION", REVISION).replace("CREATED", CREATED))
        git.chmod(0o755)
        refused = [("without docker", [image], "no docker"), ("without a name", [], "IMAGE is not set")]
        for case, said, reason in refused:
            status, _, errors = make(*said, path=str(place))
            if status == 0 or reason not in errors:
                yield f"make image {case}: {status} {errors}"
        docker.write_text('#!/bin/bash\n[ "$1 $2" != "buildx version" ] || exit 1\n')
        docker.chmod(0o755)
        status, _, errors = make(image, path=str(place))
        if status == 0 or "has no buildx" not in errors:
            yield f"make image without buildx: {status} {errors}"
        docker.write_text('#!/bin/bash\n[ "$1 $2" = "buildx version" ] || printf "%s\\n" "$@"\n')
        status, said, errors = make(image, path=str(place))
        asked = said.splitlines()
        wanted = {"buildx", "build", "deploy/Dockerfile", "linux/amd64,linux/arm64", "--sbom=true", "--provenance=mode=max",
                  "registry.example.org/vitrine:1", "--push"}
        if status or not wanted <= set(asked):
            yield f"make image asks docker for {asked}, without {wanted - set(asked)}; {errors}"
        arguments = dict(word.split("=", 1) for word in asked if re.fullmatch(r"[A-Z]+=.*", word))
        for argument in arguments.keys() - set(re.findall(r"^ARG (\w+)", text, re.M)):
            yield f"make image gives {argument}, which deploy/Dockerfile does not take"
        manifest = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        labels = {"VERSION": manifest, "REVISION": REVISION, "CREATED": CREATED}
        if not labels.items() <= arguments.items():
            yield f"make image labels it {arguments}"
        read = {word for keyword, rest in instructions(text) if keyword == "COPY" and "--from" not in rest
                for word in rest.split()[:-1]} | {"deploy/Dockerfile"}
        looked = set((place / "asked").read_text().splitlines()) if (place / "asked").exists() else set()
        if looked != read:
            yield f"make image looks for changes in {sorted(looked)}, while a build reads {sorted(read)}"
        (place / "changes").touch()
        _, said, _ = make(image, path=str(place))
        if f"REVISION={REVISION}-changed" not in said.splitlines():
            yield f"make image does not say that files are changed: {said}"
        _, said, _ = make(image, "ARGS=--output type=oci,dest=image.tar", path=str(place))
        if "--push" in said.splitlines():
            yield "make image pushes what is to go elsewhere"


if __name__ == "__main__":
    text = (ROOT / "deploy/Dockerfile").read_text()
    found = [*problems(text), *recipe(text)]
    print(*(found or ["ok  the image is as it should be"]), sep="\n")
    sys.exit(1 if found else 0)
