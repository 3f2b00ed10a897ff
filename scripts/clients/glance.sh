# A session of python-glanceclient, API v2. To be sourced by client-session.sh.
# shellcheck shell=bash

. scripts/clients/with_glance.sh

# names : of the images of a list, in its order
names() {
  awk -F'|' 'NF > 3 { gsub(/^ +| +$/, "", $3); if ($3 != "Name") printf "%s ", $3 }' "$work/said"
}

# piped FILE ARGUMENT... : a command of the owner with the file in a pipe, so that its size is not known
piped() {
  cat "$1" | as owner "$program" --os-image-api-version 2 "${@:2}" >"$work/said" 2>"$work/told" || {
    cat "$work/told" >&2
    die "glance ${*:2} failed"
  }
}

# download WHO IMAGE ARGUMENT... : the bytes of the big image must come
download() {
  rm -f "$work/got"
  said "$1" image-download "$2" --file "$work/got" "${@:3}"
  is "download as $1${3:+ with ${*:3}}: bytes" "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"
}

# becomes WHAT IMAGE KEY VALUE : within a minute; what the image is by then stays in $work/said
becomes() {
  local end=$((SECONDS + 60))
  while said owner image-show "$2" && [ "$(row "$3")" != "$4" ]; do
    [ "$SECONDS" -lt "$end" ] || { cat "$work/said" >&2; die "$1: $3 is still '$(row "$3")'"; }
    sleep 0.3
  done
  is "$1: $3" "$(row "$3")" "$4"
}

# imported IMAGE FILE STORES WHAT : it becomes active, and the file can be read from it
imported() {
  becomes "$4" "$1" status active
  is "$4: size, checksum" "$(row size) $(row checksum)" "$(size "$2") $(sum md5 "$2")"
  is "$4: stores" "$(row stores)" "$3"
  is "$4: nothing failed" "$(row os_glance_failed_import)$(row os_glance_importing_to_stores)" ''
  is "$4: the lock is gone" "$(row os_glance_import_task)" ''
  rm -f "$work/got"
  said owner image-download "$1" --file "$work/got"
  is "$4: bytes" "$(sum sha256 "$work/got")" "$(sum sha256 "$2")"
}

# ---------------------------------------------------------------- create, upload, download

said owner image-create --name big --disk-format "$format" --container-format bare --min-ram 64 --tags one two \
  --property kind=server --property os_distro=debian --progress --file "$work/disk"
big=$(row id)
is 'create: progress is shown to its end' "$(grep -c '100%' "$work/said" | head -1)" 1
is 'create: status' "$(row status)" active
is 'create: size' "$(row size)" "$(size "$work/disk")"
is 'create: checksum' "$(row checksum)" "$(sum md5 "$work/disk")"
hash=$(sum sha512 "$work/disk")
# the client breaks long values after 80 characters
is 'create: secure hash' "$(row os_hash_algo):$(row os_hash_value)" "sha512:${hash:0:80}"
is 'create: owner' "$(row owner)" "$alpha"
is 'create: property' "$(row kind)" server
is 'create: property of the schema' "$(row os_distro)" debian
is 'create: store' "$(row stores)" dev
is 'create: min_ram' "$(row min_ram)" 64
download owner "$big"
download owner "$big" --progress
as owner "$program" --os-image-api-version 2 image-download "$big" >"$work/got" </dev/null
is 'download to standard output: bytes' "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"

piped "$work/disk" image-create --name streamed --disk-format "$format" --container-format bare
streamed=$(row id)
is 'create from a pipe: status' "$(row status)" active
is 'create from a pipe: size' "$(row size)" "$(size "$work/disk")"
download owner "$streamed"

