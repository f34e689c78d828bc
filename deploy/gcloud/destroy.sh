#!/usr/bin/env bash
# Deletes the system from a project, after confirmation. Keeps inputs, outputs and models unless --with-data is given.
#
#   PROJECT_ID=my-project deploy/gcloud/destroy.sh [--dry-run] [--yes] [--with-data]
#
# --with-data deletes every bucket and its contents, and the dataset of reports. Set the variables of the deployment:
# with BILLING_ACCOUNT the budget is deleted, with AUDIT_LOGS=true the audit configuration. At the end it lists what stays,
# and the command that removes it. Other deployments in the project lose nothing.
with_data='' yes=''
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --yes) yes=1 ;;
    --with-data) with_data=1 ;;
    *) echo "unknown option $argument" >&2; exit 2 ;;
  esac
done
# shellcheck source=deploy/gcloud/project.sh
. "$(dirname "$0")/project.sh"
# shellcheck source=deploy/gcloud/permissions.sh
. "$(dirname "$0")/permissions.sh"
staying=()
stays() { staying+=("$1  ->  $2"); }   # WHAT COMMAND-THAT-REMOVES-IT

if [ -z "$yes$DRY_RUN" ]; then
  say "This deletes $PREFIX in $PROJECT_ID${with_data:+, with all inputs, outputs and models}. Type the project's id to continue:"
  read -r answer || answer=''
  [ "$answer" = "$PROJECT_ID" ] || die "Nothing was deleted."
fi

if [ -n "$DRY_RUN" ]; then exec 3>&1; else exec 3>/dev/null; fi

existing=$(listed gcloud scheduler jobs list --location="$REGION" --format='value(name)')
for name in $(names schedules) $(names off.schedules); do delete_listed "$existing" "$(resource "$name")" gcloud scheduler jobs delete --location="$REGION"; done
existing=$(listed gcloud eventarc triggers list --format='value(name)')
for name in $(names triggers) $(names off.triggers); do delete_listed "$existing" "$(resource "$name")" gcloud eventarc triggers delete; done
while IFS=$'\x1f' read -r _ bucket topic prefix; do
  for notification in $(notification_names "$bucket" "$topic" "$prefix"); do change gcloud storage buckets notifications delete "$notification" >&3; done
done < <(rows notifications bucket topic prefix && rows off.notifications bucket topic prefix)
existing=$(listed gcloud pubsub subscriptions list --format='value(name)')
for name in $(names push) $(names off.push) $(names pull) $(names off.pull); do delete_listed "$existing" "$(resource "$name")" gcloud pubsub subscriptions delete; done
existing=$(listed gcloud pubsub topics list --format='value(name)')
for name in $(names topics) $(names off.topics); do delete_listed "$existing" "$(resource "$name")" gcloud pubsub topics delete; done
existing=$(listed gcloud workflows list --format='value(name)')
delete_listed "$existing" "$PREFIX" gcloud workflows delete
existing=$(listed gcloud functions list --format='value(name)')
for name in $(names functions) $(names off.functions); do delete_listed "$existing" "$(resource "$name")" gcloud functions delete --gen2; done
for region in $(gpu_regions); do
  existing=$(listed gcloud run services describe "$(resource gpu-service)" --region="$region" --format='value(metadata.name)')
  delete_listed "$existing" "$(resource gpu-service)" gcloud run services delete --region="$region"
done
for name in gpu-job cut-job; do
  for region in $(regions_of "job/$name"); do
    existing=$(listed gcloud run jobs describe "$(resource "$name")" --region="$region" --format='value(metadata.name)')
    delete_listed "$existing" "$(resource "$name")" gcloud run jobs delete --region="$region"
  done
done
existing=$(listed gcloud artifacts repositories list --format='value(name)')
delete_listed "$existing" "$PREFIX" gcloud artifacts repositories delete
existing=$(listed gcloud logging metrics list --format='value(name)')
for name in $(names log_metrics); do delete_listed "$existing" "$(resource "$name")" gcloud logging metrics delete; done
existing=$(listed gcloud logging sinks list --format='value(name)')
delete_listed "$existing" "$(resource "$(inventory get log_sink.name)")" gcloud logging sinks delete

