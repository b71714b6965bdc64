{{/* Short: with "-triton-" and a pool's name it must fit into 52, a StatefulSet's limit. */}}
{{- define "pentad.name" -}}{{ .Release.Name | trunc 28 | trimSuffix "-" }}{{- end }}

{{- define "pentad.labels" -}}
app.kubernetes.io/name: pentad
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "pentad.selector" -}}
app.kubernetes.io/name: pentad
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Image of the component .component; with its own tag .tag, if there is one. */}}
{{- define "pentad.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}pentad-{{ .component }}:{{ .tag | default $image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* Whether any pool serves other services than lip-sync: "true" or nothing. */}}
{{- define "pentad.common" -}}
{{- range .Values.nodePools }}{{ if not .lipsync }}true{{ end }}{{ end -}}
{{- end }}

{{/* Seconds in which a gateway leaves the endpoints and finishes what runs: preStop and drain. */}}
{{- define "pentad.drain" -}}
{{- $drain := 20 -}}
{{- with .Values.config.server }}{{ $drain = .drain_seconds | default 20 }}{{ end -}}
{{- add .Values.gateway.preStopSeconds (ceil $drain) -}}
{{- end }}

{{- define "pentad.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "pentad.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A gateway's container: .root, .services, .url, .metrics, .control */}}
{{- define "pentad.gatewayContainer" -}}
name: gateway
image: {{ include "pentad.image" (dict "root" .root "component" "gateway") }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
env:
  - name: PENTAD_SERVICES
    value: {{ toJson .services | quote }}
  - name: PENTAD_TRITON__URL
    value: {{ .url | quote }}
  {{- if not (dig "triton" "metrics_url" "" .root.Values.config) }}
  # Of every address of the name: one Triton each.
  - name: PENTAD_TRITON__METRICS_URL
    value: {{ .metrics | quote }}
  {{- end }}
  - name: PENTAD_TRITON__CONTROL
    value: {{ .control | quote }}
  {{- if has "tryon" .services }}
  - name: PENTAD_TRYON__JOBS__DATABASE_URL
    valueFrom:
      secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: database-url}
  {{- end }}
  {{- with .root.Values.gateway.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - {name: http, containerPort: 9000}
  - {name: iot, containerPort: 5000}
  - {name: tryon, containerPort: 8080}
  - {name: vision, containerPort: 8090}
  - {name: text, containerPort: 8765}
  - {name: lipsync, containerPort: 50051}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
# Canary inferences through every model of the services.
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
# First out of the endpoints, then SIGTERM: the gateway finishes what runs.
lifecycle:
  preStop:
    exec:
      command: [python, -c, "import time; time.sleep({{ .root.Values.gateway.preStopSeconds }})"]
resources: {{- toYaml .root.Values.gateway.resources | nindent 2 }}
securityContext: {{- include "pentad.containerSecurity" . | nindent 2 }}
{{- end }}

{{- define "pentad.secretMounts" -}}
- {name: config, mountPath: /opt/pentad/config.yaml, subPath: config.yaml, readOnly: true}
- {name: secrets, mountPath: /run/secrets, readOnly: true}
{{- end }}

{{- define "pentad.secretVolumes" -}}
- name: config
  configMap: {name: {{ include "pentad.name" . }}}
- name: secrets
  secret:
    secretName: {{ .Values.existingSecret }}
    defaultMode: 0440
{{- end }}
