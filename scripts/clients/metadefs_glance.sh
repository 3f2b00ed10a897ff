# A session of python-glanceclient with metadata definitions. To be sourced by client-session.sh.
# shellcheck shell=bash

. scripts/clients/with_glance.sh

# namespaces : of the list that was printed, in its order, those of sessions
namespaces() {
  first_column | tr , '\n' | grep '^Session::' | xargs || true
}

# first_column : of the list that was printed, in its order
first_column() {
  awk -F'|' 'NF > 2 { gsub(/^ +| +$/, "", $2); if (++n > 1) printf "%s,", $2 }' "$work/said"
}

# quiet WHO ARGUMENT... : a command that must succeed and has nothing to say
quiet() {
  said "$@"
  is "glance ${*:2} says nothing" "$(cat "$work/said")" ''
}

ns=Session::Glance
at=/v2/metadefs/namespaces/$ns
administrator=$(token admin)

# ---------------------------------------------------------------- namespaces

said admin md-namespace-create --display-name 'A session' --description 'Größe 日本' --visibility public \
  --protected False "$ns"
is 'namespace create: name' "$(row namespace)" "$ns"
is 'namespace create: texts' "$(row display_name), $(row description)" 'A session, Größe 日本'
is 'namespace create: visibility, protected' "$(row visibility) $(row protected)" 'public False'
is 'namespace create: as curl sees it' "$(seen "$at" 'd["description"], d["visibility"], d["protected"]')" \
  "('Größe 日本', 'public', False)"
refused '409' admin md-namespace-create "$ns"
refused '403' owner md-namespace-create Session::Mine
refused 'shared' admin md-namespace-create --visibility shared Session::Shared

cat >"$work/namespace.json" <<JSON
{"namespace": "Session::Imported", "display_name": "Imported", "visibility": "private", "owner": "$alpha",
 "resource_type_associations": [{"name": "Session::Server", "prefix": "hw_"}, {"name": "Session::Flavor"}],
 "properties": {"cores": {"title": "Cores", "type": "integer", "default": 2, "minimum": 1}},
 "objects": [{"name": "limits", "description": "Some limits", "required": ["quota"],
              "properties": {"quota": {"title": "Quota", "type": "string", "enum": ["a", "b"]}}}],
 "tags": [{"name": "imported"}]}
JSON
said admin md-namespace-import --file "$work/namespace.json"
is 'namespace import: contents' "$(row properties) $(row objects) $(row tags)" '["cores"] ["limits"] ["imported"]'
is 'namespace import: associations' "$(row resource_type_associations)" '["Session::Server", "Session::Flavor"]'
is 'namespace import: as curl sees it' "$(seen /v2/metadefs/namespaces/Session::Imported \
  'd["properties"]["cores"]["default"], d["objects"][0]["required"], d["tags"]')" "('2', ['quota'], [{'name': 'imported'}])"
refused '409' admin md-namespace-import --file "$work/namespace.json"
refused '403' owner md-namespace-import --file "$work/namespace.json"

said admin md-namespace-show Session::Imported
is 'namespace show: owner' "$(row owner)" "$alpha"
is 'namespace show: contents' "$(row properties) $(row objects) $(row tags)" '["cores"] ["limits"] ["imported"]'
said owner md-namespace-show Session::Imported --resource-type Session::Server
is 'namespace show --resource-type' "$(row properties)" '["hw_cores"]'
said owner md-namespace-show Session::Imported --resource-type Session::Flavor
is 'namespace show --resource-type without prefix' "$(row properties)" '["cores"]'
refused '404' other md-namespace-show Session::Imported
refused '404' admin md-namespace-show Session::Nothing
said other md-namespace-show "$ns"
is 'namespace show: a public one of others' "$(row display_name)" 'A session'

for n in 1 2 3; do
  said admin md-namespace-create "Session::Page$n"
done
said admin md-namespace-list
is 'namespace list: the newest first' "$(namespaces)" \
  "Session::Page3 Session::Page2 Session::Page1 Session::Imported $ns"
said admin md-namespace-list --page-size 2
is 'namespace list --page-size' "$(namespaces)" \
  "Session::Page3 Session::Page2 Session::Page1 Session::Imported $ns"
said owner md-namespace-list --page-size 1
is 'namespace list of the owning project' "$(namespaces)" "Session::Imported $ns"
said other md-namespace-list
is 'namespace list of another project' "$(namespaces)" "$ns"
said owner md-namespace-list --visibility private
is 'namespace list --visibility' "$(namespaces)" Session::Imported
said admin md-namespace-list --resource-types Session::Server --resource-types Session::None
is 'namespace list --resource-types' "$(namespaces)" Session::Imported
said admin md-namespace-list --resource-types Session::None
is 'namespace list of a type that none has' "$(namespaces)" ''
for n in 1 2 3; do
  quiet admin md-namespace-delete "Session::Page$n"
