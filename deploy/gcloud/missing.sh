#!/usr/bin/env bash
# Lists uploads without a document: BigQuery joins the changes of both buckets, which the variable track_objects has written.
#
#   PROJECT_ID=my-project deploy/gcloud/missing.sh              name and generation of each that is older than an hour
#   PROJECT_ID=my-project deploy/gcloud/missing.sh --hours=24   older than a day
#   PROJECT_ID=my-project deploy/gcloud/missing.sh --publish    and announces them again: a collection takes them in
#
# What is announced although it has a document, or runs, is left alone.
hours=1 publish=''
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --publish) publish=1 ;;
    --hours=[0-9]*) hours=${argument#*=} ;;
    *) echo "unknown option $argument" >&2; exit 2 ;;
  esac
done
# shellcheck source=deploy/gcloud/project.sh
. "$(dirname "$0")/project.sh"
[ "$(setting track_objects)" = yes ] || die "No changes are written: deploy with TRACK_OBJECTS=true first (docs/scale.md)."

job=missing_$(date +%s)_$$
name_of() { bucket "$1" | sed s,gs://,,; }
sed "s/\${input_bucket}/$(name_of input)/; s/\${output_bucket}/$(name_of output)/; s/\${hours}/$hours/" "$ROOT/deploy/monitoring/missing.sql" |
  "$PYTHON" -c 'import json, sys
changes = {"sourceFormat": "AVRO", "sourceUris": [sys.argv[1]], "avroOptions": {"useAvroLogicalTypes": True}}
query = {"query": sys.stdin.read(), "useLegacySql": False, "tableDefinitions": {"changes": changes}}
reference = dict(zip(("projectId", "location", "jobId"), sys.argv[2:]))
print(json.dumps({"jobReference": reference, "configuration": {"query": query}}))' \
    "$(bucket changes)/*.avro" "$PROJECT_ID" "$REGION" "$job" >"$TEMPORARY/job.json"
rest POST bigquery "bigquery/v2/projects/$PROJECT_ID/jobs" "$TEMPORARY/job.json" >"$TEMPORARY/started"

token='' count=0
while :; do
  rest GET bigquery "bigquery/v2/projects/$PROJECT_ID/queries/$job?location=$REGION&maxResults=1000&timeoutMs=60000${token:+&pageToken=$token}" >"$TEMPORARY/page.json"
  [ "$(json 'it["jobComplete"]' <"$TEMPORARY/page.json")" = true ] || continue
  json '"\n".join("\t".join(cell["v"] for cell in row["f"]) for row in it.get("rows", []))' <"$TEMPORARY/page.json" | sed '/^$/d'
  rows_here=$(json 'len(it.get("rows", []))' <"$TEMPORARY/page.json")
  if [ -n "$publish" ] && [ "$rows_here" -gt 0 ]; then
    json '{"messages": [{"attributes": {"eventType": "OBJECT_FINALIZE", "payloadFormat": "NONE", "bucketId": arguments[0],
      "objectId": row["f"][0]["v"], "objectGeneration": row["f"][1]["v"]}} for row in it["rows"]]}' "$(name_of input)" <"$TEMPORARY/page.json" >"$TEMPORARY/messages.json"
    retry rest POST pubsub "v1/projects/$PROJECT_ID/topics/$(resource uploads):publish" "$TEMPORARY/messages.json" >"$TEMPORARY/published"
  fi
  count=$((count + rows_here))
  token=$(json 'it.get("pageToken") or ""' <"$TEMPORARY/page.json")
  [ -n "$token" ] || break
done
say "$count uploads have no document${publish:+; they were announced again}."
