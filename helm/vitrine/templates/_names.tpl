{{/* Names and labels. */}}

{{- define "vitrine.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 48 | trimSuffix "-" }}
{{- end }}

{{/* What every object is called. Room is left for the longest suffix under the limit of 63. */}}
{{- define "vitrine.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" }}
{{- else if contains (include "vitrine.name" .) .Release.Name }}
{{- .Release.Name | trunc 48 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "vitrine.name" .) | trunc 48 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Judges what comes of release and overrides, as a release may be called 2nd or a.b, which no Service may. */}}
{{- define "vitrine.refuseNames" -}}
{{- $fullname := include "vitrine.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) }}
{{- fail (printf "the objects would be called %q, but a Service takes lower-case letters, digits and hyphens only, a letter first and no hyphen last: set fullnameOverride, or change nameOverride or the name of the release" $fullname) }}
{{- end }}
{{- $name := include "vitrine.name" . }}
{{- if not (regexMatch "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" $name) }}
{{- fail (printf "the label app.kubernetes.io/name would be %q, but labels take letters, digits, hyphens, underscores and dots only, a letter or digit first and last: change nameOverride" $name) }}
{{- end }}
{{- end }}

{{/* What selectors go by. These never change: a Deployment cannot change its selector. */}}
{{- define "vitrine.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vitrine.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* dict root, component: labels of an object. */}}
{{- define "vitrine.labels" -}}
{{- $fixed := include "vitrine.selectorLabels" . | fromYaml }}
{{- $more := dict
    "helm.sh/chart" (printf "%s-%s" .root.Chart.Name (replace "+" "_" .root.Chart.Version))
    "app.kubernetes.io/version" .root.Chart.AppVersion
    "app.kubernetes.io/part-of" "openstack"
    "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- mergeOverwrite (dict) $more (default (dict) .root.Values.commonLabels) (default (dict) .labels) $fixed | toYaml }}
{{- end }}

{{/* dict root, component, name, and where wanted annotations, labels: the metadata of an object. */}}
{{- define "vitrine.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "vitrine.labels" . | nindent 2 }}
{{- with mergeOverwrite (dict) (default (dict) .root.Values.commonAnnotations) (default (dict) .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* dict weight: annotations of a hook that runs before installation and upgrade. It goes when all of them have succeeded. */}}
{{- define "vitrine.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "vitrine.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "vitrine.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "vitrine.image" -}}
{{- $image := .Values.image }}
{{- $name := ternary (printf "%s/%s" $image.registry $image.repository) $image.repository (ne (default "" $image.registry) "") }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}
