{{/* The configuration of the service. */}}

{{/* Where files lie in a container. */}}
{{- define "vitrine.root" -}}/etc/vitrine{{- end }}

{{/* `config` over what follows from other values, as JSON. Files that secrets are mounted as are named here. */}}
{{- define "vitrine.config" -}}
{{- include "vitrine.refuseSecrets" . }}
{{- $root := include "vitrine.root" . }}
{{- $given := .Values.config }}
{{- $secrets := .Values.existingSecrets }}
{{- $derived := dict }}
{{- if $secrets.database.name }}
{{- $_ := set $derived "database" (dict "url_file" (printf "%s/secrets/database/url" $root)) }}
{{- end }}
{{- $stores := dict }}
{{- range $id, $secret := $secrets.stores }}
{{- if not (hasKey (default (dict) $given.stores) $id) }}
{{- fail (printf "existingSecrets.stores.%s: there is no config.stores.%s" $id $id) }}
{{- end }}
{{- $dir := printf "%s/secrets/store-%s" $root $id }}
{{- $_ := set $stores $id (dict "access_key_file" (printf "%s/access-key" $dir) "secret_key_file" (printf "%s/secret-key" $dir)) }}
{{- end }}
{{- if $stores }}
{{- $_ := set $derived "stores" $stores }}
{{- end }}
{{- if $secrets.keystone.name }}
{{- $_ := set $derived "identity" (dict "keystone" (dict "password_file" (printf "%s/secrets/keystone/password" $root))) }}
{{- end }}
{{- $notifications := dict }}
{{- if $secrets.webhook.name }}
{{- $_ := set $notifications "webhook" (dict "secret_file" (printf "%s/secrets/webhook/secret" $root)) }}
{{- end }}
{{- if $secrets.amqp.name }}
{{- $_ := set $notifications "amqp" (dict "url_file" (printf "%s/secrets/amqp/url" $root)) }}
{{- end }}
{{- if $notifications }}
{{- $_ := set $derived "notifications" $notifications }}
{{- end }}
{{- $policy := dict }}
{{- if .Values.policy.rules }}
{{- $_ := set $policy "file" (printf "%s/policy/policy.yaml" $root) }}
{{- end }}
{{- if .Values.policy.propertyProtection }}
{{- $_ := set $policy "property_protection_file" (printf "%s/config/property-protection.conf" $root) }}
{{- end }}
{{- if $policy }}
{{- $_ := set $derived "policy" $policy }}
{{- end }}
{{- mergeOverwrite $derived (deepCopy $given) | toJson }}
{{- end }}

{{/* A ConfigMap is readable by more people than a Secret. */}}
{{- define "vitrine.refuseSecrets" -}}
{{- $config := .Values.config }}
{{- $places := list
    (list "database" "url" "existingSecrets.database")
    (list "identity.keystone" "password" "existingSecrets.keystone")
    (list "notifications.webhook" "secret" "existingSecrets.webhook")
    (list "notifications.amqp" "url" "existingSecrets.amqp") }}
{{- range $id, $_ := $config.stores }}
{{- range list "access_key" "secret_key" }}
{{- $places = append $places (list (printf "stores.%s" $id) . (printf "existingSecrets.stores.%s" $id)) }}
{{- end }}
{{- end }}
{{- range $places }}
{{- $at := $config }}
{{- range splitList "." (first .) }}
{{- $at = default (dict) (get (default (dict) $at) .) }}
{{- end }}
{{- if hasKey $at (index . 1) }}
{{- fail (printf "config.%s.%s is a secret and does not belong into a ConfigMap: use %s" (first .) (index . 1) (last .)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Says what is missing or does not fit before anything is installed. */}}
{{- define "vitrine.validate" -}}
{{- include "vitrine.refuseNames" . }}
{{- $config := include "vitrine.config" . | fromJson }}
{{- $database := default (dict) $config.database }}
{{- if not $database.url_file }}
{{- fail "existingSecrets.database.name is not set: name a Secret that holds the URL of the database, such as one made by kubectl create secret generic vitrine-database --from-literal=url=postgres://user:password@host:5432/name" }}
{{- end }}
{{- if not $config.stores }}
{{- fail "config.stores is empty: name at least one bucket, for example --set config.stores.main.bucket=images" }}
{{- end }}
{{- range $id, $store := $config.stores }}
{{- if not $store.bucket }}
{{- fail (printf "config.stores.%s.bucket is not set" $id) }}
{{- end }}
{{- end }}
{{- $identity := default (dict) $config.identity }}
{{- $keystone := default (dict) $identity.keystone }}
{{- if eq (default "keystone" $identity.mode) "keystone" }}
{{- range list "auth_url" "username" }}
{{- if not (get $keystone .) }}
{{- fail (printf "config.identity.keystone.%s is not set; tokens could not be validated without it" .) }}
{{- end }}
{{- end }}
{{- if not $keystone.password_file }}
{{- fail "existingSecrets.keystone.name is not set: name a Secret that holds the password of config.identity.keystone.username" }}
{{- end }}
{{- end }}
{{- if and .Values.worker.enabled (eq (int .Values.worker.replicas) 0) }}
{{- fail "worker.enabled is on with worker.replicas 0: nobody would do the background work, as the API leaves it to the workers" }}
{{- end }}
{{- if hasKey (default (dict) $config.jobs) "enabled" }}
{{- fail "config.jobs.enabled follows worker.enabled: leave it out" }}
{{- end }}
{{- end }}

{{/* The port of an address such as 0.0.0.0:9292 or [::]:9292. A loopback address would be reached by nobody. */}}
{{- define "vitrine.port" -}}
{{- if regexMatch "^(127\\.|\\[::1\\])" .address }}
{{- fail (printf "config.server.%s is %s, where neither probes nor users reach it" .key .address) }}
{{- end }}
{{- $port := regexFind "[0-9]+$" .address }}
{{- if not $port }}
{{- fail (printf "config.server.%s must be an address with a port, not %s" .key .address) }}
{{- end }}
{{- $port }}
{{- end }}

{{- define "vitrine.apiPort" -}}
{{- include "vitrine.port" (dict "key" "bind" "address" .Values.config.server.bind) }}
{{- end }}

{{- define "vitrine.opsPort" -}}
{{- include "vitrine.port" (dict "key" "ops_bind" "address" .Values.config.server.ops_bind) }}
{{- end }}

{{/* A table as TOML. toToml of Helm writes whole numbers as floats in many releases, and the service refuses those.
     dict table, path. */}}
{{- define "vitrine.toml" -}}
{{- $path := .path }}
{{- range $key, $value := .table }}
{{- if and (not (kindIs "map" $value)) (not (kindIs "invalid" $value)) }}
{{ include "vitrine.tomlKey" $key }} = {{ include "vitrine.tomlValue" (dict "value" $value "at" (append $path $key)) }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $names := list }}
{{- range append $path $key }}
{{- $names = append $names (include "vitrine.tomlKey" .) }}
{{- end }}

