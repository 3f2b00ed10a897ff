# A session of python-openstackclient, API v2. To be sourced by client-session.sh.
# shellcheck shell=bash

# osc WHO ARGUMENT... : results go to $work/said, complaints to $work/told
osc() {
  as "$1" .venv/clients/bin/openstack "${@:2}" >"$work/said" 2>"$work/told" </dev/null
}

# said WHO ARGUMENT... : a command that must succeed
said() {
  osc "$@" || { cat "$work/said" "$work/told" >&2; die "openstack ${*:2} failed for $1"; }
}

# refused WORDS WHO ARGUMENT... : a command that must fail and say why
refused() {
  if osc "${@:2}"; then
    die "openstack ${*:3} succeeds for $2"
  fi
  matches "openstack $3 $4 is refused" "$work/told" "$1"
}

# json EXPRESSION : of what was printed, as `d`
json() {
  python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/said" "$1"
}

# has WHAT ID YES_OR_NO : whether the image is in the list that was printed
has() {
  is "$1" "$(json "any(i['ID'] == '$2' for i in d)")" "$3"
}

# new NAME ARGUMENT... : an image of the owner with little data; its id in $id
new() {
  said owner image create "$1" -f json --file "$work/small" "${@:2}"
  id=$(json 'd["id"]')
}

# ---------------------------------------------------------------- create, show

said owner image create web -f json --file "$work/disk" --disk-format "$format" --container-format bare \
  --min-disk 1 --min-ram 64 --property kind=server --property os_distro=debian --tag blue --tag 'two words'
web=$(json 'd["id"]')
is 'create: name' "$(json 'd["name"]')" web
is 'create: status' "$(json 'd["status"]')" active
is 'create: size' "$(json 'd["size"]')" "$(size "$work/disk")"
is 'create: checksum' "$(json 'd["checksum"]')" "$(sum md5 "$work/disk")"
is 'create: secure hash' "$(json 'd["properties"]["os_hash_value"]')" "$(sum sha512 "$work/disk")"
is 'create: its algorithm' "$(json 'd["properties"]["os_hash_algo"]')" sha512
is 'create: owner' "$(json 'd["owner"]')" "$alpha"
is 'create: formats' "$(json 'd["disk_format"] + " " + d["container_format"]')" "$format bare"
is 'create: limits' "$(json 'd["min_disk"], d["min_ram"]')" '(1, 64)'
is 'create: visibility' "$(json 'd["visibility"]')" shared
is 'create: tags' "$(json 'sorted(d["tags"])')" "['blue', 'two words']"
is 'create: property' "$(json 'd["properties"]["kind"]')" server
is 'create: known property' "$(json 'd["properties"]["os_distro"]')" debian

said owner image show web -f json
is 'show by name: id' "$(json 'd["id"]')" "$web"
said reader image show "$web" -f json
is 'show as reader: name' "$(json 'd["name"]')" web

# on a terminal, and without a file: nothing is uploaded
as owner on_terminal .venv/clients/bin/openstack image create reserved --private --protected -f json >"$work/said"
reserved=$(json 'd["id"]')
is 'reserve: status' "$(json 'd["status"]')" queued
is 'reserve: visibility' "$(json 'd["visibility"]')" private
is 'reserve: protected' "$(json 'd["protected"]')" True
refused '409' owner image create again --id "$web" --file "$work/small"
refused '400' owner image create again --id unfit --file "$work/small"
refused '403' reader image create mine --file "$work/small"
refused '403' owner image create mine --public --file "$work/small"

# ---------------------------------------------------------------- list

for n in 1 2 3; do
  new "page-$n" --tag page --property number="$n"
  pages[n]=$id
