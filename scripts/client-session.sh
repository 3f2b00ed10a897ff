#!/usr/bin/env bash
# A session of the stock clients, python-glanceclient and curl, with two replicas behind one address: what one has
# taken must be known to the other. Ends at the first thing that is not as it should be.
#
# Environment: VITRINE (a binary; default: the debug build), KEEP_LOGS (a directory for the logs of a failed run).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

project=session
token=olga:$project:member
stranger=otto:elsewhere:member
checks=0

# is WHAT GOT EXPECTED
is() {
  [ "$2" = "$3" ] || die "$1: got '$2', expected '$3'"
  checks=$((checks + 1))
  printf 'ok   %s\n' "$1"
}

# glance ADDRESS TOKEN ARGUMENT... : the client on a terminal of its own, without which it takes standard input for
# image data; what it prints goes to $work/said
glance() {
  local line
  printf -v line '%q ' .venv/client/bin/glance --os-image-api-version 1 --os-image-url "$1" --os-auth-token "$2" "${@:3}"
  SHELL=/bin/bash script --quiet --return --command "$line" /dev/null </dev/null 2>&1 | tr -d '\r' >"$work/said"
}

# said ARGUMENT... : a command of the owner that must succeed
said() {
  glance "$front" "$token" "$@" || { cat "$work/said" >&2; die "glance $1 failed"; }
}

# refused WORDS TOKEN ARGUMENT... : a command that must end with words that match WORDS; image-delete says so and
# exits with 0 nevertheless
refused() {
  local words=$1
  shift
  glance "$front" "$@" || true
  grep -qiE "$words" "$work/said" || cat "$work/said" >&2
  is "glance $2 is refused: $words" "$(grep -ciE -m1 "$words" "$work/said" || true)" 1
}

# row KEY : the second cell of the row that starts with KEY in what was printed
row() {
  awk -F'|' -v key="$1" '{ gsub(/^ +| +$/, "", $2); gsub(/^ +| +$/, "", $3) } $2 == key { print $3; exit }' "$work/said"
}

# cells ID : the row of a list that holds ID, its blanks removed
cells() {
  grep -F "| $1 " "$work/said" | tr -d ' ' || true
}

sum() {
  "${1}sum" <"$2" | cut -d' ' -f1
}

# download REPLICA IMAGE FILE : FILE's content must come from that replica
download() {
  rm -f "$work/got"
  glance "$1" "$token" image-download --file "$work/got" "$2" || { cat "$work/said" >&2; die "no download from $1"; }
  is "download of $2 from $1" "$(sum sha256 "$work/got")" "$(sum sha256 "$3")"
}

# until_active IMAGE
until_active() {
  local end=$((SECONDS + 60))
  while said image-show "$1" && [ "$(row status)" != active ]; do
    [ "$SECONDS" -lt "$end" ] || die "$1 is still $(row status)"
    sleep 0.2
  done
  is "$1 becomes active" "$(row status)" active
}

fetch() {
  curl --noproxy '*' --silent --show-error --max-time 60 -H "X-Auth-Token: $token" "$@"
}

# ---------------------------------------------------------------- two replicas behind one address

# settings of whoever calls this must not reach the service
unset DATABASE_URL VITRINE_CONFIG "${!VITRINE__@}" "${!AWS_@}" "${!OS_@}"
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
for program in script curl; do
  command -v "$program" >/dev/null || die "missing: $program"
done
venv client glance 'python-glanceclient==4.13.*'
build

read -r port_a ops_a port_b ops_b port_front port_source < <(free_ports 6)
a=http://127.0.0.1:$port_a b=http://127.0.0.1:$port_b front=http://127.0.0.1:$port_front
config() {
  printf '%s\n' '[server]' "bind = '127.0.0.1:$1'" "ops_bind = '127.0.0.1:$2'" "drain_timeout = '1s'" \
    '[import]' 'allow_private_networks = true' 'allowed_ports = []'
}
config "$port_a" "$ops_a" >"$work/a.toml"
config "$port_b" "$ops_b" >"$work/b.toml"