[{{ join "." $names }}]
{{- include "vitrine.toml" (dict "table" $value "path" (append $path $key)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "vitrine.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toRawJson . }}{{ end }}
{{- end }}

{{/* Strings of JSON are strings of TOML. */}}
{{- define "vitrine.tomlValue" -}}
{{- $value := .value }}
{{- if kindIs "slice" $value }}
{{- $items := list }}
{{- range $value }}
{{- $items = append $items (include "vitrine.tomlValue" (dict "value" . "at" $.at)) }}
{{- end }}
{{- printf "[%s]" (join ", " $items) }}
{{- else if kindIs "float64" $value }}
{{- if eq (floor $value) $value }}{{ printf "%.0f" $value }}{{ else }}{{ toJson $value }}{{ end }}
{{- else if kindIs "string" $value }}
{{- if typeIs "json.Number" $value }}{{ toString $value }}{{ else }}{{ toRawJson $value }}{{ end }}
{{- else if or (kindIs "map" $value) (kindIs "invalid" $value) }}
{{- fail (printf "config.%s: a list holds text, numbers and booleans only" (join "." .at)) }}
{{- else }}
{{- toString $value }}
{{- end }}
{{- end }}

{{/* The file. */}}
{{- define "vitrine.configFile" -}}
# Written by the chart from `config`.
{{- include "vitrine.toml" (dict "table" (include "vitrine.config" . | fromJson) "path" list) }}
{{- end }}

{{/* A duration of the configuration in whole seconds, rounded up. */}}
{{- define "vitrine.seconds" -}}
{{- $text := toString .value | trim }}
{{- if not (regexMatch "^[0-9]+ *(ms|s|m|h|d)?$" $text) }}
{{- fail (printf "%s must be a duration such as 90s or 10m, not %s" .key $text) }}
{{- end }}
{{- $number := regexFind "^[0-9]+" $text | int64 }}
{{- $unit := regexFind "[a-z]+$" $text }}
{{- if eq $unit "ms" }}
{{- div (add $number 999) 1000 }}
{{- else }}
{{- mul $number (get (dict "" 1 "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) }}
{{- end }}
{{- end }}

{{/* Half of a memory limit in MiB, as the part budget. dict memory, key. */}}
{{- define "vitrine.memoryBudget" -}}
{{- $text := toString .memory }}
{{- if kindIs "float64" .memory }}{{ $text = printf "%.0f" .memory }}{{ end }}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$" $text) }}
{{- fail (printf "%s must be a quantity such as 1Gi, not %s" .key $text) }}
{{- end }}
{{- $number := regexFind "^[0-9.]+" $text | float64 }}
{{- $factors := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 }}
{{- $half := divf (mulf $number (get $factors (regexFind "[A-Za-z]*$" $text))) 2097152.0 | floor | int64 }}
{{- if lt $half 64 }}
{{- fail (printf "%s is %s: a replica needs at least 128Mi" .key $text) }}
{{- end }}
{{- printf "%dMiB" $half }}
{{- end }}

{{/* Port of a URL, or that of its scheme. */}}
{{- define "vitrine.urlPort" -}}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- default (ternary "80" "443" (eq $url.scheme "http")) $port }}
{{- end }}