done
said owner image list -f json
has 'list: has the image' "$web" True
has 'list: has the reserved one' "$reserved" True
is 'list: sorted by name' "$(json '[i["Name"] for i in d]')" "['page-1', 'page-2', 'page-3', 'reserved', 'web']"
said owner image list --long --name web -f json
is 'list --name --long: one row' "$(json 'len(d)')" 1
is 'list --long: row' "$(json '[d[0][k] for k in ("Size", "Checksum", "Visibility", "Protected", "Project")]')" \
  "[$(size "$work/disk"), '$(sum md5 "$work/disk")', 'shared', False, '$alpha']"
is 'list --long: tags' "$(json 'sorted(d[0]["Tags"])')" "['blue', 'two words']"
said owner image list --property kind=server -f json
is 'list --property' "$(json '[i["Name"] for i in d]')" "['web']"
said owner image list --tag blue --tag 'two words' -f json
is 'list --tag twice' "$(json '[i["Name"] for i in d]')" "['web']"
said owner image list --tag blue --tag page -f json
is 'list of tags that no image has both of' "$(json 'd')" '[]'
said owner image list --status queued -f json
is 'list --status' "$(json '[i["Name"] for i in d]')" "['reserved']"
said owner image list --private -f json
is 'list --private' "$(json '[i["Name"] for i in d]')" "['reserved']"
said owner image list --tag page --limit 2 -f json
is 'list --limit: the newest' "$(json '[i["Name"] for i in d]')" "['page-2', 'page-3']"
said owner image list --tag page --limit 2 --marker page-2 -f json
is 'list --marker: what follows' "$(json '[i["Name"] for i in d]')" "['page-1']"
said owner image list --tag page --sort name:desc -f json
is 'list --sort' "$(json '[i["Name"] for i in d]')" "['page-3', 'page-2', 'page-1']"
said admin image list --project alpha -f json
has 'list --project as administrator' "$reserved" True
said other image list -f json
is 'list of another project' "$(json 'd')" '[]'

# ---------------------------------------------------------------- set, unset

said owner image set page-1 --hidden
said owner image list --tag page -f json
has 'hidden: not listed' "${pages[1]}" False
said owner image list --tag page --hidden -f json
is 'hidden: listed when asked for' "$(json '[i["Name"] for i in d]')" "['page-1']"
said owner image show page-1 -f json
is 'hidden: found by name' "$(json 'd["id"]')" "${pages[1]}"
said owner image set page-1 --unhidden

said owner image set web --name site --min-disk 2 --min-ram 128 --property colour=red --property kind=desktop \
  --tag green --architecture x86_64
said owner image show site -f json
is 'set: id' "$(json 'd["id"]')" "$web"
is 'set: limits' "$(json 'd["min_disk"], d["min_ram"]')" '(2, 128)'
is 'set: properties' "$(json '[d["properties"][k] for k in ("colour", "kind", "os_distro", "architecture")]')" \
  "['red', 'desktop', 'debian', 'x86_64']"
is 'set: tags' "$(json 'sorted(d["tags"])')" "['blue', 'green', 'two words']"
said owner image unset site --tag 'two words' --property colour --property architecture
said owner image show "$web" -f json
is 'unset: tags' "$(json 'sorted(d["tags"])')" "['blue', 'green']"
is 'unset: properties' "$(json '[k in d["properties"] for k in ("colour", "architecture", "kind", "os_distro")]')" \
  '[False, False, True, True]'
refused 'failed to unset 1 of 1 tags' owner image unset site --tag absent
refused '403' owner image set "$web" --disk-format vmdk
refused '403' owner image set "$web" --public
refused '403' reader image set "$web" --name theirs
refused '403' owner image set "$web" --project "$beta"
refused '400' owner image set "$web" --min-disk -1

# not_saved CALLER IMAGE: the client does not look at the status of a download; it finds the text of the refusal to be
# other bytes than the image has, says so, and succeeds
not_saved() {
  as "$1" .venv/clients/bin/openstack image save "$2" --file "$work/got" >"$work/refusal" 2>&1 </dev/null || true
  is "save is refused to $1" "$(grep -c 'Unable to download image' "$work/refusal")" 1
  rm -f "$work/got"
}