# The dataset holds reported data, so it is deleted only with the data.
dataset=${PREFIX//-/_}_$(inventory get log_sink.name)
if exists rest GET bigquery "bigquery/v2/projects/$PROJECT_ID/datasets/$dataset"; then
  if [ -n "$with_data" ]; then change rest DELETE bigquery "bigquery/v2/projects/$PROJECT_ID/datasets/$dataset?deleteContents=true" >&3
  else stays "the dataset $dataset of reports" "bq rm --recursive --dataset $PROJECT_ID:$dataset"; fi
fi
{ for name in $(names alerts) $(names off.alerts); do resource "$name"; done; for name in $(rows dashboards); do echo "$PREFIX $name"; done; } >"$TEMPORARY/displayed"
for collection in v3/projects/$PROJECT_ID/alertPolicies v1/projects/$PROJECT_ID/dashboards; do
  { rest GET monitoring "$collection?pageSize=1000" || echo '{}'; } | json '"\n".join(entry["name"] for entries in it.values() if isinstance(entries, list)
    for entry in entries if entry.get("displayName", "") in open(arguments[0]).read().splitlines())' "$TEMPORARY/displayed" |
    while read -r name; do [ -z "$name" ] || change rest DELETE monitoring "${collection%%/*}/$name" >&3; done
done
! exists rest GET monitoring "v3/projects/$PROJECT_ID/services/$PREFIX" || {
  exists rest GET monitoring "v3/projects/$PROJECT_ID/services/$PREFIX/serviceLevelObjectives/$(inventory get slo.name)" &&
    change rest DELETE monitoring "v3/projects/$PROJECT_ID/services/$PREFIX/serviceLevelObjectives/$(inventory get slo.name)" >&3
  change rest DELETE monitoring "v3/projects/$PROJECT_ID/services/$PREFIX" >&3
}

recall
# Buckets of the deployment are deleted below, or kept with their objects.
grants all project secret bucket | { grep -v "^bucket"$'\x1f'"$PROJECT_ID-$PREFIX-" || true; } | take_away
withdraw project
existing=$(gcloud iam service-accounts list --format='value(email)' || true)
for name in $(names accounts); do delete_listed "$existing" "$(account "$name")" gcloud iam service-accounts delete; done

existing=$(gcloud storage buckets list --format='value(name)' || true)
while IFS=$'\x1f' read -r name keep; do
  grep -qxF "$(bucket "$name" | sed s,gs://,,)" <<<"$existing" || continue
  if [ "$keep" = yes ] && [ -z "$with_data" ]; then stays "$(bucket "$name") with its objects" "gcloud storage rm --recursive $(bucket "$name")"; continue; fi
  change gcloud storage rm --recursive "$(bucket "$name")" --quiet
done < <(rows buckets keep && rows off.buckets keep | grep -v ^input)  # an existing input bucket is among those that are off

# What is made for the whole project or billing account.
billing=$(setting billing_account)
if [ -n "$billing" ]; then
  for name in $(budgets "$billing"); do change gcloud billing budgets delete "$name" --quiet >&3; done
else
  stays "the budget $PROJECT_ID $PREFIX, if BILLING_ACCOUNT was set" "BILLING_ACCOUNT=… deploy/gcloud/destroy.sh, or gcloud billing budgets delete"
fi
audited='it.get("auditConfigs", []).count({"service": "storage.googleapis.com", "auditLogConfigs": [{"logType": "DATA_READ"}, {"logType": "DATA_WRITE"}]})'
project_policy=$(gcloud projects get-iam-policy "$PROJECT_ID" --format=json || echo '{}')
if json "$audited or 1/0" <<<"$project_policy" >/dev/null 2>&1; then
  if [ "$(setting audit_logs)" = yes ]; then
    json '{**it, "auditConfigs": [entry for entry in it["auditConfigs"] if entry["service"] != "storage.googleapis.com"]}' \
      <<<"$project_policy" >"$TEMPORARY/policy.json"
    change gcloud projects set-iam-policy "$PROJECT_ID" "$TEMPORARY/policy.json" >&3
  else
    stays "the audit configuration of Cloud Storage" "AUDIT_LOGS=true deploy/gcloud/destroy.sh"
  fi
fi
for name in $(grep '^gcf-v2-' <<<"$existing" || true); do
  stays "gs://$name with the source of functions, which all functions of the project use" "gcloud storage rm --recursive gs://$name"
done
! exists gcloud artifacts repositories describe gcf-artifacts ||
  stays "the images of functions in the registry gcf-artifacts, which all functions of the project use" \
    "gcloud artifacts repositories delete gcf-artifacts --location=$REGION"
stays "the APIs of the project, which cost nothing" "gcloud services disable"
[ -z "$with_data" ] || stays "deleted objects of input, output and models, for 7 days, billed as before" "nothing removes them earlier"
say "What stays, and what removes it:"
for line in ${staying[@]+"${staying[@]}"}; do say "  $line"; done