done

said admin md-namespace-update --description 'Another text' --protected True "$ns"
is 'namespace update: what changed' "$(row description) $(row protected)" 'Another text True'
is 'namespace update: what stayed' "$(row display_name) $(row visibility)" 'A session public'
refused '403' admin md-namespace-delete "$ns"
said admin md-namespace-update --protected False "$ns"
# the client sends contents back as it has got them
said admin md-namespace-update --namespace Session::Renamed Session::Imported
is 'namespace update: contents are kept' "$(row properties) $(row objects) $(row tags)" '["cores"] ["limits"] ["imported"]'
is 'namespace update: renamed' "$(seen /v2/metadefs/namespaces/Session::Imported d)" 404
refused '409' admin md-namespace-update --namespace "$ns" Session::Renamed
refused '403' owner md-namespace-update --description mine Session::Renamed
refused '404' other md-namespace-update --description mine Session::Renamed

# ---------------------------------------------------------------- resource types

said admin md-resource-type-associate "$ns" --name Session::Volume --prefix vol_ --properties-target image
is 'resource type associate' "$(row name) $(row prefix) $(row properties_target)" 'Session::Volume vol_ image'
refused '409' admin md-resource-type-associate "$ns" --name Session::Volume
refused '403' owner md-resource-type-associate "$ns" --name Session::Other
said other md-resource-type-list
for name in Session::Server Session::Flavor Session::Volume; do
  is "resource type list: $name" "$(first_column | tr , '\n' | grep -cx "$name")" 1
done
said other md-namespace-resource-type-list "$ns"
is 'namespace resource type list' "$(cells Session::Volume)" '|Session::Volume|vol_|image|'
refused '403' owner md-resource-type-deassociate "$ns" Session::Volume
quiet admin md-resource-type-deassociate "$ns" Session::Volume
refused '404' admin md-resource-type-deassociate "$ns" Session::Volume
is 'deassociate: as curl sees it' "$(seen "$at/resource_types" 'd["resource_type_associations"]')" '[]'
is 'deassociate: the type stays' \
  "$(seen /v2/metadefs/resource_types '"Session::Volume" in [t["name"] for t in d["resource_types"]]')" True

# ---------------------------------------------------------------- properties

said admin md-property-create "$ns" --name OS::size --title Size --type integer \
  --schema '{"default": 5, "minimum": 1, "maximum": 9, "readonly": true, "operators": ["<or>"]}'
is 'property create' "$(row name) $(row title) $(row type) $(row default) $(row minimum)" 'OS::size Size integer 5 1'
is 'property create: as curl sees it' "$(seen "$at/properties/OS::size" 'd["default"], d["maximum"], d["readonly"]')" \
  "('5', 9, True)"
said admin md-property-create "$ns" --name flag --title Flag --type boolean --schema '{"default": true}'
is 'property create: default of a flag' "$(row default)" True
refused '409' admin md-property-create "$ns" --name flag --title Flag --type boolean --schema '{}'
refused 'junk' admin md-property-create "$ns" --name junk --title J --type string --schema '{"junk": 1}'
refused 'float' admin md-property-create "$ns" --name junk --title J --type float --schema '{}'
refused '403' owner md-property-create "$ns" --name mine --title M --type string --schema '{}'
said other md-property-list "$ns"
is 'property list' "$(cells OS::size) $(cells flag)" '|OS::size|Size|integer| |flag|Flag|boolean|'
said other md-property-show "$ns" OS::size
is 'property show' "$(row title) $(row operators)" 'Size ["<or>"]'
said admin md-property-update "$ns" OS::size --title 'New size' --schema '{"maximum": 20}'
is 'property update: what changed, what stayed' "$(row title) $(row maximum) $(row minimum) $(row default)" \
  'New size 20 1 5'
said admin md-property-update "$ns" OS::size --name renamed
is 'property update: renamed' "$(row name) $(seen "$at/properties/OS::size" d)" 'renamed 404'
refused '409' admin md-property-update "$ns" renamed --name flag
refused '403' owner md-property-update "$ns" renamed --title mine
refused '404' other md-property-show Session::Renamed cores
refused '403' owner md-property-delete "$ns" renamed
quiet admin md-property-delete "$ns" renamed
refused '404' admin md-property-show "$ns" renamed
refused '403' owner md-namespace-properties-delete "$ns"
quiet admin md-namespace-properties-delete "$ns"
is 'all properties deleted' "$(seen "$at/properties" 'd')" "{'properties': {}}"

# ---------------------------------------------------------------- objects

said admin md-object-create "$ns" --name limits --schema '{"description": "Some limits", "required": ["a"],
  "properties": {"a": {"title": "A", "type": "string", "enum": ["x", "y"]}, "b": {"title": "B", "type": "number"}}}'
