{{/* Rules of network policies. */}}

{{/* Anywhere but the denied addresses, as peers: every pod, as some implementations do not count pods among addresses, and
     every address. The root context. */}}
{{- define "vitrine.anywhere" -}}
- namespaceSelector: {}
{{- include "vitrine.addresses" (dict "denied" .Values.networkPolicy.deniedAddresses) }}
{{- end }}

{{/* dict denied: all addresses but those. */}}
{{- define "vitrine.addresses" -}}
{{- range $cidr, $colon := dict "0.0.0.0/0" false "::/0" true }}
- ipBlock:
    cidr: {{ $cidr | quote }}
    {{- $except := list }}
    {{- range $.denied }}
    {{- if eq (contains ":" .) $colon }}
    {{- $except = append $except . }}
    {{- end }}
    {{- end }}
    {{- with $except | uniq }}
    except:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end }}

{{/* Networks that are nobody's on the Internet; the service itself refuses them as sources too. */}}
{{- define "vitrine.privateNetworks" -}}
{{- list "0.0.0.0/8" "10.0.0.0/8" "100.64.0.0/10" "127.0.0.0/8" "169.254.0.0/16" "172.16.0.0/12" "192.0.0.0/24" "192.168.0.0/16"
    "198.18.0.0/15" "224.0.0.0/4" "240.0.0.0/4" "::/127" "fc00::/7" "fe80::/10" "ff00::/8" | toJson }}
{{- end }}

{{/* dict root, rule, ports, protocols: one rule for outgoing traffic. */}}
{{- define "vitrine.egressRule" -}}
- to:
    {{- if .rule.to }}
    {{- toYaml .rule.to | nindent 4 }}
    {{- else if .public }}
    {{- include "vitrine.addresses" (dict "denied" (concat (include "vitrine.privateNetworks" .root | fromJsonArray) (default (list) .root.Values.networkPolicy.deniedAddresses))) | nindent 4 }}
    {{- else }}
    {{- include "vitrine.anywhere" .root | nindent 4 }}
    {{- end }}
  {{- $protocols := default (list "TCP") .protocols }}
  {{- with .ports }}
  ports:
    {{- range $port := . }}
    {{- range $protocols }}
    - port: {{ int $port }}
      protocol: {{ . }}
    {{- end }}
    {{- end }}
  {{- end }}
{{- end }}

{{/* Ports of all stores. */}}
{{- define "vitrine.storePorts" -}}
{{- $ports := list }}
{{- range $_, $store := .Values.config.stores }}
{{- $ports = append $ports (include "vitrine.urlPort" (default "https://" $store.endpoint)) }}
{{- end }}
{{- $ports | uniq | sortAlpha | toJson }}
{{- end }}

{{/* dict root, needs: rules for outgoing traffic to what is in the list: dns, postgres, s3, keystone, collector, imports. */}}
{{- define "vitrine.egress" -}}
{{- $root := .root }}
{{- $values := $root.Values }}
{{- $egress := $values.networkPolicy.egress }}
{{- $keystone := default (dict) (default (dict) $values.config.identity).keystone }}
{{- $needs := .needs }}
{{- if has "dns" $needs }}
{{ include "vitrine.egressRule" (dict "root" $root "rule" $egress.dns "ports" $egress.dns.ports "protocols" (list "UDP" "TCP")) }}
{{- end }}
{{- if has "postgres" $needs }}
{{ include "vitrine.egressRule" (dict "root" $root "rule" $egress.postgres "ports" $egress.postgres.ports) }}
{{- end }}
{{- if has "s3" $needs }}
{{- $ports := default (include "vitrine.storePorts" $root | fromJsonArray) $egress.s3.ports }}
{{ include "vitrine.egressRule" (dict "root" $root "rule" $egress.s3 "ports" $ports) }}
{{- end }}
{{- /* who validates no tokens, but registers the service, says here where Keystone is */}}
{{- if and (has "keystone" $needs) (or $keystone.auth_url $egress.keystone.to $egress.keystone.ports) }}
{{- $ports := default (list (include "vitrine.urlPort" (default "https://" $keystone.auth_url))) $egress.keystone.ports }}
{{ include "vitrine.egressRule" (dict "root" $root "rule" $egress.keystone "ports" $ports) }}
{{- end }}
{{- if and (has "collector" $needs) $values.otlp.endpoint }}
{{- $ports := default (list (include "vitrine.urlPort" $values.otlp.endpoint)) $egress.collector.ports }}
{{ include "vitrine.egressRule" (dict "root" $root "rule" $egress.collector "ports" $ports) }}
{{- end }}
{{- if and (has "imports" $needs) $egress.imports.enabled }}
{{- $import := default (dict) $values.config.import }}
{{- /* an empty list of the service means any port, and so it does here */}}
{{- $allowed := ternary $import.allowed_ports (list 80 443) (hasKey $import "allowed_ports") }}
{{- $ports := default $allowed $egress.imports.ports }}
{{ include "vitrine.egressRule" (dict "root" $root "rule" $egress.imports "ports" $ports "public" true) }}
{{- end }}
{{- if has "extra" $needs }}
{{- with $values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Namespaces by name, as peers. */}}
{{- define "vitrine.namespaces" -}}
{{- with .names }}
- namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values:
          {{- toYaml . | nindent 10 }}
{{- end }}
{{- end }}