# ---------------------------------------------------------------- data

said owner image save "$web" --file "$work/got"
is 'save: bytes' "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"
as owner .venv/clients/bin/openstack image save "$web" >"$work/got" </dev/null
is 'save to standard output: bytes' "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"
not_saved reader "$web"
said owner image set "$web" --deactivate
said owner image show "$web" -f json
is 'deactivate: status' "$(json 'd["status"]')" deactivated
not_saved owner "$web"
said admin image save "$web" --file "$work/got"
is 'deactivate: the administrator still gets it' "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"
said owner image set "$web" --activate
said owner image show "$web" -f json
is 'activate: status' "$(json 'd["status"]')" active

# ---------------------------------------------------------------- sharing

refused 'no image found for' other image show "$web"
said owner image add project "$web" "$beta" -f json
is 'share: pending' "$(json 'd["status"], d["member_id"], d["image_id"]')" "('pending', '$beta', '$web')"
refused '409' owner image add project "$web" "$beta"
said other image show "$web" -f json
is 'share: shown at once' "$(json 'd["name"]')" site
said other image list -f json
has 'share: not listed while pending' "$web" False
said other image list --shared --member-status pending -f json
has 'share: listed when asked for pending' "$web" True
said other image set "$web" --accept
said other image list -f json
has 'share: listed once accepted' "$web" True
said owner image member list "$web" -f json
is 'share: members' "$(json 'd')" "[{'Image ID': '$web', 'Member ID': '$beta', 'Status': 'accepted'}]"
said owner image member get "$web" "$beta" -f json
is 'share: the member' "$(json 'd["status"]')" accepted
said other image set "$web" --reject
said other image list -f json
has 'share: not listed once rejected' "$web" False
said other image set "$web" --pending
said owner image member list "$web" -f json
is 'share: pending again' "$(json 'd[0]["Status"]')" pending
rm -f "$work/got"
said other image save "$web" --file "$work/got"
is 'share: bytes' "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"
refused '403' other image set "$web" --name theirs
refused '403' other image delete "$web"
refused '403' other image add project "$web" "$alpha"
refused '404|no image found for' third image add project "$web" "$beta"
said owner image remove project "$web" "$beta"
refused 'no image found for' other image show "$web"
said owner image member list "$web" -f json
is 'share: no member is left' "$(json 'd')" '[]'

said owner image set "$web" --community
refused '403' owner image member list "$web"
said other image list -f json
has 'community: not listed' "$web" False
said other image list --community -f json
has 'community: listed when asked for' "$web" True
said other image list --all -f json
has 'all: has it too' "$web" True
said other image show "$web" -f json
is 'community: shown' "$(json 'd["visibility"]')" community
said admin image set "$web" --public
said third image list --public -f json
has 'public: listed' "$web" True
refused '403' third image set "$web" --name theirs
said owner image set "$web" --shared
said admin image set "$web" --project "$beta"
said other image show "$web" -f json
is 'given away: owner' "$(json 'd["owner"]')" "$beta"
said admin image set "$web" --project "$alpha"

# ---------------------------------------------------------------- stores, methods

said owner image stores list -f json
is 'stores' "$(json 'sorted(i["id"] if "id" in i else i["ID"] for i in d)')" "['dev', 'second']"
said owner image import info -f json
is 'import methods: none yet' "$(json 'd["import-methods"]')" '[]'

# ---------------------------------------------------------------- delete

refused 'failed to delete 1 of 1 images' owner image delete "$reserved"
matches 'protected: why' "$work/told" 'protected'
said owner image set "$reserved" --unprotected
said owner image delete "$reserved" page-1 "${pages[2]}" "${pages[3]}" "$web"
# the client takes any image that is not there for a store that is not there
refused 'no image found for|failed to delete|multi backend support not enabled' owner image delete "$web"
refused 'no image found for' owner image show "$web"
said admin image list --all -f json
is 'nothing is left' "$(json 'd')" '[]'
