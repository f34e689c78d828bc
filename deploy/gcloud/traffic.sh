# Sourced by deploy.sh: which revision serves. A new one gets no traffic until it has answered a request, then all.
# Releases, of what served together after a run, are kept in the source bucket for rollbacks.
# shellcheck shell=bash

read_service() {                   # NAME REGION: reads the service; fails if it does not exist
  exists gcloud run services describe "$(resource "$1")" --region="$2" --format=json && cp "$TEMPORARY/found" "$TEMPORARY/read-service"
}
of_service() { json "$1" <"$TEMPORARY/read-service"; }
latest_revision() { of_service 'it["status"]["latestReadyRevisionName"]'; }
serving_revision() { of_service 'max(it["status"]["traffic"], key=lambda entry: entry.get("percent", 0))["revisionName"]'; }
serves_latest() { of_service 'any(entry.get("latestRevision") and entry.get("percent") == 100 for entry in it["status"]["traffic"]) or 1/0' >/dev/null 2>&1; }
candidate_url() {
  of_service 'next((entry["url"] for entry in it["status"]["traffic"]
    if entry.get("tag") == "candidate" and entry["revisionName"] == it["status"]["latestReadyRevisionName"]), "")'
}
shift_traffic() { retry gcloud run services update-traffic "$(resource "$1")" --region="$2" "${@:3}" >&3; }

hold() {                           # NAME REGION: before another revision is made, keeps all traffic on the one that serves
  read_service "$@" && serves_latest || return 0
  shift_traffic "$@" --to-revisions="$(serving_revision)=100"
}

promote() {                        # NAME REGION: gives the latest revision all traffic once it has answered a request
  local pinned=''
  [ "$1" != gpu-service ] || pinned=$(setting gpu_revision)
  read_service "$@" || return 0
  if [ -n "$pinned" ]; then
    if serves_latest || [ "$(serving_revision)" != "$pinned" ]; then shift_traffic "$@" --to-revisions="$pinned=100"; fi
    return
  fi
  ! serves_latest || return 0
  if [ -z "$(candidate_url)" ]; then
    shift_traffic "$@" --set-tags="candidate=$(latest_revision)"
    read_service "$@"
  fi
  smoke "$1" || die "$(latest_revision) gets no traffic; $(serving_revision) keeps all of it. For its logs, run
  gcloud logging read 'resource.labels.revision_name=\"$(latest_revision)\"' --project=$PROJECT_ID --limit=50
Then mend the fault and deploy again. With --no-smoke, the startup probe alone decides."
  shift_traffic "$@" --to-latest --remove-tags=candidate
}

smoke() {                          # NAME, after read_service: whether the candidate answers as the code does
  local kind=events token
  [ -z "$no_smoke$DRY_RUN" ] || return 0
  if [ "$(setting ingress)" = internal ]; then
    say "  $(latest_revision) has passed its startup probe; with ingress=internal it cannot be called from here"
    return 0
  fi
  token=${IDENTITY_TOKEN:-$(gcloud auth print-identity-token --audiences="$(of_service 'it["status"]["url"]')" 2>/dev/null || gcloud auth print-identity-token)} ||
    { say "gcloud has no identity token for the smoke request: run gcloud auth login, or set IDENTITY_TOKEN."; return 1; }
  [ -z "$(inventory get "functions.$1.health")" ] || kind=http
  [ "$1" != gpu-service ] || kind=models
  TOKEN=$token "$PYTHON" "$ROOT/deploy/gcloud/smoke.py" "$kind" "$(candidate_url)"
}

release() {                        # FILE: writes what serves now
  local name region folder=$TEMPORARY/release
  rm -rf "$folder" && mkdir "$folder"
  for region in $({ setting region; gpu_regions; } | sort -u); do
    gcloud run services list --region="$region" --format=json >"$folder/services.$region.json"
  done
  ! exists gcloud workflows describe "$PREFIX" --format=json || cp "$TEMPORARY/found" "$folder/workflow.json"
  for name in gpu-job cut-job; do
    for region in $(regions_of "job/$name"); do
      ! exists gcloud run jobs describe "$(resource "$name")" --region="$region" --format=json ||
        cp "$TEMPORARY/found" "$folder/job.$name.$region.json"
    done
  done
  # shellcheck disable=SC2046  # one argument per name
  releases describe "$folder" $(for name in $(names functions) gpu-service; do resource "$name"; done) >"$1"
}
releases() { "$PYTHON" "$ROOT/deploy/gcloud/releases.py" "$@"; }

recorded() {                       # fetches the recorded releases, oldest first by name
  rm -rf "$TEMPORARY/recorded" && mkdir "$TEMPORARY/recorded"
  ! exists gcloud storage ls "$(bucket source)/releases/*.json" ||
    gcloud storage cp "$(bucket source)/releases/*.json" "$TEMPORARY/recorded/" --quiet >&3
}

record() {                         # records what serves now, unless it is the newest record
  local newest file=$TEMPORARY/now.json
  [ -z "$DRY_RUN" ] || return 0
  release "$file"
  recorded
  newest=$(find "$TEMPORARY/recorded" -name '*.json' | sort | tail -n 1)
  [ -z "$newest" ] || releases changed "$file" "$newest" || return 0
  retry gcloud storage cp "$file" "$(bucket source)/releases/$(date -u +%Y%m%dT%H%M%SZ).json" --quiet >&3
}

rollback() {                       # services, functions, workflow and jobs as in the release before the one that serves now
  local now=$TEMPORARY/now.json before name region revision
  release "$now"
  recorded
  before=$(releases previous "$now" "$TEMPORARY/recorded") || die "There is no earlier release in $(bucket source)/releases."
  say "  to the release of $(basename "$before" .json)"
  while read -r name region revision; do
    shift_traffic "${name#"$PREFIX-"}" "$region" --to-revisions="$revision=100"
  done < <(releases services "$now" "$before")
  if releases workflow "$now" "$before" >"$TEMPORARY/old.json"; then
    json 'it["source"]' <"$TEMPORARY/old.json" >"$TEMPORARY/workflow.yaml"
    json 'it["env"]' <"$TEMPORARY/old.json" >"$TEMPORARY/workflow.json"
    retry gcloud workflows deploy "$PREFIX" --source="$TEMPORARY/workflow.yaml" --service-account="$(account workflow)" \
      --env-vars-file="$TEMPORARY/workflow.json" --call-log-level=log-errors-only --labels=deployed=rollback \
      ${KMS_KEY_NAME:+"--kms-key=$KMS_KEY_NAME"} >&3
  fi
  for name in gpu-job cut-job; do
    for region in $(regions_of "job/$name"); do
      ! releases job "$now" "$before" "$name $region" >"$TEMPORARY/job.json" ||
        retry gcloud run jobs replace "$TEMPORARY/job.json" --region="$region" >&3
    done
  done
  say "Rolled back. The next deploy.sh deploys what is in this folder again."
}
