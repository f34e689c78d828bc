# Sourced by deploy.sh: log-based metrics, alerts, dashboards, the service level objective, and the log sink for reports.
# shellcheck shell=bash

body() { "$PYTHON" "$ROOT/deploy/monitoring/bodies.py" "$@" >"$TEMPORARY/$1-${2:-body}.json"; echo "$TEMPORARY/$1-${2:-body}.json"; }

monitoring() {
  local name file
  while read -r name; do
    file=$(body log_metrics "$name")
    matches "$file" gcloud logging metrics describe "$(resource "$name")" --format=json || {
      if [ -s "$TEMPORARY/found" ]; then change gcloud logging metrics update "$(resource "$name")" --config-from-file="$file" >&3
      else retry gcloud logging metrics create "$(resource "$name")" --config-from-file="$file" >&3; fi
    }
  done < <(rows log_metrics | cut -d $'\x1f' -f1)
  policies
  dashboards
  objective
  reports
}

matches() {                           # FILE COMMAND…: whether the JSON that the command prints contains all of the file
  local file=$1
  shift
  exists "$@" && "$PYTHON" - "$file" "$TEMPORARY/found" <<'PYTHON'
import json, sys

def within(wanted, found):
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(not value or within(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(within, wanted, found))
    return wanted == found

wanted, found = (json.load(open(name)) for name in sys.argv[1:])
sys.exit(not within(wanted, found))
PYTHON
}

entry_named() {                           # COLLECTION DISPLAY-NAME: prints the entry
  rest GET monitoring "$1?pageSize=1000" | json '[entry for entries in it.values() if isinstance(entries, list)
    for entry in entries if entry.get("displayName") == arguments[0]][0]' "$2"
}

upsert() {                       # COLLECTION DISPLAY-NAME FILE: creates or updates the entry
  local name
  matches "$3" entry_named "$1" "$2" && return
  if [ -s "$TEMPORARY/found" ]; then
    name=$(json 'it["name"]' <"$TEMPORARY/found")
    change rest PATCH monitoring "${1%%/*}/$name" "$3" >&3
  else
    retry rest POST monitoring "$1" "$3" >&3
  fi
}

policies() {
  local name
  while read -r name; do
    upsert "v3/projects/$PROJECT_ID/alertPolicies" "$(resource "$name")" "$(body alerts "$name")"
  done < <(rows alerts | cut -d $'\x1f' -f1)
  for name in $(names off.alerts); do
    ! exists entry_named "v3/projects/$PROJECT_ID/alertPolicies" "$(resource "$name")" ||
      change rest DELETE monitoring "v3/$(json 'it["name"]' <"$TEMPORARY/found")" >&3
  done
}

dashboards() {
  local name file
  while read -r name; do
    upsert "v1/projects/$PROJECT_ID/dashboards" "$PREFIX $name" "$(body dashboards "$name")"
  done < <(rows dashboards)
}

objective() {
  local service=v3/projects/$PROJECT_ID/services/$PREFIX file
  exists rest GET monitoring "$service" ||
    retry rest POST monitoring "v3/projects/$PROJECT_ID/services?serviceId=$PREFIX" "$(body service)" >&3
  file=$(body slo)
  matches "$file" rest GET monitoring "$service/serviceLevelObjectives/$(inventory get slo.name)" ||
    if [ -s "$TEMPORARY/found" ]; then change rest PATCH monitoring "$service/serviceLevelObjectives/$(inventory get slo.name)" "$file" >&3
    else retry rest POST monitoring "$service/serviceLevelObjectives?serviceLevelObjectiveId=$(inventory get slo.name)" "$file" >&3; fi
}

reports() {                        # the dataset, the sink that fills it, and the sink's permission
  local dataset sink writer
  [ "$(setting reports)" = yes ] || { without_reports; return; }
  dataset=$(body dataset | xargs cat | json 'it["datasetReference"]["datasetId"]')
  sink=$(resource "$(inventory get log_sink.name)")
  exists rest GET bigquery "bigquery/v2/projects/$PROJECT_ID/datasets/$dataset" ||
    retry rest POST bigquery "bigquery/v2/projects/$PROJECT_ID/datasets" "$(body dataset)" >&3
  exists gcloud logging sinks describe "$sink" --format='value(filter)' ||
    retry gcloud logging sinks create "$sink" "bigquery.googleapis.com/projects/$PROJECT_ID/datasets/$dataset" \
      --log-filter="$(inventory get log_sink.filter)" --use-partitioned-tables >&3
  [ -z "$DRY_RUN" ] || return 0
  writer=$(gcloud logging sinks describe "$sink" --format='value(writerIdentity)')
  rest GET bigquery "bigquery/v2/projects/$PROJECT_ID/datasets/$dataset" >"$TEMPORARY/dataset"
  ! grep -q "${writer#serviceAccount:}" "$TEMPORARY/dataset" || return 0
  json '{"access": [*it.get("access", []), {"role": "WRITER", "userByEmail": arguments[0]}]}' "${writer#serviceAccount:}" \
    <"$TEMPORARY/dataset" >"$TEMPORARY/access.json"
  retry rest PATCH bigquery "bigquery/v2/projects/$PROJECT_ID/datasets/$dataset" "$TEMPORARY/access.json" >&3
}

without_reports() {                # deletes the sink; the dataset keeps what it has
  local sink
  sink=$(resource "$(inventory get log_sink.name)")
  ! exists gcloud logging sinks describe "$sink" --format='value(name)' || change gcloud logging sinks delete "$sink" --quiet
}

views() {                          # optional: the tables that views read exist only after the first log lines
  local dataset view
  dataset=$(body dataset | xargs cat | json 'it["datasetReference"]["datasetId"]')
  sed "s/\${project_id}/$PROJECT_ID/g; s/\${dataset}/$dataset/g" "$ROOT/deploy/monitoring/views.sql" |
    json_query >"$TEMPORARY/query.json"
  change rest POST bigquery "bigquery/v2/projects/$PROJECT_ID/queries" "$TEMPORARY/query.json" >&3
  for view in jobs cost_figures; do
    say "https://lookerstudio.google.com/reporting/create?ds.ds0.connector=bigQuery&ds.ds0.type=TABLE&ds.ds0.projectId=$PROJECT_ID&ds.ds0.datasetId=$dataset&ds.ds0.tableId=$view"
  done
}

json_query() { "$PYTHON" -c 'import json, sys; print(json.dumps({"query": sys.stdin.read(), "useLegacySql": False, "location": sys.argv[1]}))' "$REGION"; }