is 'object create' "$(row name) $(row description) $(row required)" 'limits Some limits ["a"]'
is 'object create: as curl sees it' \
  "$(seen "$at/objects/limits" 'd["properties"]["a"] == {"title": "A", "type": "string", "enum": ["x", "y"]}')" True
said admin md-object-create "$ns" --name bare --schema '{}'
refused '409' admin md-object-create "$ns" --name limits --schema '{}'
refused '403' owner md-object-create "$ns" --name mine --schema '{}'
said other md-object-list "$ns"
is 'object list' "$(cells limits) $(cells bare)" '|limits|Somelimits| |bare||'
said other md-object-show "$ns" limits
is 'object show' "$(row required)" '["a"]'
said other md-object-property-show "$ns" limits a
is 'object property show' "$(row name) $(row title) $(row enum)" 'a A ["x", "y"]'
refused 'not found' admin md-object-property-show "$ns" limits none
said admin md-object-update "$ns" limits --schema '{"description": "Other limits"}'
is 'object update: what changed, what stayed' "$(row description) $(row required)" 'Other limits ["a"]'
said admin md-object-update "$ns" bare --name renamed
is 'object update: renamed' "$(row name) $(seen "$at/objects/bare" d)" 'renamed 404'
refused '409' admin md-object-update "$ns" renamed --name limits
refused '403' owner md-object-update "$ns" limits --name mine
refused '403' owner md-object-delete "$ns" limits
quiet admin md-object-delete "$ns" limits
refused '404' admin md-object-show "$ns" limits
refused '403' owner md-namespace-objects-delete "$ns"
quiet admin md-namespace-objects-delete "$ns"
is 'all objects deleted' "$(seen "$at/objects" 'd["objects"]')" '[]'

# ---------------------------------------------------------------- tags

said admin md-tag-create "$ns" --name blue
is 'tag create' "$(row name)" blue
refused '409' admin md-tag-create "$ns" --name blue
refused '403' owner md-tag-create "$ns" --name mine
said admin md-tag-create-multiple "$ns" --names 'red;two words' --delim ';'
is 'tag create multiple: what it made' "$(first_column)" 'red,two words,'
is 'tag create multiple: as curl sees it' "$(seen "$at/tags" 'sorted(t["name"] for t in d["tags"])')" \
  "['red', 'two words']"
# with --append the client trips over its own header before it sends anything
refused 'expected bytes' admin md-tag-create-multiple "$ns" --names new --append
# append NAME : the status of what it would send
append() {
  curl --noproxy '*' --silent --output /dev/null --write-out '%{http_code}' --max-time 20 "$front$at/tags" \
    --header "X-Auth-Token: $administrator" --header 'X-Openstack-Append: True' --data "{\"tags\": [{\"name\": \"$1\"}]}"
}
is 'tags appended' "$(append new) $(append red) $(seen "$at/tags" 'sorted(t["name"] for t in d["tags"])')" \
  "201 409 ['new', 'red', 'two words']"
said admin md-tag-create-multiple "$ns" --names red,green
said other md-tag-list "$ns"
is 'tag create multiple: replaces all' "$(first_column | tr , '\n' | sort | xargs)" 'green red'
said other md-tag-show "$ns" red
is 'tag show' "$(row name)" red
said admin md-tag-update "$ns" red --name violet
is 'tag update' "$(row name) $(seen "$at/tags/red" d)" 'violet 404'
refused '409' admin md-tag-update "$ns" violet --name green
refused '403' owner md-tag-update "$ns" violet --name mine
refused '404' other md-tag-list Session::Renamed
refused '403' owner md-tag-delete "$ns" violet
quiet admin md-tag-delete "$ns" violet
refused '404' admin md-tag-show "$ns" violet
refused '403' owner md-namespace-tags-delete "$ns"
quiet admin md-namespace-tags-delete "$ns"
is 'all tags deleted' "$(seen "$at/tags" 'd')" "{'tags': []}"

# ---------------------------------------------------------------- protection, the end

said admin md-namespace-update --protected True Session::Renamed
refused '403' admin md-object-delete Session::Renamed limits
refused '403' admin md-property-delete Session::Renamed cores
refused '403' admin md-tag-delete Session::Renamed imported
refused '403' admin md-resource-type-deassociate Session::Renamed Session::Server
refused '403' admin md-namespace-tags-delete Session::Renamed
said admin md-namespace-update --protected False Session::Renamed
refused '403' owner md-namespace-delete Session::Renamed
refused '404' other md-namespace-delete Session::Renamed
quiet admin md-namespace-delete Session::Renamed
quiet admin md-namespace-delete "$ns"
refused '404' admin md-namespace-delete "$ns"
no_namespace_is_left
