#!/usr/bin/env bash
# Deploys the system described in deploy/inventory.yaml to a project. Creates what is missing, and updates services, schedules,
# monitoring and permissions that differ. Topics, subscriptions and the trigger are created once; of them only the delivery
# attempts are updated, and MICRO_BATCHING chooses between the trigger and the bucket's notifications. An interrupted run can be started again.
# What variables have switched on is taken away once they are emptied: permissions, regions, the trigger of another bucket, alerts.
#
#   PROJECT_ID=my-project deploy/gcloud/deploy.sh              everything
#   PROJECT_ID=my-project deploy/gcloud/deploy.sh on-upload    one function, or any of STEPS below
#   PROJECT_ID=my-project deploy/gcloud/deploy.sh rollback     services, functions, workflow and job as before the last run
#   PROJECT_ID=my-project deploy/gcloud/deploy.sh --dry-run    print the commands only
#   PROJECT_ID=my-project deploy/gcloud/deploy.sh --no-preflight    everything, whatever the preflight finds
#
# A new revision gets no traffic until it has answered a request; --no-smoke relies on its startup probe alone.
# Set any variable of deploy/variables.yaml in capitals: REGION, SERVICE_PREFIX, GPU_TYPE, MAX_INSTANCES …
chosen=() no_smoke='' skip_preflight=''
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --no-smoke) no_smoke=1 ;;
    --no-preflight) skip_preflight=1 ;;
    -*) echo "unknown option $argument" >&2; exit 2 ;;
    *) chosen+=("$argument") ;;
  esac
done
here=$(dirname "$0")
# shellcheck source=deploy/gcloud/project.sh
. "$here/project.sh"
# shellcheck source=deploy/gcloud/permissions.sh
. "$here/permissions.sh"
# shellcheck source=deploy/gcloud/monitoring.sh
. "$here/monitoring.sh"
# shellcheck source=deploy/gcloud/traffic.sh
. "$here/traffic.sh"
# shellcheck source=deploy/gcloud/preflight.sh
. "$here/preflight.sh"
STEPS="preflight apis identities accounts buckets registry image functions gpu job callers messaging workflow triggers schedules monitoring budget audit"
OPTIONAL_STEPS="views rollback"    # run only when named

preflight() {                      # enables the APIs first, because some of the findings are read with them
  local status=0
  [ -z "$DRY_RUN$skip_preflight" ] || return 0
  apis || say "  not every API could be enabled; the reason is among the findings"
  PATIENT=1 examine_project all >&2 || status=$?
  [ "$status" -ne 1 ] || die "Nothing was built. Mend what is BLOCKED, and run deploy.sh again, or with --no-preflight to build regardless."
}

apis() {
  local enabled missing
  enabled=$(gcloud services list --enabled --format='value(config.name)' || true)
  missing=$(rows apis | grep -vxF "${enabled:-none}" || true)
  # shellcheck disable=SC2086  # one argument per API
  [ -z "$missing" ] || retry gcloud services enable $missing
}

identities() {                     # creates Google's service agents, which must exist before roles are granted to them
  local api
  for api in $(rows identities); do
    retry rest POST serviceusage "v1beta1/projects/$PROJECT_ID/services/$api:generateServiceIdentity" >&3
  done
  retry gcloud storage service-agent >&3
}

accounts() {
  local name about
  remember
  gcloud iam service-accounts list --format='value(email)' >"$TEMPORARY/accounts" || true
  while IFS=$'\x1f' read -r name about; do
    grep -qxF "$(account "$name")" "$TEMPORARY/accounts" ||
      retry gcloud iam service-accounts create "$(resource "$name")" --display-name="$about"
  done < <(rows accounts)
  permissions account
  permissions project
  permissions secret
}