said owner image-create --name later --visibility private
later=$(row id)
is 'create without data: status' "$(row status)" queued
refused '400' owner image-upload "$later" --file "$work/small"
said owner image-update "$later" --disk-format raw --container-format bare
said owner image-upload "$later" --store second --file "$work/small" --progress
said owner image-show "$later"
is 'upload: status' "$(row status)" active
is 'upload: store' "$(row stores)" second
is 'upload: checksum' "$(row checksum)" "$(sum md5 "$work/small")"
is 'upload: virtual size' "$(row virtual_size)" "$(size "$work/small")"
refused '409' owner image-upload "$later" --file "$work/small"
refused "not valid for this cloud" owner image-upload "$later" --store nowhere --file "$work/small"
refused '409' owner image-create --id "$big" --name again
refused '403' owner image-create --name open --visibility public
refused '403' reader image-create --name mine

# ---------------------------------------------------------------- list

said owner image-list
is 'list: by name' "$(names)" 'big later streamed '
said owner image-list --sort name:desc
is 'list --sort' "$(names)" 'streamed later big '
said owner image-list --sort-key size --sort-dir asc --sort-key name --sort-dir desc
is 'list --sort-key twice' "$(names)" 'later streamed big '
said owner image-list --page-size 1 --sort name:asc
is 'list --page-size 1: all pages' "$(names)" 'big later streamed '
said owner image-list --page-size 2 --limit 2 --sort name:asc
is 'list --limit' "$(names)" 'big later '
said owner image-list --property-filter kind=server
is 'list --property-filter' "$(names)" 'big '
said owner image-list --property-filter name=in:big,later
is 'list --property-filter with an operator' "$(names)" 'big later '
said owner image-list --property-filter size_max=100
is 'list --property-filter of a range' "$(names)" 'later '
refused '400' owner image-list --property-filter name=foo:bar
said owner image-list --tag one --tag two
is 'list --tag twice' "$(names)" 'big '
said owner image-list --checksum "$(sum md5 "$work/small")"
is 'list --checksum' "$(names)" 'later '
said owner image-list --hash "$(sum sha512 "$work/small")"
is 'list --hash' "$(names)" 'later '
said owner image-list --visibility private
is 'list --visibility' "$(names)" 'later '
said owner image-list --include-stores --visibility private
is 'list --include-stores' "$(cells "$later")" "|$later|later|second|"
said admin image-list --owner "$alpha"
is 'list --owner as administrator' "$(names)" 'big later streamed '
said other image-list --owner "$alpha"
is 'list --owner as another project' "$(names)" ''

# ---------------------------------------------------------------- update, tags

said owner image-update "$big" --name bigger --min-disk 3 --property colour=red --property kind=desktop \
  --remove-property os_distro
is 'update: name' "$(row name)" bigger
is 'update: min_disk' "$(row min_disk)" 3
is 'update: new property' "$(row colour)" red
is 'update: changed property' "$(row kind)" desktop
is 'update: removed property' "$(row os_distro)" ''
is 'update: what is not named is kept' "$(row min_ram)" 64
said owner image-update "$big"
is 'update of nothing' "$(row name)" bigger
refused '403' owner image-update "$big" --visibility public
refused '403' owner image-update "$big" --owner "$beta"
refused '403' owner image-update "$big" --container-format ovf
refused '404|no image found' other image-update "$big" --name theirs
said owner image-update "$big" --hidden True
said owner image-list
is 'hidden: not listed' "$(names)" 'later streamed '
said owner image-list --hidden True
is 'hidden: listed when asked for' "$(names)" 'bigger '
said owner image-update "$big" --hidden False
said owner image-update "$big" --protected True
is 'protected: shown' "$(row protected)" True
refused 'not permitted to delete' owner image-delete "$big"
said owner image-update "$big" --protected False

said owner image-tag-update "$big" 'a tag'
said owner image-tag-delete "$big" one
said owner image-show "$big"
is 'tags' "$(python3 -c 'import ast, sys; print(sorted(ast.literal_eval(sys.argv[1])))' "$(row tags)")" "['a tag', 'two']"
refused '404' owner image-tag-delete "$big" one

# ---------------------------------------------------------------- members

