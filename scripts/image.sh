#!/usr/bin/env bash
# Builds the image of deploy/Dockerfile for all architectures, each with the list of what is in it (SBOM) and the record
# of how it was made (provenance), and pushes it to the registry that its name says.
#
#   IMAGE=registry.example.org/vitrine:0.1.0 scripts/image.sh [OPTION...]     of `docker buildx build`
#
# An option that says where the result goes (--load, --output, -o) takes the place of the push. A builder has to keep
# what is attached to an image: `docker buildx create --use` makes one that does.
#
# Environment: IMAGE, PLATFORMS (default: linux/amd64,linux/arm64), SOURCE (where the code is; for a label).
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

[ -n "${IMAGE:-}" ] || die "IMAGE is not set: name the image with its registry, as in IMAGE=registry.example.org/vitrine:0.1.0"
command -v docker >/dev/null || die "there is no docker on this machine, and nothing else builds the image"
docker buildx version >/dev/null 2>&1 || die "this docker has no buildx, which the SBOM and the provenance come from"

to=(--push)
for option in "$@"; do
  case $option in --push | --load | --output | --output=* | -o | -o?*) to=() ;; esac
done
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD)
# of all that a build reads, with files that no commit has
changes=$(git status --porcelain -- Cargo.toml Cargo.lock src deploy/Dockerfile)
[ -z "$changes" ] || revision+=-changed

exec docker buildx build --file deploy/Dockerfile --platform "${PLATFORMS:-linux/amd64,linux/arm64}" \
  --build-arg VERSION="$version" --build-arg REVISION="$revision" \
  --build-arg CREATED="$(git log -1 --format=%cI)" --build-arg SOURCE="${SOURCE:-}" \
  --sbom=true --provenance=mode=max --tag "$IMAGE" ${to[@]+"${to[@]}"} "$@" .
