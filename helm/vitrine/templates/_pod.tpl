{{/* Pods of the service: what all of them have in common. */}}

{{/* dict root, component, and streams, the resources of the process that image data flows through: variables of a container
     of the service. */}}
{{- define "vitrine.env" -}}
{{- $values := .root.Values }}
{{- $root := include "vitrine.root" . }}
- name: VITRINE_CONFIG
  value: {{ $root }}/config/vitrine.toml
{{- if and (eq .component "api") $values.worker.enabled }}
- name: VITRINE__JOBS__ENABLED
  value: "false"
{{- end }}
{{- $limit := get (default (dict) (default (dict) .streams).limits) "memory" }}
{{- if and $limit (not (hasKey (default (dict) $values.config.data) "memory_budget")) }}
- name: VITRINE__DATA__MEMORY_BUDGET
  value: {{ include "vitrine.memoryBudget" (dict "memory" $limit "key" "resources.limits.memory") }}
{{- end }}
{{- if $values.existingSecrets.ca.name }}
- name: SSL_CERT_FILE
  value: {{ $root }}/secrets/ca/ca.crt
- name: PGSSLROOTCERT
  value: {{ $root }}/secrets/ca/ca.crt
{{- end }}
{{- if has .component (list "api" "worker" "scrub") }}
{{- include "vitrine.otlp" . }}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What tells the releases apart that push to one collector: together with the name of the service, the job that their
     metrics have in Prometheus. */}}
{{- define "vitrine.serviceNamespace" -}}
{{- default (printf "%s/%s" .Release.Namespace .Release.Name) (get (default (dict) .Values.otlp.resourceAttributes) "service.namespace") }}
{{- end }}

{{- define "vitrine.otlp" -}}
{{- $otlp := .root.Values.otlp }}
{{- if $otlp.endpoint }}
{{- range tuple "POD_NAME=metadata.name" "POD_UID=metadata.uid" "NODE_NAME=spec.nodeName" }}
- name: {{ splitList "=" . | first }}
  valueFrom:
    fieldRef:
      fieldPath: {{ splitList "=" . | last }}
{{- end }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ $otlp.endpoint | quote }}
{{- $attributes := list (printf "k8s.namespace.name=%s" .root.Release.Namespace) "k8s.pod.name=$(POD_NAME)" "k8s.pod.uid=$(POD_UID)" "k8s.node.name=$(NODE_NAME)" }}
{{- $attributes = append $attributes (printf "service.namespace=%s" (include "vitrine.serviceNamespace" .root)) }}
{{- range $key, $value := omit (default (dict) $otlp.resourceAttributes) "service.namespace" }}
{{- $attributes = append $attributes (printf "%s=%v" $key $value) }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- if not $otlp.traces }}
- name: OTEL_TRACES_EXPORTER
  value: none
{{- end }}
{{- /* nobody could read the metrics of a scrub in the short time that it runs */}}
{{- if not (or $otlp.metrics (eq .component "scrub")) }}
- name: OTEL_METRICS_EXPORTER
  value: none
{{- end }}
{{- if not (kindIs "invalid" $otlp.sampleRatio) }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ $otlp.sampleRatio | quote }}
{{- end }}
{{- if $otlp.headersSecret.name }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ $otlp.headersSecret.name }}
      key: {{ $otlp.headersSecret.key }}
{{- end }}
{{- end }}
{{- end }}

{{/* Secrets that are mounted, as a map from directory to Secret and files. */}}
{{- define "vitrine.secretFiles" -}}
{{- $secrets := .Values.existingSecrets }}
{{- $files := dict }}
{{- range $dir, $file := dict "database" "url" "keystone" "password" "webhook" "secret" "amqp" "url" "ca" "ca.crt" }}
{{- $secret := get $secrets $dir }}
{{- if $secret.name }}
{{- $_ := set $files $dir (dict "name" $secret.name "items" (dict $file $secret.key)) }}
{{- end }}
{{- end }}
{{- range $id, $secret := $secrets.stores }}
{{- $items := dict "access-key" (default "access-key" $secret.accessKey) "secret-key" (default "secret-key" $secret.secretKey) }}
{{- $_ := set $files (printf "store-%s" $id) (dict "name" $secret.name "items" $items) }}
{{- end }}
{{- toJson $files }}
{{- end }}