refused '404|no image found' other image-show "$big"
said owner member-create "$big" "$beta"
is 'member: pending' "$(cells "$big")" "|$big|$beta|pending|"
refused '409' owner member-create "$big" "$beta"
said other image-show "$big"
is 'member: the image is shown at once' "$(row name)" bigger
refused '403' owner member-update "$big" "$beta" accepted
said other member-update "$big" "$beta" accepted
is 'member: accepted' "$(cells "$big")" "|$big|$beta|accepted|"
said other image-list
is 'member: the image is listed' "$(names)" 'bigger '
said other image-list --member-status rejected
is 'member: not among the rejected ones' "$(names)" ''
said owner member-list --image-id "$big"
is 'members: of the image' "$(cells "$big")" "|$big|$beta|accepted|"
said owner member-get "$big" "$beta"
is 'member: status' "$(row status)" accepted
download other "$big"
refused '403' other image-update "$big" --name theirs
refused '403' other member-create "$big" "$alpha"
said owner member-delete "$big" "$beta"
refused '404|no image found' other image-show "$big"
refused '403' owner member-list --image-id "$later"

# ---------------------------------------------------------------- deactivation

said owner image-deactivate "$big"
said owner image-show "$big"
is 'deactivate: status' "$(row status)" deactivated
refused 'unable to download image.*403' owner image-download "$big" --file "$work/got"
download admin "$big"
said owner image-reactivate "$big"
download owner "$big"
refused 'unable to download image.*403' reader image-download "$big" --file "$work/got"

# ---------------------------------------------------------------- locations, stores

said owner image-create --name elsewhere --disk-format raw --container-format bare
elsewhere=$(row id)
source=http://127.0.0.1:$port_source/remote.raw
said owner location-add "$elsewhere" --url "$source"
said owner image-show "$elsewhere"
is 'location-add: status' "$(row status)" active
is 'location-add: size' "$(row size)" "$(size "$work/source/remote.raw")"
said owner image-download "$elsewhere" --file "$work/got"
is 'location-add: bytes' "$(sum sha256 "$work/got")" "$(sum sha256 "$work/source/remote.raw")"
said owner location-add "$elsewhere" --url "$source?second"
refused '403' owner location-delete "$elsewhere" --url "$source?second"
said admin location-delete "$elsewhere" --url "$source?second"
refused '403' admin location-delete "$elsewhere" --url "$source"
refused '400' owner location-add "$elsewhere" --url file:///etc/passwd

# the newer way: asynchronous, and for services
said owner image-create --name registered --disk-format raw --container-format bare
registered=$(row id)
said admin add-location "$registered" --url "$source"
end=$((SECONDS + 60))
while said owner image-show "$registered" && [ "$(row status):$(row size)" != "active:$(size "$work/source/remote.raw")" ]; do
  [ "$SECONDS" -lt "$end" ] || die "$registered is still $(row status)"
  sleep 0.3
done
is 'add-location: status' "$(row status)" active

said owner stores-info
is 'stores-info names both' "$(grep -cE "'?id'?.*(dev|second)" "$work/said" | sed 's/^[1-9].*/some/')" some
said admin stores-info --detail
matches 'stores-info --detail' "$work/said" 'weight'
refused '403' owner stores-info --detail
refused 'unable to delete image' admin stores-delete --store dev "$big"
said owner usage
said owner explain image
matches 'explain' "$work/said" 'os_hidden'

# ---------------------------------------------------------------- import

said owner import-info
# the client breaks long values
is 'import-info' "$(tr -d ' |\n' <"$work/said" | grep -oE '"value":\[[^]]*\]')" \
  '"value":["glance-direct","web-download","copy-image","glance-download"]'

raw=(--disk-format raw --container-format bare)
said owner image-create-via-import --name direct --disk-format "$format" --container-format bare \
  --property os_distro=debian --import-method glance-direct --file "$work/disk" --progress
direct=$(row id)
matches 'glance-direct: accepted' "$work/said" '\| status +\| (importing|active)'
imported "$direct" "$work/disk" dev 'glance-direct'
said owner image-tasks "$direct"
matches 'image-tasks' "$work/said" '\| success \|'
said owner --verbose image-tasks "$direct"
matches 'image-tasks --verbose' "$work/said" 'glance-direct'

piped "$work/disk" image-create-via-import --name piped --disk-format "$format" --container-format bare \
  --stores dev,second
