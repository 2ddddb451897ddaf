{{- define "streamer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "streamer.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "streamer.daemonSelector" -}}
{{ include "streamer.selector" . }}
app.kubernetes.io/component: daemon
{{- end -}}

{{- define "streamer.labels" -}}
{{ include "streamer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "streamer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "streamer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "streamer.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* "true" where the brokers want a password. */ -}}
{{- define "streamer.hasPassword" -}}
{{- if and (eq .Values.config.bus.kind "kafka") (hasPrefix "SASL" (.Values.config.kafka.security_protocol | default "")) -}}true{{- end -}}
{{- end -}}

{{- define "streamer.sourceSecret" -}}
{{- default (printf "%s-source" (include "streamer.fullname" .)) .Values.credentials.source.existingSecret -}}
{{- end -}}

{{- /* Strimzi names the Secret of a user as the user. */ -}}
{{- define "streamer.kafkaSecret" -}}
{{- $own := ternary (include "streamer.fullname" .) (printf "%s-kafka" (include "streamer.fullname" .)) .Values.strimzi.enabled -}}
{{- default $own .Values.credentials.kafka.existingSecret -}}
{{- end -}}

{{- define "streamer.claim" -}}
{{- default (include "streamer.fullname" .) .Values.persistence.existingClaim -}}
{{- end -}}

{{- /* The configuration with what the chart itself decides: where secrets and the volume are. */ -}}
{{- define "streamer.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config.source "client_secret_file" (printf "/run/secrets/source/%s" .Values.credentials.source.key) -}}
{{- if include "streamer.hasPassword" . -}}
{{- $_ := set $config.kafka "sasl_password_file" (printf "/run/secrets/kafka/%s" .Values.credentials.kafka.key) -}}
{{- if and .Values.strimzi.enabled (not $config.kafka.sasl_username) -}}
{{- $_ := set $config.kafka "sasl_username" (include "streamer.fullname" .) -}}
{{- end -}}
{{- end -}}
{{- if eq $config.bus.kind "sqlite" -}}
{{- $_ := set $config.bus "path" "/var/lib/streamer/streamer.db" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "streamer.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "streamer.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "streamer.volumeMounts" -}}
- name: config
  mountPath: /etc/streamer
  readOnly: true
- name: source
  mountPath: /run/secrets/source
  readOnly: true
{{- if include "streamer.hasPassword" . }}
- name: kafka
  mountPath: /run/secrets/kafka
  readOnly: true
{{- end }}
{{- if eq .Values.config.bus.kind "sqlite" }}
- name: data
  mountPath: /var/lib/streamer
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Secrets are mounted whole: a key that is missing is then told by the program, in the termination message. */ -}}
{{- define "streamer.volumes" -}}
- name: config
  configMap:
    name: {{ include "streamer.fullname" . }}
- name: source
  secret:
    secretName: {{ include "streamer.sourceSecret" . }}
    defaultMode: 0440
{{- if include "streamer.hasPassword" . }}
- name: kafka
  secret:
    secretName: {{ include "streamer.kafkaSecret" . }}
    defaultMode: 0440
{{- end }}
{{- if eq .Values.config.bus.kind "sqlite" }}
- name: data
  persistentVolumeClaim:
    claimName: {{ include "streamer.claim" . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