{{/* dict root, component. Everything lies below one directory that is mounted as a whole, so that the kubelet can renew it. */}}
{{- define "vitrine.volumeMounts" -}}
{{- $root := include "vitrine.root" . }}
- name: config
  mountPath: {{ $root }}/config
  readOnly: true
{{- if include "vitrine.secretFiles" .root | fromJson }}
- name: secrets
  mountPath: {{ $root }}/secrets
  readOnly: true
{{- end }}
{{- if and .root.Values.policy.rules (ne .component "migrate") }}
- name: policy
  mountPath: {{ $root }}/policy
  readOnly: true
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* dict root, component, config: volumes of a pod whose configuration lies in that ConfigMap. */}}
{{- define "vitrine.volumes" -}}
- name: config
  configMap:
    name: {{ .config }}
{{- with include "vitrine.secretFiles" .root | fromJson }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $dir, $secret := . }}
      - secret:
          name: {{ $secret.name }}
          items:
            {{- range $file, $key := $secret.items }}
            - key: {{ $key }}
              path: {{ $dir }}/{{ $file }}
            {{- end }}
      {{- end }}
{{- end }}
{{- if and .root.Values.policy.rules (ne .component "migrate") }}
- name: policy
  configMap:
    name: {{ include "vitrine.fullname" .root }}-policy
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* dict root, component, name, args, resources, and streams as above: a container of the service without ports and probes. */}}
{{- define "vitrine.container" -}}
name: {{ .name }}
image: {{ include "vitrine.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
securityContext:
  {{- default (dict) .root.Values.securityContext | toYaml | nindent 2 }}
env:
  {{- include "vitrine.env" . | trim | nindent 2 }}
{{- with .root.Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- default (dict) .resources | toYaml | nindent 2 }}
volumeMounts:
  {{- include "vitrine.volumeMounts" . | trim | nindent 2 }}
{{- end }}

{{/* What pods have in common, whatever they run. The root context. */}}
{{- define "vitrine.podBasics" -}}
automountServiceAccountToken: false
# variables for every Service of the namespace are of no use here
enableServiceLinks: false
securityContext:
  {{- default (dict) .Values.podSecurityContext | toYaml | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* dict root, component, labels: labels of pods. Without the chart's version: a chart that changes nothing rolls nothing. */}}
{{- define "vitrine.podLabels" -}}
{{- $fixed := include "vitrine.selectorLabels" . | fromYaml }}
{{- $version := dict "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- mergeOverwrite (dict) $version (default (dict) .root.Values.commonLabels) (default (dict) .labels) $fixed | toYaml }}
{{- end }}

{{/* What rolls the pods: files that are read once. Of Secrets, whose content is not for annotations, the cluster is asked
     for the revision; where it cannot be asked (helm template), a changed Secret needs kubectl rollout restart. */}}
{{- define "vitrine.checksums" -}}
checksum/config: {{ printf "%s%s" (include "vitrine.configFile" .) .Values.policy.propertyProtection | sha256sum }}
{{- $names := list }}
{{- range $_, $secret := include "vitrine.secretFiles" . | fromJson }}
{{- $names = append $names $secret.name }}
{{- end }}
{{- with .Values.otlp.headersSecret.name }}
{{- $names = append $names . }}
{{- end }}
{{- $revisions := list }}
{{- range $names | uniq | sortAlpha }}
{{- with lookup "v1" "Secret" $.Release.Namespace . }}
{{- $revisions = append $revisions (printf "%s=%s" .metadata.name .metadata.resourceVersion) }}
{{- end }}
{{- end }}
{{- if $revisions }}
checksum/secrets: {{ join "," $revisions | sha256sum }}
{{- end }}
{{- end }}

{{/* dict root, component: where replicas go. */}}
{{- define "vitrine.placement" -}}
{{- $values := .root.Values }}
{{- $selector := include "vitrine.selectorLabels" . }}
{{- if $values.affinity }}
affinity:
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if eq $values.antiAffinity "hard" }}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        # a roll-out on as many nodes as replicas would wait for ever; heeded since Kubernetes 1.31
        matchLabelKeys: [pod-template-hash]
        labelSelector:
          matchLabels:
            {{- $selector | nindent 12 }}
{{- else if eq $values.antiAffinity "soft" }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels:
              {{- $selector | nindent 14 }}
{{- end }}
{{- if and $values.topologySpread.enabled $values.topologySpread.topologyKeys }}
topologySpreadConstraints:
  {{- range $values.topologySpread.topologyKeys }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
    # pods of the version that goes do not count
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Probes on the ops port. The port listens before anything else is waited for, so startup asks whether the process is
     there; a database or bucket that is away makes a replica not ready and restarts nothing. */}}
{{- define "vitrine.probes" -}}
{{- $probes := .Values.probes }}
startupProbe:
  httpGet:
    path: /livez
    port: ops
  periodSeconds: 2
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ div (add (int $probes.startupSeconds) 1) 2 }}
readinessProbe:
  httpGet:
    path: /readyz
    port: ops
  periodSeconds: {{ $probes.readinessPeriodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /livez
    port: ops
  periodSeconds: {{ $probes.livenessPeriodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ $probes.livenessFailureThreshold }}
{{- end }}

{{/* Whether pods begin with a check: not while a store is made at the start, which is after it. */}}
{{- define "vitrine.checks" -}}
{{- $checks := .Values.check.enabled }}
{{- range $_, $store := .Values.config.stores }}
{{- if $store.create_bucket }}{{ $checks = false }}{{ end }}
{{- end }}
{{- if $checks }}true{{ end }}
{{- end }}

{{/* What a process needs from SIGTERM to its end beside the drain: the pause for balancers (5 s), work that writes down how
     far it came (15 s, twice), telemetry (5 s), the runtime (2 s), and a few to spare. */}}
{{- define "vitrine.stopSeconds" -}}45{{- end }}

{{/* dict root, key, given, least: a grace period. */}}
{{- define "vitrine.grace" -}}
{{- if kindIs "invalid" .given }}
{{- add .least 15 }}
{{- else if lt (int .given) (int .least) }}
{{- fail (printf "%s is %d, but a pod needs %d seconds to stop: longer than its pause and server.drain_timeout together. Raise it, leave it out, or shorten config.server.drain_timeout" .key (int .given) (int .least)) }}
{{- else }}
{{- int .given }}
{{- end }}
{{- end }}

{{- define "vitrine.apiGrace" -}}
{{- $drain := include "vitrine.seconds" (dict "key" "config.server.drain_timeout" "value" .Values.config.server.drain_timeout) }}
{{- $least := add (int .Values.api.preStopSeconds) (int $drain) (int (include "vitrine.stopSeconds" .)) }}
{{- include "vitrine.grace" (dict "key" "api.terminationGracePeriodSeconds" "given" .Values.api.terminationGracePeriodSeconds "least" $least) }}
{{- end }}

{{- define "vitrine.workerGrace" -}}
{{- $least := int (include "vitrine.stopSeconds" .) }}
{{- include "vitrine.grace" (dict "key" "worker.terminationGracePeriodSeconds" "given" .Values.worker.terminationGracePeriodSeconds "least" $least) }}
{{- end }}

{{/* dict live, least: replicas of a Deployment that an autoscaler sets. One that is there keeps its number: left out where the
     release before had it, it would fall to 1 until the autoscaler raises it. A new one leaves it to the autoscaler. */}}
{{- define "vitrine.scaledReplicas" -}}
{{- with .live }}
{{- printf "replicas: %d" (max (int .spec.replicas) (int $.least)) }}
{{- end }}
{{- end }}

{{/* dict root, component, values, args, grace, preStop: the Deployment of a component. */}}
{{- define "vitrine.deployment" -}}
{{- $root := .root }}
{{- $values := .values }}
{{- $name := include "vitrine.fullname" $root }}
{{- $container := dict "root" $root "component" .component "resources" $values.resources "streams" $values.resources "name" "vitrine" "args" .args }}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "vitrine.metadata" (dict "root" $root "component" .component "name" .name "annotations" $values.annotations) | nindent 2 }}
spec:
  {{- if not (and $values.autoscaling $values.autoscaling.enabled) }}
  replicas: {{ $values.replicas }}
  {{- else }}
  {{- $live := lookup "apps/v1" "Deployment" $root.Release.Namespace .name }}
  {{- include "vitrine.scaledReplicas" (dict "live" $live "least" $values.autoscaling.minReplicas) | nindent 2 }}
  {{- end }}
  revisionHistoryLimit: {{ $root.Values.revisionHistoryLimit }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "vitrine.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "vitrine.podLabels" (dict "root" $root "component" .component "labels" $values.podLabels) | nindent 8 }}
      annotations:
        {{- /* a key may stand there once: what rolls the pods is the chart's, the rest the operator's */}}
        {{- $checksums := include "vitrine.checksums" $root | fromYaml }}
        {{- mergeOverwrite (dict "kubectl.kubernetes.io/default-container" "vitrine") (default (dict) $values.podAnnotations) $checksums | toYaml | nindent 8 }}
    spec:
      {{- include "vitrine.podBasics" $root | trim | nindent 6 }}
      serviceAccountName: {{ include "vitrine.serviceAccountName" $root }}
      terminationGracePeriodSeconds: {{ .grace }}
      {{- include "vitrine.placement" . | trim | nindent 6 }}
      {{- if include "vitrine.checks" $root }}
      initContainers:
        - {{ include "vitrine.container" (dict "root" $root "component" "check" "resources" $root.Values.check.resources "streams" $values.resources "name" "check" "args" (list "check")) | indent 10 | trim }}
      {{- end }}
      containers:
        - {{ include "vitrine.container" $container | indent 10 | trim }}
          ports:
            {{- if eq .component "api" }}
            - name: http
              containerPort: {{ include "vitrine.apiPort" $root }}
            {{- end }}
            - name: ops
              containerPort: {{ include "vitrine.opsPort" $root }}
          {{- include "vitrine.probes" $root | trim | nindent 10 }}
          {{- if .preStop }}
          lifecycle:
            preStop:
              sleep:
                seconds: {{ .preStop }}
          {{- end }}
        {{- with $values.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        {{- include "vitrine.volumes" (dict "root" $root "component" .component "config" $name) | trim | nindent 8 }}
{{- end }}

{{/* dict root, component, name, values: a PodDisruptionBudget where there is somebody to take over. */}}
{{- define "vitrine.podDisruptionBudget" -}}
{{- $values := .values }}
{{- $scaled := and $values.autoscaling $values.autoscaling.enabled }}
{{- $replicas := ternary (default (dict) $values.autoscaling).minReplicas $values.replicas (default false $scaled) | int }}
{{- if and $values.podDisruptionBudget.enabled (gt $replicas 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "vitrine.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  # pods that are not ready protect nobody
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "vitrine.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}
