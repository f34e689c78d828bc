# Sourced by the scripts in this folder: settings, resource names, and how commands run.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=${PYTHON:-$([ -x "$ROOT/.venv/bin/python" ] && echo "$ROOT/.venv/bin/python" || echo python3)}
DRY_RUN=${DRY_RUN:-}
TRIES=${TRIES:-30}                 # a new account or role takes up to seven minutes to reach every part of a project
WAIT_SECONDS=${WAIT_SECONDS:-15}
TEMPORARY=$(mktemp -d)
trap 'rm -rf "$TEMPORARY"' EXIT

inventory() { "$PYTHON" "$ROOT/deploy/inventory.py" "$@"; }
rows() { inventory rows "$@"; }    # fields are separated by \x1f: while IFS=$'\x1f' read -r …
names() { rows "$@" | cut -d $'\x1f' -f1; }
say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

for tool in gcloud curl; do command -v "$tool" >/dev/null || die "$tool is not installed."; done
"$PYTHON" -c 'import yaml' 2>/dev/null || die "$PYTHON lacks PyYAML: run make setup, or pip install PyYAML."
PROJECT_ID=${PROJECT_ID:-$(gcloud config get-value project 2>/dev/null || true)}
export PROJECT_ID
fingerprint() { "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])'; }
contents() { (cd "$1" && find . -type f ! -path '*/.*' ! -path '*/__pycache__/*' ! -path './training/*' -print0 | LC_ALL=C sort -z | xargs -0 cat); }
SETTINGS=$(rows settings)          # fails here if a variable is missing or invalid
setting() { sed -n "s/^$1"$'\x1f'"//p" <<<"$SETTINGS"; }
REGION=$(setting region)
PREFIX=$(setting service_prefix)
# shellcheck disable=SC2034  # the scripts that source this file use it
KMS_KEY_NAME=$(setting kms_key)
gpu_regions() { setting gpu_regions | tr , '\n'; }
# The tag is a digest of the contents, so that changed code gets a new image and a new revision.
[ -n "${GPU_IMAGE:-}" ] ||
  GPU_IMAGE=$REGION-docker.pkg.dev/$PROJECT_ID/$PREFIX/gpu-service:$({ setting gpu_profile; setting wheels; contents "$ROOT/gpu_service"; } | fingerprint)
export GPU_IMAGE
export CLOUDSDK_CORE_PROJECT=$PROJECT_ID CLOUDSDK_CORE_DISABLE_PROMPTS=1
export CLOUDSDK_RUN_REGION=$REGION CLOUDSDK_FUNCTIONS_REGION=$REGION CLOUDSDK_ARTIFACTS_LOCATION=$REGION
CLOUDSDK_EVENTARC_LOCATION=$(setting input_location)   # triggers lie where the bucket does
export CLOUDSDK_EVENTARC_LOCATION CLOUDSDK_WORKFLOWS_LOCATION=$REGION

NUMBER=$(gcloud projects describe "$PROJECT_ID" --format='value(projectNumber)') || [ -n "$DRY_RUN${EXAMINING:-}" ] || die "The project $PROJECT_ID cannot be read. Check the id and your permissions, and run: gcloud services enable cloudresourcemanager.googleapis.com --project=$PROJECT_ID"
AGENTS=$(rows agents)
gcloud auth print-access-token >/dev/null || [ -n "$DRY_RUN" ] || die "gcloud is not logged in: run gcloud auth login"

# Names in the cloud.
resource() { echo "$PREFIX-$1"; }
bucket() { if [ "$1" = input ]; then echo "gs://$(setting input_bucket)"; else echo "gs://$PROJECT_ID-$PREFIX-$1"; fi; }
account() { echo "$PREFIX-$1@$PROJECT_ID.iam.gserviceaccount.com"; }
service_url() {                        # SERVICE: its run.app URLs, which are also the tokens' audiences, one per region, comma-separated
  local region url urls=()
  for region in $(regions_of "service/$1"); do
    url=https://$1.$region
    [ -n "$DRY_RUN" ] || url=$(gcloud run services describe "$(resource "$1")" --region="$region" --format='value(status.url)') || return 1
    urls+=("$url")
  done
  (IFS=, && echo "${urls[*]}")
}
regions_of() {                         # TARGET of a permission: its regions
  case $1 in
    service/gpu-service | job/gpu-job) gpu_regions ;;
    *) echo "$REGION" ;;
  esac
}
member() {
  case $1 in
    agent/*) echo "serviceAccount:service-$NUMBER@$(sed -n "s/^${1#agent/}"$'\x1f'"//p" <<<"$AGENTS")" ;;
    *) echo "serviceAccount:$(account "$1")" ;;
  esac
}

# Runs a command that changes something; with --dry-run only prints it.
change() {
  if [ -n "$DRY_RUN" ]; then
    printf '%q ' "$@" | sed "s|$TEMPORARY/|FILE:|g; s/ $//"
    echo
  else
    say "+ ${*:1:6}"
    "$@"
  fi
}

# Messages of refusals that pass, and of those that stay until someone mends their cause.
PASSING='does not exist|not found|permission|denied|service agent|has not been used|unable to publish|propagat|try again|unavailable|quota exceeded for quota metric'
LASTING='billing|quota violated|quota restrictions|constraint|organization policy'

# Runs a command with `change`, and again while a new account, role or API is not known to the whole project.
retry() {
  local try
  for try in $(seq "$TRIES"); do
    if change "$@" 2> >(tee "$TEMPORARY/refusal" >&2); then return 0; fi
    ! grep -qiE "$LASTING" "$TEMPORARY/refusal" && grep -qiE "$PASSING" "$TEMPORARY/refusal" || return 1
    [ "$try" = "$TRIES" ] || { say "  not ready; retrying in $WAIT_SECONDS s ($try of $TRIES)"; sleep "$WAIT_SECONDS"; }
  done
  return 1
}

listed() { "$@" 2>/dev/null | sed 's|.*/||' | grep "^$PREFIX" || true; }
delete_listed() {                 # EXISTING-NAMES NAME COMMAND…: deletes a resource that exists
  local names=$1 name=$2
  shift 2
  ! grep -qxF "$name" <<<"$names" || change "$@" "$name" --quiet
}
exists() { "$@" >"$TEMPORARY/found" 2>/dev/null || { : >"$TEMPORARY/found"; return 1; }; }

notification_names() {                           # BUCKET|gs://NAME TOPIC PREFIX: the names of the bucket's notifications of objects with the prefix to the topic
  local url=$1
  [[ $url == gs://* ]] || url=$(bucket "$1")
  if exists gcloud storage buckets notifications list "$url" --format=json && [ -s "$TEMPORARY/found" ]; then
    json '"\n".join(arguments[0] + "/notificationConfigs/" + entry["Notification Configuration"]["id"] for entry in it
      if entry["Notification Configuration"]["topic"].endswith(arguments[1])
      and entry["Notification Configuration"].get("object_name_prefix", "") == arguments[2])' \
      "projects/_/buckets/${url#gs://}" "/projects/$PROJECT_ID/topics/$(resource "$2")" "$3" <"$TEMPORARY/found"
  fi
}

budgets() {                            # BILLING-ACCOUNT: the names of this deployment's budgets; other projects may share the account
  gcloud billing budgets list --billing-account="$1" --filter="displayName='$PROJECT_ID $PREFIX' AND budgetFilter.projects:projects/$NUMBER" --format='value(name)'
}

# rest METHOD API PATH [FILE]: calls an API that gcloud has no command for; honours gcloud's endpoint overrides.
# A deployment takes longer than a token is valid, so each call fetches its own, and another one after a 401. Calls that are
# made together may share one in SHARED_TOKEN.
rest() {
  local override base token=${SHARED_TOKEN:-} answer status
  override=CLOUDSDK_API_ENDPOINT_OVERRIDES_$(tr '[:lower:]' '[:upper:]' <<<"$2")
  base=${!override:-https://$2.googleapis.com/}
  for _ in first second; do
    [ -n "$token" ] || token=$(gcloud auth print-access-token) || return 1
    answer=$(curl --silent --show-error --write-out '\n%{http_code}' --request "$1" "$base$3" \
      --header "Authorization: Bearer $token" --header "X-Goog-User-Project: $PROJECT_ID" \
      --header 'Content-Type: application/json' ${4:+--data-binary "@$4"}) || { say "$answer"; return 1; }
    status=${answer##*$'\n'} answer=${answer%$'\n'*}
    [ "$status" = 401 ] || break
    token=''
  done
  [ "$status" -lt 400 ] || { say "$answer"; return 1; }
  echo "$answer"
}

# json EXPRESSION [ARGUMENT …]: evaluates a Python expression on the JSON document `it` from stdin and prints the result.
json() {
  "$PYTHON" -c 'import json, sys
it = json.load(sys.stdin)
result = eval(sys.argv[1], {"it": it, "json": json, "arguments": sys.argv[2:]})
print(result if isinstance(result, str) else json.dumps(result))' "$@"
}