start a.log "$vitrine" dev --ephemeral --env-file "$work/env" --config "$work/a.toml"
await 'the first replica' 90 "${pids[-1]}" a.log answers "http://127.0.0.1:$ops_a/readyz"
beside=(bash -c 'set -a; . "$1"; shift; exec "$@"' beside "$work/env" "$vitrine" --config "$work/b.toml")
start b.log "${beside[@]}" serve
await 'the second replica' 60 "${pids[-1]}" b.log answers "http://127.0.0.1:$ops_b/readyz"

cat >"$work/front.py" <<'PY'
"""Hands each connection to the next replica in turn, and keeps count in a file."""
import asyncio, itertools, sys

port, file, *ports = sys.argv[1:]
turn, taken = itertools.cycle(ports), dict.fromkeys(ports, 0)


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def serve(reader, writer):
    to = next(turn)
    taken[to] += 1
    with open(file, "w") as out:
        out.write(" ".join(str(n) for n in taken.values()) + "\n")
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", int(to))
    await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
    up_writer.close()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(port))
    await server.serve_forever()

asyncio.run(main())
PY
start front.log python3 "$work/front.py" "$port_front" "$work/taken" "$port_a" "$port_b"
await 'the common address' 20 "${pids[-1]}" front.log answers "$front/healthcheck"

# ---------------------------------------------------------------- something to store

# more than one part of a multipart upload
head -c 24M /dev/urandom >"$work/disk.raw"
format=raw
cp "$work/disk.raw" "$work/disk"
if command -v qemu-img >/dev/null; then
  format=qcow2
  qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/disk"
fi
mkdir "$work/source"
head -c 20M /dev/urandom >"$work/source/remote.raw"
start source.log python3 -m http.server --bind 127.0.0.1 --directory "$work/source" "$port_source"
await 'the source of copies' 20 "${pids[-1]}" source.log answers "http://127.0.0.1:$port_source/"

# ---------------------------------------------------------------- python-glanceclient

said image-create --name 'a disk' --disk-format "$format" --container-format bare --min-disk 1 \
  --property kind=server --file "$work/disk"
disk=$(row id)
is 'create: name' "$(row name)" 'a disk'
is 'create: status' "$(row status)" active
is 'create: size' "$(row size)" "$(stat -c %s "$work/disk")"
is 'create: checksum' "$(row checksum)" "$(sum md5 "$work/disk")"
is 'create: owner' "$(row owner)" "$project"
is 'create: disk format' "$(row disk_format)" "$format"
is 'create: visibility' "$(row is_public)" False
is 'create: property' "$(row "Property 'kind'")" server

download "$a" "$disk" "$work/disk"
download "$b" "$disk" "$work/disk"

said image-list
is 'list: the row' "$(cells "$disk")" "|$disk|adisk|$format|bare|$(stat -c %s "$work/disk")|active|"
said image-show 'a disk'
is 'show by name: id' "$(row id)" "$disk"
is 'show: min_disk' "$(row min_disk)" 1

said image-update "$disk" --name renamed --min-ram 512 --property colour=blue
is 'update: name' "$(row name)" renamed
is 'update: property added' "$(row "Property 'colour'")" blue
is 'update: properties not named are kept' "$(row "Property 'kind'")" server
glance "$b" "$token" image-show "$disk"
is 'the second replica knows: name' "$(row name)" renamed
glance "$a" "$token" image-show "$disk"
is 'the first replica knows: min_ram' "$(row min_ram)" 512

said image-create --name copied --disk-format raw --container-format bare \
  --copy-from "http://127.0.0.1:$port_source/remote.raw"
copy=$(row id)
until_active "$copy"
is 'copy: size' "$(row size)" "$(stat -c %s "$work/source/remote.raw")"
is 'copy: checksum' "$(row checksum)" "$(sum md5 "$work/source/remote.raw")"
download "$a" "$copy" "$work/source/remote.raw"
download "$b" "$copy" "$work/source/remote.raw"