piped_image=$(row id)
imported "$piped_image" "$work/disk" dev,second 'glance-direct from a pipe to two stores'

said owner image-create-via-import --name web "${raw[@]}" --import-method web-download --uri "$source" --store second
web=$(row id)
imported "$web" "$work/source/remote.raw" second 'web-download'

refused 'cannot be used while creating' owner image-create-via-import --name copy "${raw[@]}" --import-method copy-image
refused '403' owner image-import "$web" --import-method copy-image --all-stores True
said admin image-import "$web" --import-method copy-image --all-stores True
# in the order in which they got the data
becomes 'copy-image' "$web" stores second,dev
imported "$web" "$work/source/remote.raw" second,dev 'copy-image'
refused '400' admin image-import "$web" --import-method copy-image --stores dev --allow-failure False
said admin stores-delete --store second "$web"
imported "$web" "$work/source/remote.raw" dev 'stores-delete'
said admin image-import "$web" --import-method copy-image --stores second --allow-failure False
becomes 'copy-image --stores' "$web" stores dev,second

# the other region is the same service, which both replicas ask with the token of the caller
said owner image-create-via-import --name far --disk-format "$format" --container-format bare \
  --import-method glance-download --remote-region RegionTwo --remote-image-id "$direct"
far=$(row id)
imported "$far" "$work/disk" dev 'glance-download'
said owner image-show "$far"
is 'glance-download: property' "$(row os_distro)" debian
refused '400|404' owner image-create-via-import --name nowhere "${raw[@]}" \
  --import-method glance-download --remote-region Nowhere --remote-image-id "$direct"
nowhere=$(row id)

# what one replica has staged the other one imports, and either can be asked for the data
said owner image-create --name staged --disk-format "$format" --container-format bare
staged=$(row id)
said owner --os-image-url "$a" image-stage "$staged" --file "$work/disk" --progress
said owner --os-image-url "$b" image-show "$staged"
is 'image-stage: status, size' "$(row status) $(row size) $(row checksum)" "uploading $(size "$work/disk") None"
refused '409' owner --os-image-url "$b" image-stage "$staged" --file "$work/small"
refused '409' owner image-upload "$staged" --file "$work/small"
said owner --os-image-url "$b" image-import "$staged" --import-method glance-direct
imported "$staged" "$work/disk" dev 'staged at one replica, imported at the other'
for replica in "$a" "$b"; do
  said owner --os-image-url "$replica" image-download "$staged" --file "$work/got"
  is "data from $replica" "$(sum sha256 "$work/got")" "$(sum sha256 "$work/disk")"
done

said owner image-create --name faulty "${raw[@]}"
faulty=$(row id)
refused "status 'uploading'" owner image-import "$faulty" --import-method glance-direct
refused '400' owner image-import "$faulty" --import-method web-download --uri file:///etc/passwd
refused 'not valid for this cloud' owner image-import "$faulty" --import-method web-download --uri "$source" --store no
said owner image-import "$faulty" --import-method web-download --uri "${source%/*}/absent"
becomes 'web-download of nothing' "$faulty" os_glance_failed_import dev
is 'web-download of nothing: status' "$(row status)" queued
said owner image-tasks "$faulty"
matches 'web-download of nothing: task' "$work/said" '\| failure \|'
refused '404|no image|not found' other image-tasks "$faulty"
said owner image-import "$faulty" --import-method web-download --uri "$source"
imported "$faulty" "$work/source/remote.raw" dev 'web-download once it is there'

refused '403' owner task-list
said admin task-list --status failure
matches 'task-list' "$work/said" 'api_image_import +\| failure'
said owner image-delete "$direct" "$piped_image" "$web" "$far" "$nowhere" "$staged" "$faulty"

# ---------------------------------------------------------------- delete

said owner image-delete "$big" "$streamed" "$later" "$elsewhere" "$registered"
refused "no image with an id of '$big' exists" owner image-delete "$big"
refused '404|no image found' owner image-show "$big"
said admin image-list --visibility all
is 'nothing is left' "$(names)" ''
