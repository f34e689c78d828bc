# Sourced by deploy.sh and doctor.sh: finds what would stop a deployment before anything is built.
# shellcheck shell=bash

# examine_project all|quotas: prints a line for each finding; returns 1 if something blocks a deployment, 3 if something
# could not be read, and 0 otherwise. PATIENT=1 waits for APIs of the inventory that were enabled just now.
examine_project() {
  local name api path body folder=$TEMPORARY/preflight status=0
  local -x SHARED_TOKEN
  rm -rf "$folder" && mkdir "$folder"
  SHARED_TOKEN=$(gcloud auth print-access-token) || return 1
  if [ "$1" = all ]; then
    learn project gcloud projects describe "$PROJECT_ID" --format=json &
    learn billing gcloud billing projects describe "$PROJECT_ID" --format=json &
    learn services gcloud services list --enabled --format='json(config.name)' &
  fi
  while IFS=$'\x1f' read -r name api path body; do
    if [ -n "$body" ]; then
      printf '%s' "$body" >"$folder/$name.body"
      learn "$name" rest POST "$api" "$path" "$folder/$name.body" &
    else
      learn "$name" rest GET "$api" "$path" &
    fi
  done < <("$PYTHON" "$ROOT/deploy/preflight" paths "$1")
  wait
  "$PYTHON" "$ROOT/deploy/preflight" "$folder" "$1" || status=$?
  return "$status"
}

learn() {                          # NAME COMMAND…: keeps what a command prints, or why it failed
  local file=$TEMPORARY/preflight/$1 try=0
  until "${@:2}" >"$file.json" 2>"$file.error"; do
    try=$((try + 1))
    if [ -z "${PATIENT:-}" ] || [ "$2" != rest ] || [ "$try" -ge "$TRIES" ] || ! grep -q 'SERVICE_DISABLED\|has not been used' "$file.error"; then
      rm -f "$file.json"
      return 0
    fi
    sleep "$WAIT_SECONDS"
  done
}
