# A session of the API v1: python-glanceclient and curl. To be sourced by client-session.sh.
# shellcheck shell=bash

project=session
token=olga:$project:member
stranger=otto:elsewhere:member

# glance ADDRESS TOKEN ARGUMENT... : what the client prints goes to $work/said
glance() {
  on_terminal .venv/clients/bin/glance --os-image-api-version 1 --os-image-url "$1" --os-auth-token "$2" "${@:3}" \
    >"$work/said"
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
  matches "glance $2 is refused" "$work/said" "$words"
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

read -r port_a ops_a port_b ops_b port_front port_source < <(free_ports 6)
front=http://127.0.0.1:$port_front
config() {
  printf '%s\n' '[server]' "bind = '127.0.0.1:$1'" "ops_bind = '127.0.0.1:$2'" "drain_timeout = '1s'" \
    '[import]' 'allow_private_networks = true' 'allowed_ports = []'
}
config "$port_a" "$ops_a" >"$work/a.toml"
config "$port_b" "$ops_b" >"$work/b.toml"

start a.log "$vitrine" dev --ephemeral --env-file "$work/replica.env" --config "$work/a.toml"
await_replica 'the first replica' "$ops_a" a.log
start b.log beside "$work/replica.env" "$vitrine" serve --config "$work/b.toml"
await_replica 'the second replica' "$ops_b" b.log
common_address "$port_a" "$port_b"
something_to_store

# ---------------------------------------------------------------- python-glanceclient

said image-create --name 'a disk' --disk-format "$format" --container-format bare --min-disk 1 \
  --property kind=server --file "$work/disk"
disk=$(row id)
is 'create: name' "$(row name)" 'a disk'
is 'create: status' "$(row status)" active
is 'create: size' "$(row size)" "$(size "$work/disk")"
is 'create: checksum' "$(row checksum)" "$(sum md5 "$work/disk")"
is 'create: owner' "$(row owner)" "$project"
is 'create: disk format' "$(row disk_format)" "$format"
is 'create: visibility' "$(row is_public)" False
is 'create: property' "$(row "Property 'kind'")" server

download "$a" "$disk" "$work/disk"
download "$b" "$disk" "$work/disk"

said image-list
is 'list: the row' "$(cells "$disk")" "|$disk|adisk|$format|bare|$(size "$work/disk")|active|"
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
is 'copy: size' "$(row size)" "$(size "$work/source/remote.raw")"
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
  is "chunked POST: size from $replica" "$size" "$(size "$work/disk")"
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

both_were_asked
nothing_is_left 1