buckets() {
  local name class soft_delete flag flags
  while IFS=$'\x1f' read -r name class soft_delete; do
    if ! exists gcloud storage buckets describe "$(bucket "$name")" --raw --format=json; then
      retry gcloud storage buckets create "$(bucket "$name")" --location="$REGION" --uniform-bucket-level-access \
        --public-access-prevention --soft-delete-duration="${soft_delete}d" --default-storage-class="$class" \
        ${KMS_KEY_NAME:+"--default-encryption-key=$KMS_KEY_NAME"}
      echo "{\"encryption\": {\"defaultKmsKeyName\": \"$KMS_KEY_NAME\"}, \"storageClass\": \"$class\", \"softDeletePolicy\": {\"retentionDurationSeconds\": $((soft_delete * 86400))}}" >"$TEMPORARY/found"
    fi
    flags=()
    while read -r flag; do flags+=("$flag"); done < <("$PYTHON" "$ROOT/deploy/gcloud/bucket.py" "$name" "$TEMPORARY/lifecycle.json" <"$TEMPORARY/found")
    [ ${#flags[@]} -eq 0 ] || change gcloud storage buckets update "$(bucket "$name")" "${flags[@]}"
  done < <(rows buckets class soft_delete)
  existing_input
  remember
  permissions bucket
}

existing_input() {                 # an input bucket that the deployment did not make must exist where its events are received
  local location
  [ "$(setting own_input)" = no ] && [ -z "$DRY_RUN" ] || return 0
  location=$(gcloud storage buckets describe "$(bucket input)" --format='value(location)' | tr '[:upper:]' '[:lower:]') ||
    die "existing_input_bucket is $(setting input_bucket), which cannot be read."
  [ "$location" = "$(setting input_location)" ] ||
    die "$(bucket input) lies in $location: set EXISTING_INPUT_LOCATION=$location."
}

registry() {
  exists gcloud artifacts repositories describe "$PREFIX" ||
    retry gcloud artifacts repositories create "$PREFIX" --repository-format=docker ${KMS_KEY_NAME:+"--kms-key=$KMS_KEY_NAME"}
}

image() {                          # builds the GPU service's image, model weights included, unless it exists
  exists gcloud artifacts docker images describe "$GPU_IMAGE" ||
    retry gcloud builds submit "$ROOT" --region="$(setting build_region)" --config="$ROOT/deploy/gpu-image.yaml" \
      --ignore-file="$ROOT/deploy/gpu-image.ignore" --gcs-source-staging-dir="$(bucket source)/image" \
      --service-account="projects/$PROJECT_ID/serviceAccounts/$(account builder)" \
      --substitutions="_IMAGE=$GPU_IMAGE,_PROFILE=$(setting gpu_profile),_WHEELS=$(setting wheels)"
}

functions() {
  local name
  while read -r name; do deploy_function "$name"; done < <(rows functions)
}

deploy_function() {                # deploys a function whose source or settings have changed
  local folder=${1//-/_} digest runtime secret cpu memory concurrency timeout max_instances name
  "$PYTHON" "$ROOT/deploy/stage.py" "$folder" >&2
  IFS=$'\x1f' read -r name cpu memory concurrency timeout max_instances < \
    <(rows functions cpu memory concurrency timeout max_instances | grep "^$1"$'\x1f')
  inventory environment "$name" >"$TEMPORARY/$name.json"
  runtime=$(inventory get runtime)
  secret=$(inventory get "functions.$name.secret")
  local flags=(
    --gen2 "--runtime=$runtime" "--source=$ROOT/build/functions/$folder" "--entry-point=$folder" --trigger-http
    --no-allow-unauthenticated "--service-account=$(account "$name")"
    "--build-service-account=projects/$PROJECT_ID/serviceAccounts/$(account builder)"
    "--cpu=$cpu" "--memory=$memory" "--concurrency=$concurrency" "--timeout=${timeout}s" --min-instances=0 "--max-instances=$max_instances"
    "--ingress-settings=$(setting ingress | sed s/internal/internal-only/)" "--env-vars-file=$TEMPORARY/$name.json"
  )
  # What is not named stays as it was, so an emptied variable is named too.
  if [ -z "$(setting vpc_connector)" ]; then flags+=(--clear-vpc-connector)
  else flags+=("--vpc-connector=$(setting vpc_connector)" "--egress-settings=$(setting vpc_egress | sed s/all-traffic/all/)"); fi
  if [ -z "$(setting build_worker_pool)" ]; then flags+=(--clear-build-worker-pool)
  else flags+=("--build-worker-pool=$(setting build_worker_pool)"); fi
  if [ -z "$KMS_KEY_NAME" ]; then flags+=(--clear-kms-key --clear-docker-repository)
  else flags+=("--kms-key=$KMS_KEY_NAME" "--docker-repository=projects/$PROJECT_ID/locations/$REGION/repositories/$PREFIX"); fi
  [ -z "$secret" ] ||
    flags+=("--set-secrets=$(inventory get "secrets.$secret.folder"):/$(inventory get "secrets.$secret.file")=$(inventory get "secrets.$secret.secret"):latest")
  digest=$({ echo "${flags[@]/$TEMPORARY/}"; cat "$TEMPORARY/$name.json"; contents "$ROOT/build/functions/$folder"; } | fingerprint)
  if [ "$(gcloud functions describe "$(resource "$name")" --format='value(labels.deployed,state)' 2>/dev/null)" != "$digest"$'\t'ACTIVE ]; then
    hold "$name" "$REGION"
    retry gcloud functions deploy "$(resource "$name")" "${flags[@]}" "--update-labels=deployed=$digest" >&3
  fi
  promote "$name" "$REGION"
  # Deployed alone, the function takes its job along; in a whole deployment, the step `job` follows.
  if [ ${#chosen[@]} -gt 0 ] && [ "$name" = "$(inventory get cut_job.function)" ]; then deploy_cut_job; fi
}

gpu() {
  local name=gpu-service digest region secrets
  inventory environment "$name" >"$TEMPORARY/$name.json"
  rows gpu_service >"$TEMPORARY/service"
  get() { sed -n "s/^$1"$'\x1f'"//p" "$TEMPORARY/service"; }
  probe() {
    local path period timeout failures
    IFS=$'\x1f' read -r path period timeout failures < <(rows gpu_service path period timeout failures | sed -n "s/^$1"$'\x1f'"//p")
    echo "httpGet.path=$path,httpGet.port=$(get port),periodSeconds=$period,timeoutSeconds=$timeout,failureThreshold=$failures"
  }
  local flags=(
    "--image=$(get image)" "--service-account=$(account "$name")" --no-allow-unauthenticated "--ingress=$(setting ingress)"
    --cpu-boost --execution-environment=gen2
    "--cpu=$(get cpu)" "--memory=$(get memory)" "--concurrency=$(get concurrency)" "--timeout=$(get timeout)"
    "--min-instances=$(get min_instances)" "--max-instances=$(get max_instances)" "--port=$(get port)"
    "--startup-probe=$(probe startup_probe)" "--liveness-probe=$(probe liveness_probe)" "--env-vars-file=$TEMPORARY/$name.json"
  )
  if [ "$(get gpu)" = none ]; then flags+=(--gpu=0 --cpu-throttling)
  else flags+=(--gpu=1 "--gpu-type=$(get gpu)" --no-gpu-zonal-redundancy --no-cpu-throttling); fi
  secrets=$(rows secrets secret file | sed -n 's/^\([^\x1f]*\)\x1f\([^\x1f]*\)\x1f$/\1=\2:latest/p' | paste -sd , -)  # those without a file
  if [ -n "$secrets" ]; then flags+=("--set-secrets=$secrets"); else flags+=(--clear-secrets); fi
  if [ -n "$(setting vpc_network)" ]; then
    flags+=("--network=$(setting vpc_network)" "--subnet=$(setting vpc_subnetwork)" "--vpc-egress=$(setting vpc_egress)")
  elif [ -n "$(setting vpc_connector)" ]; then
    flags+=("--vpc-connector=$(setting vpc_connector)" "--vpc-egress=$(setting vpc_egress)")
  else
    flags+=(--clear-network --clear-vpc-connector)
  fi
  if [ -n "$KMS_KEY_NAME" ]; then flags+=("--key=$KMS_KEY_NAME"); else flags+=(--clear-key); fi
  digest=$({ echo "${flags[@]/$TEMPORARY/}"; cat "$TEMPORARY/$name.json"; } | fingerprint)
  for region in $(gpu_regions); do
    if ! read_service "$name" "$region"; then
      retry gcloud run deploy "$(resource "$name")" --region="$region" "${flags[@]}" "--update-labels=deployed=$digest" >&3
    elif [ "$(of_service 'it["metadata"].get("labels", {}).get("deployed", "")')" != "$digest" ]; then
      retry gcloud run deploy "$(resource "$name")" --region="$region" "${flags[@]}" "--update-labels=deployed=$digest" --no-traffic --tag=candidate >&3
    fi
    promote "$name" "$region"
  done
}

job() {
  deploy_job gpu-job
  deploy_cut_job
}

deploy_cut_job() {
  local image
  image=$(function_image "$(inventory get cut_job.function)")
  deploy_job cut-job "$image"
}

deploy_job() {                     # NAME [IMAGE]: deploys a job to its regions where its settings have changed
  local name=$1 image=${2-} file=$TEMPORARY/$1.json region
  for region in $(regions_of "job/$name"); do
    "$PYTHON" "$ROOT/deploy/gcloud/job.py" "$name" "$region" ${image:+"$image"} >"$file"
    [ "$(gcloud run jobs describe "$(resource "$name")" --region="$region" --format='value(metadata.labels.deployed)' 2>/dev/null)" = \
      "$(json 'it["metadata"]["labels"]["deployed"]' <"$file")" ] || retry gcloud run jobs replace "$file" --region="$region" >&3
  done
}

function_image() {                 # NAME: the image that Cloud Functions has built
  if read_service "$1" "$REGION"; then of_service 'it["spec"]["template"]["spec"]["containers"][0]["image"]'
  elif [ -n "$DRY_RUN" ]; then echo "IMAGE-OF-$1"
  else die "$(resource "$1") does not exist yet: run deploy.sh $1"; fi
}

callers() {
  permissions service
  permissions job
}

has_subscription() { exists gcloud pubsub subscriptions describe "$(resource "$1")" --format='value(deadLetterPolicy.maxDeliveryAttempts)'; }
update_attempts() {                # NAME ATTEMPTS FLAG…: after has_subscription, updates it if it makes another number of attempts
  [ -z "$2" ] || [ "$(cat "$TEMPORARY/found")" = "$2" ] || retry gcloud pubsub subscriptions update "$(resource "$1")" "${@:3}"
}

messaging() {
  local name topic service days ack min_backoff max_backoff dead attempts bucket flags
  while IFS=$'\x1f' read -r name days; do
    exists gcloud pubsub topics describe "$(resource "$name")" ||
      retry gcloud pubsub topics create "$(resource "$name")" --message-retention-duration="${days}d" \
        ${KMS_KEY_NAME:+"--topic-encryption-key=$KMS_KEY_NAME"}
  done < <(rows topics retention_days)
  while IFS=$'\x1f' read -r name topic ack min_backoff max_backoff days dead attempts bucket; do
    flags=()
    [ -z "$bucket" ] || flags+=(--cloud-storage-bucket="$(bucket "$bucket" | sed s,gs://,,)" --cloud-storage-file-suffix=.avro
      --cloud-storage-max-duration=300s --cloud-storage-output-format=avro --cloud-storage-write-metadata)
    [ -z "$dead" ] || flags+=(--dead-letter-topic="$(resource "$dead")" --max-delivery-attempts="$attempts")
    [ -z "$min_backoff" ] || flags+=(--min-retry-delay="${min_backoff}s" --max-retry-delay="${max_backoff}s")
    if has_subscription "$name"; then update_attempts "$name" "$attempts" ${flags[@]+"${flags[@]}"}; continue; fi
    retry gcloud pubsub subscriptions create "$(resource "$name")" --topic="$(resource "$topic")" \
      --ack-deadline="$ack" --message-retention-duration="${days}d" --expiration-period=never ${flags[@]+"${flags[@]}"}
  done < <(rows pull topic ack_deadline backoff.0 backoff.1 retention_days dead_letter attempts bucket)
  while IFS=$'\x1f' read -r name topic service ack min_backoff max_backoff days dead attempts; do
    flags=(--min-retry-delay="${min_backoff}s" --max-retry-delay="${max_backoff}s")
    [ -z "$dead" ] || flags+=(--dead-letter-topic="$(resource "$dead")" --max-delivery-attempts="$attempts")
    if has_subscription "$name"; then update_attempts "$name" "$attempts" "${flags[@]}"; continue; fi
    local url
    url=$(service_url "$service")
    retry gcloud pubsub subscriptions create "$(resource "$name")" --topic="$(resource "$topic")" \
      --push-endpoint="$url/projects/$PROJECT_ID/topics/$(resource "$topic")" --push-auth-service-account="$(account events)" \
      --push-auth-token-audience="$url" --ack-deadline="$ack" \
      --message-retention-duration="${days}d" --expiration-period=never "${flags[@]}"
  done < <(rows push topic service ack_deadline backoff.0 backoff.1 retention_days dead_letter attempts)
  permissions topic
  permissions subscription
}

workflow() {
  local variable service digest url file=$TEMPORARY/workflow.json
  inventory environment workflow >"$file"
  while IFS=$'\x1f' read -r variable service; do
    url=$(service_url "$service")
    json '{**it, arguments[0]: arguments[1]}' "$variable" "$url" <"$file" >"$file.more"
    mv "$file.more" "$file"
  done < <(rows workflow.urls)
  digest=$({ cat "$file" "$ROOT/workflow.yaml"; echo "$KMS_KEY_NAME"; } | fingerprint)
  [ "$(gcloud workflows describe "$PREFIX" --format='value(labels.deployed)' 2>/dev/null)" = "$digest" ] ||
    retry gcloud workflows deploy "$PREFIX" --source="$ROOT/workflow.yaml" --service-account="$(account workflow)" \
      --env-vars-file="$file" --call-log-level=log-errors-only --labels="deployed=$digest" \
      "$([ -n "$KMS_KEY_NAME" ] && echo "--kms-key=$KMS_KEY_NAME" || echo --clear-kms-key)" >&3
  leave_regions
}

leave_regions() {                  # deletes the GPU service and job where the workflow calls them no longer
  local kind name region
  recall
  while IFS=$'\x1f' read -r kind name region; do
    case $name in "$(resource gpu-service)" | "$(resource gpu-job)") ;; *) continue ;; esac
    ! exists gcloud run "${kind}s" describe "$name" --region="$region" --format='value(metadata.name)' ||
      change gcloud run "${kind}s" delete "$name" --region="$region" --quiet
  done < <(grants stale service job | cut -d $'\x1f' -f 1-3 | sort -u)
}

triggers() {                       # delivers uploads by trigger or notification; creates the new way before deleting the old
  local name event bucket dead attempts topic payload prefix
  [ ${#chosen[@]} -eq 0 ] || permissions project     # else granted by earlier steps, as on the topic
  while IFS=$'\x1f' read -r name event bucket dead attempts; do
    ! of_another_bucket "$name" "$bucket" || change gcloud eventarc triggers delete "$(resource "$name")"
    exists gcloud eventarc triggers describe "$(resource "$name")" ||
      retry gcloud eventarc triggers create "$(resource "$name")" --service-account="$(account events)" \
        --event-filters="type=$event" --event-filters="bucket=$(bucket "$bucket" | sed s,gs://,,)" \
        --destination-run-service="$(resource "$name")" --destination-run-region="$REGION"
    permissions trigger
    # Eventarc creates the subscription itself and takes no dead-letter topic.
    [ "$(gcloud pubsub subscriptions describe "$(trigger_subscription "$name")" --format='value(deadLetterPolicy.maxDeliveryAttempts)' 2>/dev/null)" = "$attempts" ] ||
      retry gcloud pubsub subscriptions update "$(trigger_subscription "$name")" --dead-letter-topic="$(resource "$dead")" --max-delivery-attempts="$attempts"
  done < <(rows triggers event bucket dead_letter attempts)
  while IFS=$'\x1f' read -r name bucket topic event payload prefix; do
    [ ${#chosen[@]} -eq 0 ] || permissions "topic/$topic"
    [ -n "$(notification_names "$bucket" "$topic" "$prefix")" ] ||
      retry gcloud storage buckets notifications create "$(bucket "$bucket")" --topic="$(resource "$topic")" \
        --event-types="$event" --payload-format="$(sed 's/JSON_API_V1/json/; s/NONE/none/' <<<"$payload")" \
        ${prefix:+"--object-prefix=$prefix"} --skip-topic-setup >&3
  done < <(rows notifications bucket topic event payload prefix)
  for name in $(names off.triggers); do
    ! exists gcloud eventarc triggers describe "$(resource "$name")" || change gcloud eventarc triggers delete "$(resource "$name")"
  done
  while IFS=$'\x1f' read -r _ bucket topic prefix; do
    for name in $(notification_names "$bucket" "$topic" "$prefix"); do change gcloud storage buckets notifications delete "$name" >&3; done
  done < <(rows off.notifications bucket topic prefix)
  recall
  while read -r bucket; do         # that uploads were taken from before
    for name in $(notification_names "gs://$bucket" uploads ""); do change gcloud storage buckets notifications delete "$name" >&3; done
  done < <(grants stale bucket | cut -d $'\x1f' -f 2 | sort -u)
  retire
  withdraw project
  withdraw topic
  withdraw bucket
}

retire() {                         # deletes what only an option that is off now needs
  local name existing
  existing=$(listed gcloud pubsub subscriptions list --format='value(name)')
  for name in $(names off.push) $(names off.pull); do delete_listed "$existing" "$(resource "$name")" gcloud pubsub subscriptions delete; done
  existing=$(listed gcloud pubsub topics list --format='value(name)')
  for name in $(names off.topics); do delete_listed "$existing" "$(resource "$name")" gcloud pubsub topics delete; done
  existing=$(listed gcloud functions list --format='value(name)')
  for name in $(names off.functions); do delete_listed "$existing" "$(resource "$name")" gcloud functions delete --gen2; done
}

of_another_bucket() {              # NAME BUCKET: whether the trigger exists and is that of another bucket
  exists gcloud eventarc triggers describe "$(resource "$1")" --format=json && json \
    'any(each["attribute"] == "bucket" and each["value"] != arguments[0] for each in it["eventFilters"]) or 1/0' \
    "$(bucket "$2" | sed s,gs://,,)" <"$TEMPORARY/found" >/dev/null 2>&1
}

schedules() {
  local name schedule topic message
  while IFS=$'\x1f' read -r name schedule topic message; do
    local verb=create
    if exists gcloud scheduler jobs describe "$(resource "$name")" --location="$REGION" \
      --format='value(schedule, pubsubTarget.topicName.basename(), pubsubTarget.data.decode(base64))'; then
      [ "$(cat "$TEMPORARY/found")" != "$schedule"$'\t'"$(resource "$topic")"$'\t'"$message" ] || continue
      verb=update
    fi
    retry gcloud scheduler jobs $verb pubsub "$(resource "$name")" --location="$REGION" --schedule="$schedule" \
      --topic="$(resource "$topic")" --message-body="$message" --time-zone=Etc/UTC >&3
  done < <(rows schedules schedule topic message)
  for name in $(names off.schedules); do
    ! exists gcloud scheduler jobs describe "$(resource "$name")" --location="$REGION" ||
      change gcloud scheduler jobs delete "$(resource "$name")" --location="$REGION"
  done
}

budget() {
  local billing
  billing=$(setting billing_account)
  [ -n "$billing" ] || return 0
  [ -n "$(budgets "$billing")" ] ||
    retry gcloud billing budgets create --billing-account="$billing" --display-name="$PROJECT_ID $PREFIX" \
      --budget-amount="$(setting budget_amount)$(setting budget_currency)" --filter-projects="projects/$PROJECT_ID" \
      --threshold-rule=percent=0.5 --threshold-rule=percent=0.9 --threshold-rule=percent=1.0
}

audit() {                          # writes the whole policy back, with the etag it was read with
  [ "$(setting audit_logs)" = yes ] || return 0
  gcloud projects get-iam-policy "$PROJECT_ID" --format=json >"$TEMPORARY/policy.json"
  ! grep -q '"storage.googleapis.com"' "$TEMPORARY/policy.json" || return 0
  json '{**it, "auditConfigs": [*it.get("auditConfigs", []), {"service": "storage.googleapis.com",
    "auditLogConfigs": [{"logType": "DATA_READ"}, {"logType": "DATA_WRITE"}]}]}' <"$TEMPORARY/policy.json" >"$TEMPORARY/audited.json"
  change gcloud projects set-iam-policy "$PROJECT_ID" "$TEMPORARY/audited.json" >&3
}

# File descriptor 3: gcloud's descriptions of new resources, hidden; in a dry run the commands, shown.
if [ -n "$DRY_RUN" ]; then exec 3>&1; else exec 3>/dev/null; fi
for step in ${chosen[@]+"${chosen[@]}"}; do
  rows functions | cut -d $'\x1f' -f1 | grep -qxF "$step" || grep -qwF -- "$step" <<<"$STEPS $OPTIONAL_STEPS" ||
    die "There is no function or step $step. Functions: $(rows functions | tr '\n' ' '). Steps: $STEPS $OPTIONAL_STEPS."
done
# shellcheck disable=SC2086  # one argument per step
if [ ${#chosen[@]} -gt 0 ]; then set --; else set -- $STEPS; fi
serving='' settled=()
for step in ${chosen[@]+"${chosen[@]}"} "$@"; do
  say "== $step"
  case $step in                    # kinds of targets whose permissions are complete after it
    accounts) settled+=(account project) ;;
    buckets) settled+=(bucket) ;;
    job) settled+=(secret) ;;      # which service and job need no longer
    callers) settled+=(service job) ;;
    messaging) settled+=(topic subscription) ;;
    triggers) settled+=(trigger topic project) ;;
  esac
  case $step in preflight | apis | identities | accounts | buckets | registry | image) ;; *) serving=1 ;; esac
  if grep -qwF -- "$step" <<<"$STEPS $OPTIONAL_STEPS"; then "$step"; else deploy_function "$step"; fi
done
case " ${chosen[*]-} " in *" rollback "*) exit 0 ;; esac
[ ${#settled[@]} -eq 0 ] || settle "${settled[@]}"
[ -z "$serving" ] || record  # in a new project, Cloud Run's API may not answer yet after the other steps
[ -n "$DRY_RUN" ] || say "Done. Run deploy/gcloud/doctor.sh to check the deployment and send an input through it."
