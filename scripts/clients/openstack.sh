# A session of python-openstackclient, API v2. To be sourced by client-session.sh.
# shellcheck shell=bash

. scripts/clients/with_openstack.sh

# has WHAT ID YES_OR_NO : whether the image is in the list that was printed
has() {
  is "$1" "$(json "any(i['ID'] == '$2' for i in d)")" "$3"
}

# new NAME ARGUMENT... : an image of the owner with little data; its id in $id
new() {
  said owner image create "$1" -f json --file "$work/small" "${@:2}"
  id=$(json 'd["id"]')
}

# reserve NAME ARGUMENT... : an image of the owner without data; its id in $id
reserve() {
  # on a terminal, and without a file: nothing is uploaded
  as owner on_terminal .venv/clients/bin/openstack image create "$@" -f json >"$work/said"
  id=$(json 'd["id"]')
}

# becomes WHAT IMAGE EXPRESSION VALUE : within a minute; what the image is by then stays in $work/said
becomes() {
  local end=$((SECONDS + 60))
  while said owner image show "$2" -f json && [ "$(json "$3")" != "$4" ]; do
    [ "$SECONDS" -lt "$end" ] || { cat "$work/said" >&2; die "$1: $3 is still '$(json "$3")'"; }
  done
  is "$1: $3" "$(json "$3")" "$4"
}

# imported IMAGE FILE STORES WHAT : it becomes active, and the file can be read from it
imported() {
  becomes "$4" "$1" 'd["status"]' active
  is "$4: size, checksum" "$(json 'd["size"], d["checksum"]')" "($(size "$2"), '$(sum md5 "$2")')"
  is "$4: stores" "$(json 'd["properties"]["stores"]')" "$3"
  rm -f "$work/got"
  said owner image save "$1" --file "$work/got"
  is "$4: bytes" "$(sum sha256 "$work/got")" "$(sum sha256 "$2")"
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

reserve reserved --private --protected
reserved=$id
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

# ---------------------------------------------------------------- stores, import, tasks

said owner image stores list -f json
is 'stores' "$(json 'sorted(i["id"] if "id" in i else i["ID"] for i in d)')" "['dev', 'second']"
said admin image stores list --detail -f json
is 'stores --detail' "$(json '[(i["ID"], "s3_store_thread_pools" in i["Properties"]) for i in d]')" \
  "[('dev', True), ('second', True)]"
refused '403' owner image stores list --detail
said owner image import info -f json
is 'import methods' "$(json 'sorted(d["import-methods"])')" \
  "['copy-image', 'glance-direct', 'glance-download', 'web-download']"

source=http://127.0.0.1:$port_source/remote.raw
reserve direct --disk-format "$format" --property os_distro=debian
direct=$id
said owner image stage "$direct" --file "$work/disk" --progress
said owner image show "$direct" -f json
is 'stage: status, size, checksum' "$(json 'd["status"], d["size"], d.get("checksum")')" \
  "('uploading', $(size "$work/disk"), None)"
refused 'queued state' owner image stage "$direct" --file "$work/small"
# neither the client nor the SDK below it looks at what the service answers to an import
said reader image import "$direct"
said owner image show "$direct" -f json
is 'import as reader: not allowed' "$(json 'd["status"]')" uploading
said owner image import "$direct" --method glance-direct --store dev second -f json
is 'import: reply' "$(json 'd["id"]')" "$direct"
imported "$direct" "$work/disk" dev,second 'glance-direct to two stores'

said owner image create at-once --import --disk-format "$format" --file "$work/disk" -f json
at_once=$(json 'd["id"]')
imported "$at_once" "$work/disk" dev 'create --import'

reserve remote
remote=$id
refused "'--uri' option is required" owner image import "$remote" --method web-download
refused "status 'uploading'" owner image import "$remote"
refused "invalid choice" owner image import "$remote" --method magic
said owner image import "$remote" --method web-download --uri file://host/etc/passwd
becomes 'a forbidden uri' "$remote" 'd["status"]' queued
said owner image import "$remote" --method web-download --uri "${source%/*}/absent" --store second --wait
becomes 'web-download of nothing' "$remote" 'd["properties"].get("os_glance_failed_import")' second
is 'web-download of nothing: status' "$(json 'd["status"]')" queued
said owner image import "$remote" --method web-download --uri "$source" --store second
imported "$remote" "$work/source/remote.raw" second web-download

refused "required when using '--method=copy-image'" admin image import "$remote" --method copy-image
said owner image import "$remote" --method copy-image --all-stores
said owner image show "$remote" -f json
is 'copy-image as owner: not allowed' "$(json 'd["properties"]["stores"]')" second
said admin image import "$remote" --method copy-image --all-stores --disallow-failure
# in the order in which they got the data
becomes copy-image "$remote" 'd["properties"]["stores"]' second,dev
imported "$remote" "$work/source/remote.raw" second,dev copy-image
said admin image delete "$remote" --store second
imported "$remote" "$work/source/remote.raw" dev 'delete --store'

reserve everywhere
everywhere=$id
said owner image import "$everywhere" --method web-download --uri "$source" --all-stores --allow-failure
imported "$everywhere" "$work/source/remote.raw" dev,second 'web-download to all stores'

# the other region is the same service
reserve far --disk-format "$format"
far=$id
said owner image import "$far" --method glance-download --remote-region RegionTwo --remote-image "$direct" \
  --remote-service-interface public
imported "$far" "$work/disk" dev glance-download
said owner image show "$far" -f json
is 'glance-download: property' "$(json 'd["properties"]["os_distro"]')" debian

said admin image task list --sort-key created_at --sort-dir desc -f json
is 'task list: the last one' "$(json '[d[0][k] for k in ("Type", "Status", "Owner")]')" \
  "['api_image_import', 'success', '$alpha']"
task=$(json 'd[0]["ID"]')
said admin image task show "$task" -f json
is 'task show' "$(json 'd["id"], d["status"], d["owner_id"], d["result"]')" \
  "('$task', 'success', '$alpha', {'image_id': '$far'})"
is 'task show: input' "$(json 'd["input"]["import_req"]["method"]["glance_image_id"]')" "$direct"
is 'task show: the token is not shown' "$(json '"token" in str(d).lower()')" False
said admin image task list --status failure -f json
is 'task list --status' "$(json 'sorted({i["Status"] for i in d})')" "['failure']"
said admin image task list --type import -f json
is 'task list --type' "$(json '[i["Type"] for i in d if i["Type"] != "import"]')" '[]'
refused '403' owner image task list
refused '403' owner image task show "$task"
said owner image delete "$direct" "$at_once" "$remote" "$everywhere" "$far"

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
