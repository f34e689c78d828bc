#!/usr/bin/env bash
# Checks a deployment: reports what is missing and the command that repairs it, then runs `einf doctor --send`, which
# examines it as its user and sends an input through the pipeline.
#
#   PROJECT_ID=my-project deploy/gcloud/doctor.sh [--no-smoke]
#   PROJECT_ID=my-project deploy/gcloud/doctor.sh --before
#
# Exits with 1 if something is missing. SMOKE_SECONDS (300) limits the wait for the test input's document.
# With --before, checks a project that has no deployment yet: what would stop one, and the command or link that mends it.
# Then exits with 1 if something would, or with 3 if nothing does but something could not be read.
smoke=1
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --no-smoke) smoke='' ;;
    --before) EXAMINING=1 ;;
    *) echo "unknown option $argument" >&2; exit 2 ;;
  esac
done
here=$(dirname "$0")
# shellcheck source=deploy/gcloud/project.sh
. "$here/project.sh"
# shellcheck source=deploy/gcloud/permissions.sh
. "$here/permissions.sh"
# shellcheck source=deploy/gcloud/preflight.sh
. "$here/preflight.sh"
if [ -n "${EXAMINING:-}" ]; then
  status=0
  examine_project all || status=$?
  case $status in
    0) say "Nothing stands in the way of a deployment." ;;
    3) say "Nothing that could be read stands in the way of a deployment." ;;
    *) say "Mend what is BLOCKED before you deploy." ;;
  esac
  exit "$status"
fi
missing=0
report_ok() { printf 'ok       %s\n' "$*"; }
report_missing() { missing=$((missing + 1)); printf 'MISSING  %s\n         %s\n' "$1" "$2"; }
check_each() {                     # EXISTING-NAMES REPAIR NAME…: checks that every name exists
  local existing=$1 repair=$2 name
  shift 2
  for name in "$@"; do if grep -qxF "$name" <<<"$existing"; then report_ok "$name"; else report_missing "$name" "$repair"; fi; done
}
resources() { local name; for name in "$@"; do resource "$name"; done; }
# shellcheck disable=SC2046  # one argument per name
examine() {
  check_each "$(gcloud services list --enabled --format='value(config.name)')" "deploy.sh apis" $(rows apis)
  check_each "$(gcloud iam service-accounts list --format='value(email)')" "deploy.sh accounts" $(for name in $(names accounts); do account "$name"; done)
  check_each "$(gcloud storage buckets list --format='value(storage_url)' | sed 's|/$||')" "deploy.sh buckets" $(for name in $(names buckets); do bucket "$name"; done)
  check_each "$(gcloud functions list --filter='state=ACTIVE' --format='value(name.basename())')" "deploy.sh functions; gcloud functions logs read NAME --gen2" $(resources $(names functions))
  local region
  for region in $(gpu_regions); do
    check_each "$(gcloud run services describe "$(resource gpu-service)" --region="$region" --format='value(metadata.name)' 2>/dev/null | sed "s/\$/ in $region/")" \
      "deploy.sh gpu" "$(resource gpu-service) in $region"
  done
  for name in gpu-job cut-job; do
    for region in $(regions_of "job/$name"); do
      check_each "$(gcloud run jobs describe "$(resource "$name")" --region="$region" --format='value(metadata.name)' 2>/dev/null | sed "s/\$/ in $region/")" \
        "deploy.sh job" "$(resource "$name") in $region"
    done
  done
  check_each "$(gcloud pubsub topics list --format='value(name.basename())')" "deploy.sh messaging" $(resources $(names topics))
  check_each "$(gcloud pubsub subscriptions list --format='value(name.basename())')" "deploy.sh messaging" $(resources $(names push) $(names pull))
  check_each "$(gcloud workflows list --format='value(name.basename())')" "deploy.sh workflow" "$PREFIX"
  check_each "$(gcloud eventarc triggers list --format='value(name.basename())')" "deploy.sh triggers" $(resources $(names triggers))
  check_each "$(gcloud scheduler jobs list --location="$REGION" --filter='state=ENABLED' --format='value(name.basename())')" "deploy.sh schedules" $(resources $(names schedules))
  check_each "$(gcloud logging metrics list --format='value(name)')" "deploy.sh monitoring" $(resources $(names log_metrics))
}