refused 'no image with|not found|404' "$stranger" image-show "$disk"
said member-create "$disk" elsewhere --can-share
said member-list --image-id "$disk"
is 'members: of the image' "$(cells "$disk")" "|$disk|elsewhere|True|"
said member-list --tenant-id elsewhere
is 'members: of the project' "$(cells "$disk")" "|$disk|elsewhere|True|"
glance "$front" "$stranger" image-show "$disk"
is 'members: the image is shown' "$(row id)" "$disk"
said member-delete "$disk" elsewhere
said member-list --image-id "$disk"
is 'members: none is left' "$(cells "$disk")" ''
refused 'no image with|not found|404' "$stranger" image-show "$disk"

said image-update "$disk" --is-protected True
is 'protected: shown' "$(row protected)" True
refused '403 forbidden: image is protected' "$token" image-delete "$disk"
said image-show "$disk"
is 'protected: still there' "$(row status)" active
said image-update "$disk" --is-protected False
said image-delete "$disk"
refused 'no image with|not found|404' "$token" image-show "$disk"
said image-delete "$copy"
said image-list
is 'list: nothing is left' "$(cells "$disk")$(cells "$copy")" ''

# ---------------------------------------------------------------- curl: bodies of unknown length

image=$(cat /proc/sys/kernel/random/uuid)
about=(-H "x-image-meta-id: $image" -H 'x-image-meta-name: streamed' -H "x-image-meta-disk_format: $format"
  -H 'x-image-meta-container_format: bare' -H 'Content-Type: application/octet-stream')
# a body from a pipe is sent in chunks
code=$(fetch -X POST "${about[@]}" -T - -o "$work/answer" -w '%{http_code}' "$front/v1/images" < <(cat "$work/disk"))
is 'chunked POST: status' "$code" 201
is 'chunked POST: checksum' "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["image"]["checksum"])' \
  <"$work/answer")" "$(sum md5 "$work/disk")"
for replica in "$a" "$b"; do
  fetch --fail -o "$work/got" "$replica/v1/images/$image"
  is "chunked POST: bytes from $replica" "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"
  size=$(fetch --fail --head "$replica/v1/images/$image" | tr -d '\r' | awk 'tolower($1) == "x-image-meta-size:" { print $2 }')
  is "chunked POST: size from $replica" "$size" "$(stat -c %s "$work/disk")"
done

second=$(cat /proc/sys/kernel/random/uuid)
about[1]="x-image-meta-id: $second"
is 'reservation: status' "$(fetch -X POST "${about[@]:0:8}" -o /dev/null -w '%{http_code}' "$front/v1/images")" 201
code=$(fetch -X PUT -T - -H 'Content-Type: application/octet-stream' -o /dev/null -w '%{http_code}' \
  "$front/v1/images/$second" < <(cat "$work/disk"))
is 'chunked PUT: status' "$code" 200
fetch --fail -o "$work/got" "$b/v1/images/$second"
is 'chunked PUT: bytes' "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"

for gone in "$image" "$second"; do
  is "delete of $gone" "$(fetch -X DELETE -o /dev/null -w '%{http_code}' "$front/v1/images/$gone")" 200
  for replica in "$a" "$b"; do
    is "$gone is gone at $replica" "$(fetch -o /dev/null -w '%{http_code}' "$replica/v1/images/$gone")" 404
  done
done

# ---------------------------------------------------------------- afterwards

read -r at_a at_b <"$work/taken"
is 'both replicas were asked' "$((at_a > 0 && at_b > 0))" 1
"${beside[@]}" scrub >"$work/scrub" 2>"$work/scrub.log" || { cat "$work/scrub" >&2; die 'the bucket and the ledger differ'; }
is 'bucket and ledger agree' "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)))' <"$work/scrub")" 1
printf '%d passed, 0 failed\n' "$checks"
