#!/usr/bin/env bash
# Examines a deployed project: says of everything whether it is there, and how to mend what is not; then sends an input through.
#
#   PROJECT_ID=my-project deploy/gcloud/doctor.sh [--no-smoke]
#
# Exit status 1 when something is missing. SMOKE_SECONDS (300) bounds the wait for the test input's document.
smoke=1
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --no-smoke) smoke='' ;;
    *) echo "unknown option $argument" >&2; exit 2 ;;
  esac
done
here=$(dirname "$0")
# shellcheck source=deploy/gcloud/project.sh
. "$here/project.sh"
# shellcheck source=deploy/gcloud/permissions.sh
. "$here/permissions.sh"
missing=0
well() { printf 'ok       %s\n' "$*"; }
ill() { missing=$((missing + 1)); printf 'MISSING  %s\n         %s\n' "$1" "$2"; }
each() {                           # LISTED MEND NAME…: whether every name is in the list
  local list=$1 mend=$2 name
  shift 2
  for name in "$@"; do if grep -qxF "$name" <<<"$list"; then well "$name"; else ill "$name" "$mend"; fi; done
}
prefixed() { local name; for name in "$@"; do resource "$name"; done; }
# shellcheck disable=SC2046  # one argument for each name
examine() {
  each "$(gcloud services list --enabled --format='value(config.name)')" "deploy.sh apis" $(rows apis)
  each "$(gcloud iam service-accounts list --format='value(email)')" "deploy.sh accounts" $(for name in $(names accounts); do account "$name"; done)
  each "$(gcloud storage buckets list --format='value(storage_url)' | sed 's|/$||')" "deploy.sh buckets" $(for name in $(names buckets); do bucket "$name"; done)
  each "$(gcloud functions list --filter='state=ACTIVE' --format='value(name.basename())')" "deploy.sh functions; gcloud functions logs read NAME --gen2" $(prefixed $(names functions))
  local region
  for region in $(gpu_regions); do
    each "$(gcloud run services describe "$(resource gpu-service)" --region="$region" --format='value(metadata.name)' 2>/dev/null | sed "s/\$/ in $region/")" \
      "deploy.sh gpu" "$(resource gpu-service) in $region"
  done
  each "$(gcloud run jobs describe "$(resource gpu-job)" --region="$(inventory get gpu_job.region)" --format='value(metadata.name)' 2>/dev/null)" "deploy.sh job" "$(resource gpu-job)"
  each "$(gcloud pubsub topics list --format='value(name.basename())')" "deploy.sh messaging" $(prefixed $(names topics))
  each "$(gcloud pubsub subscriptions list --format='value(name.basename())')" "deploy.sh messaging" $(prefixed $(names push) $(names pull))
  each "$(gcloud workflows list --format='value(name.basename())')" "deploy.sh workflow" "$PREFIX"
  each "$(gcloud eventarc triggers list --format='value(name.basename())')" "deploy.sh triggers" $(prefixed $(names triggers))
  each "$(gcloud scheduler jobs list --location="$REGION" --filter='state=ENABLED' --format='value(name.basename())')" "deploy.sh schedules" $(prefixed $(names schedules))
  each "$(gcloud logging metrics list --format='value(name)')" "deploy.sh monitoring" $(prefixed $(names log_metrics))
}

roles() {
  local target who role only place last=
  while IFS=$'\x1f' read -r target who role only; do
    for place in $(places "$target"); do
      [ "$target $place" = "$last" ] || policy "$target" "$place"
      last="$target $place"
      if granted "$(member "$who")" "$role" "$only"; then well "$who may $role on $target"
      else ill "$who lacks $role on $target${place:+ ($place)}" "deploy.sh $(step_for "$target")"; fi
    done
  done < <(rows iam target who role only | sort)
}

step_for() { case $1 in project | account/*) echo accounts ;; bucket/*) echo buckets ;; service/* | job/*) echo callers ;; trigger/*) echo triggers ;; *) echo messaging ;; esac; }

notifications() {
  local name bucket topic
  while IFS=$'\x1f' read -r name bucket topic; do
    if [ -n "$(told "$bucket" "$topic")" ]; then well "notifications of $(bucket "$bucket") to $(resource "$topic")"
    else ill "notifications of $(bucket "$bucket") to $(resource "$topic")" "deploy.sh triggers"; fi
  done < <(rows notifications bucket topic)
}

dead_letters() {                   # a trigger without one loses an event that fails for a day
  local name
  for name in $(names triggers); do
    if [ -n "$(gcloud pubsub subscriptions describe "$(delivery "$name")" --format='value(deadLetterPolicy.deadLetterTopic)' 2>/dev/null)" ]; then
      well "dead letters of $name"
    else ill "dead letters of $name" "deploy.sh triggers"; fi
  done
}

quota() {                          # of GPUs, for the service and the job by themselves; a young project has none
  local id=NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion value need region
  [ "$(setting gpu_type)" = nvidia-l4 ] || { say "?        the quota of $(setting gpu_type): see g.co/cloudrun/gpu-quota"; return 0; }
  there rest GET cloudquotas "v1/projects/$PROJECT_ID/locations/global/services/run.googleapis.com/quotaInfos/$id" ||
    { echo "?        the quota of L4 GPUs could not be read; gcloud services enable cloudquotas.googleapis.com"; return 0; }
  for region in $(gpu_regions); do
    value=$(json 'max([int(d["details"]["value"]) for d in it.get("dimensionsInfos", []) if arguments[0] in d.get("applicableLocations", [])], default=0)' \
      "$region" <"$TEMPORARY/there")
    need=$(setting max_instances)
    [ "$region" != "$(places job/gpu-job)" ] || [ "$need" -ge "$(setting job_tasks)" ] || need=$(setting job_tasks)
    if [ "$value" -ge "$need" ]; then well "quota of $value L4 GPUs in $region"
    else ill "a quota of $need L4 GPUs in $region, it is $value" "ask at g.co/cloudrun/gpu-quota, or set MAX_INSTANCES and JOB_TASKS"; fi
  done
}

send_through() {                   # a text into the input bucket, its document out of the output bucket
  local name until_
  name=doctor/$(date +%s)-$$.txt
  echo 'A wonderful film, and a fine evening.' >"$TEMPORARY/input.txt"
  gcloud storage cp "$TEMPORARY/input.txt" "$(bucket input)/$name" --quiet 2>/dev/null || { ill "an upload to $(bucket input)" "you need roles/storage.objectUser there"; return; }
  until_=$((SECONDS + ${SMOKE_SECONDS:-300}))
  while [ $SECONDS -lt $until_ ]; do
    if there gcloud storage cat "$(bucket output)/latest/$name.json"; then
      if [ "$(json 'it["status"]' <"$TEMPORARY/there")" = succeeded ]; then well "$name became a result"
      else ill "$name became no result" "gcloud storage cat $(bucket output)/latest/$name.json"; fi
      return
    fi
    sleep "$((WAIT_SECONDS / 3))"
  done
  ill "a document for $name within ${SMOKE_SECONDS:-300} s" "gcloud workflows executions list $PREFIX; gcloud functions logs read $(resource on-upload) --gen2"
}

examine
notifications
roles
dead_letters
quota
if [ "$missing" -eq 0 ] && [ -n "$smoke" ]; then send_through; fi
[ "$missing" -eq 0 ] || die "$missing missing."
say "All is there."
