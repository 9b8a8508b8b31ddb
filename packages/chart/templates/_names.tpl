{{- define "apisec-top.labels" -}}
app.kubernetes.io/name: apisec-top
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "apisec-top.selector" -}}
app.kubernetes.io/name: apisec-top
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
