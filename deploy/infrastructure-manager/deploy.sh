#!/usr/bin/env bash
# Deploys the Terraform root with Infrastructure Manager, which keeps the state and runs Terraform 1.5.
#
#   PROJECT_ID=my-project deploy/infrastructure-manager/deploy.sh [--dry-run] [INPUTS.tfvars]
#
# Infrastructure Manager uploads one folder, so the script copies the root and the files that it reads to
# build/infrastructure-manager/, in the layout of the repository. INPUTS.tfvars defaults to inputs.tfvars in this folder.
set -euo pipefail
inputs=$(dirname "$0")/inputs.tfvars dry_run=''
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --dry-run) dry_run=1 ;;
    -*) echo "unknown option $argument" >&2; exit 2 ;;
    *) inputs=$argument ;;
  esac
done
: "${PROJECT_ID:?is not set}"
grep -qE '^gpu_image *= *".+"' "$inputs" || { echo "$inputs sets no gpu_image: build the image first, as docs/deployment.md says." >&2; exit 1; }
"${PYTHON:-python3}" "$(dirname "$0")/../inventory.py" check "$inputs"
root=$(cd "$(dirname "$0")/../.." && pwd)
bundle=$root/build/infrastructure-manager
region=$(sed -n 's/^region *= *"\(.*\)"/\1/p' "$inputs")
prefix=$(sed -n 's/^service_prefix *= *"\(.*\)"/\1/p' "$inputs")

rm -rf "$bundle"
mkdir -p "$bundle/deploy/monitoring" "$bundle/build"
cp "$root"/deploy/terraform/*.tf "$bundle"
rm -f "$bundle/backend.tf"         # Infrastructure Manager keeps the state itself
cp "$root/deploy/inventory.yaml" "$root/deploy/machines.yaml" "$bundle/deploy"
cp "$root"/deploy/monitoring/*.json "$bundle/deploy/monitoring"
cp "$root/workflow.yaml" "$bundle"
"${PYTHON:-python3}" "$root/deploy/stage.py" >&2
cp -R "$root/build/functions" "$bundle/build"
{ cat "$inputs"; printf 'project_id = "%s"\nsources = "."\n' "$PROJECT_ID"; } >"$bundle.tfvars"

command=(gcloud infra-manager deployments apply "${prefix:-inference}" --project="$PROJECT_ID" --location="${region:-us-central1}"
  --local-source="$bundle" --inputs-file="$bundle.tfvars" --tf-version-constraint='=1.5.7'
  --service-account="projects/$PROJECT_ID/serviceAccounts/${DEPLOYER:-infra-manager@$PROJECT_ID.iam.gserviceaccount.com}")
if [ -n "$dry_run" ]; then printf '%q ' "${command[@]}"; echo; else "${command[@]}"; fi