roles() {
  local target who role only region last=
  while IFS=$'\x1f' read -r target who role only; do
    for region in $(regions_of "$target"); do
      [ "$target $region" = "$last" ] || policy "$target" "$region"
      last="$target $region"
      if granted "$(member "$who")" "$role" "$only"; then report_ok "$who may $role on $target"
      else report_missing "$who lacks $role on $target${region:+ ($region)}" "deploy.sh $(step_for "$target")"; fi
    done
  done < <(rows iam target who role only | sort)
}

step_for() { case $1 in project | account/* | secret/*) echo accounts ;; bucket/*) echo buckets ;; service/* | job/*) echo callers ;; trigger/*) echo triggers ;; *) echo messaging ;; esac; }

notifications() {
  local name bucket topic prefix
  while IFS=$'\x1f' read -r name bucket topic prefix; do
    if [ -n "$(notification_names "$bucket" "$topic" "$prefix")" ]; then report_ok "notifications of $(bucket "$bucket")/$prefix to $(resource "$topic")"
    else report_missing "notifications of $(bucket "$bucket")/$prefix to $(resource "$topic")" "deploy.sh triggers"; fi
  done < <(rows notifications bucket topic prefix)
}

dead_letters() {                   # without a dead-letter topic, a trigger loses an event that fails for a day
  local name
  for name in $(names triggers); do
    if [ -n "$(gcloud pubsub subscriptions describe "$(trigger_subscription "$name")" --format='value(deadLetterPolicy.deadLetterTopic)' 2>/dev/null)" ]; then
      report_ok "dead letters of $name"
    else report_missing "dead letters of $name" "deploy.sh triggers"; fi
  done
}

# shellcheck disable=SC2046  # one argument per name
notified() {                       # a deployment without channels works, but its alerts tell nobody
  local silent
  silent=$(rest GET monitoring "v3/projects/$PROJECT_ID/alertPolicies?pageSize=1000" | json 'sum(not entry.get("notificationChannels")
    for entry in it.get("alertPolicies", []) if entry["displayName"] in arguments)' $(resources $(names alerts)))
  [ "$silent" -gt 0 ] || return 0
  echo "?        $silent alerts notify nobody: gcloud beta monitoring channels create --display-name='On call' --type=email --channel-labels=email_address=YOU@EXAMPLE.COM"
  echo "         then NOTIFICATION_CHANNELS=projects/$PROJECT_ID/notificationChannels/NUMBER deploy/gcloud/deploy.sh monitoring"
}

quotas() {
  local status=0
  examine_project quotas || status=$?
  [ "$status" -ne 1 ] || missing=$((missing + 1))
}

send_input() {                     # as a user, by the client: what you may do, what failed lately, a text and its document
  "$PYTHON" -c 'import click, google.cloud.pubsub_v1' 2>/dev/null || die "$PYTHON lacks einf's packages: run make setup, or pass --no-smoke."
  local target=(EINF_PROJECT="$PROJECT_ID" EINF_REGION="$REGION" EINF_SERVICE_PREFIX="$PREFIX" EINF_INPUT_BUCKET="$(setting input_bucket)")
  [ -z "${EINF_CONTEXT:-}" ] || target=()        # one with other endpoints, for example
  env ${target[@]+"${target[@]}"} PYTHONPATH="$ROOT" "$PYTHON" -m event_inference doctor --send --timeout "${SMOKE_SECONDS:-300}" --yes || missing=$((missing + 1))
}

examine
notifications
roles
dead_letters
notified
quotas
if [ "$missing" -eq 0 ] && [ -n "$smoke" ]; then send_input; fi
[ "$missing" -eq 0 ] || die "$missing missing."
say "The deployment is complete."
