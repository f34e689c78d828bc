# Sourced by deploy.sh and destroy.sh: grants the permissions of the inventory that are missing, and takes others away.
# shellcheck shell=bash

permissions() { of_kind iam "$1" grant; }        # KIND: grants the permissions on targets of this kind
withdraw() { of_kind off.iam "$1" revoke; }      # KIND: takes away those that the variables disable

of_kind() {                        # SECTION KIND ACTION: ACTION MEMBER ROLE CONDITION for each permission on targets of a kind
  local who role target only region last=
  while IFS=$'\x1f' read -r target who role only; do
    case $target in "$2" | "$2"/*) ;; *) continue ;; esac
    for region in $(regions_of "$target"); do
      [ "$target $region" = "$last" ] || policy "$target" "$region"
      last="$target $region"
      "$3" "$(member "$who")" "$role" "$only"
    done
  done < <(rows "$1" target who role only | sort)
}
grant() { granted "$@" || binding add "$@"; }
revoke() { ! granted "$@" || binding remove "$@"; }

# The variables name some roles and targets, so the source bucket keeps a list of what was granted.
grants() { "$PYTHON" "$ROOT/deploy/gcloud/grants.py" "$1" "$TEMPORARY/grants.json" "${@:2}"; }
recall() {                         # fetches the list, once
  [ -e "$TEMPORARY/grants.json" ] || ! exists gcloud storage ls "$(bucket source)/grants.json" ||
    gcloud storage cp "$(bucket source)/grants.json" "$TEMPORARY/grants.json" --quiet >&3
}
write_grants() {                   # remember|settle KIND…: writes the list, if it differs
  grants "$@" >"$TEMPORARY/grants.new"
  ! cmp -s "$TEMPORARY/grants.new" "$TEMPORARY/grants.json" || return 0
  cp "$TEMPORARY/grants.new" "$TEMPORARY/grants.json"
  retry gcloud storage cp "$TEMPORARY/grants.json" "$(bucket source)/grants.json" --quiet >&3
}
remember() {                       # before anything is granted, unless the bucket is still to be made
  exists gcloud storage buckets describe "$(bucket source)" --format='value(name)' || return 0
  recall
  write_grants remember
}

settle() {                         # KIND…: takes away what earlier runs granted on targets of these kinds and the variables no longer ask for
  recall
  grants stale "$@" | take_away
  write_grants settle "$@"
}

take_away() {                      # takes away the permissions that lines of `grants` name
  local kind name region who role only last=
  while IFS=$'\x1f' read -r kind name region who role only; do
    [ "$kind $name $region" = "$last" ] || policy_of "$kind" "$name" "$region"
    last="$kind $name $region"
    revoke "$(member "$who")" "$role" "$only"
  done
}

policy_of() {                      # KIND NAME REGION: as `policy`, for a target by its own name
  case $1 in
    project) group=(projects) target_words=("$PROJECT_ID") ;;
    bucket) group=(storage buckets) target_words=("gs://$2") ;;
    secret) group=(secrets) target_words=("$2") ;;
    account) group=(iam service-accounts) target_words=("$2@$PROJECT_ID.iam.gserviceaccount.com") ;;
    service) group=(run services) target_words=("$2" "--region=$3") ;;
    job) group=(run jobs) target_words=("$2" "--region=$3") ;;
    topic) group=(pubsub topics) target_words=("$2") ;;
    subscription) group=(pubsub subscriptions) target_words=("$2") ;;
    trigger) echo '{}' >"$TEMPORARY/policy"; return ;;   # its subscription was deleted with it
  esac
  read_policy
}

policy() {                         # TARGET REGION: reads its policy; an empty one if the target does not exist
  grantee "$@"
  read_policy
}
read_policy() {
  exists gcloud "${group[@]}" get-iam-policy "${target_words[@]}" --format=json || echo '{}' >"$TEMPORARY/found"
  cp "$TEMPORARY/found" "$TEMPORARY/policy"
}

grantee() {                        # TARGET REGION: sets `group` and `target_words`, the words of gcloud's commands for its policy
  local name=${1#*/}
  case $1 in
    project) group=(projects) target_words=("$PROJECT_ID") ;;
    bucket/*) group=(storage buckets) target_words=("$(bucket "$name")") ;;
    secret/*) group=(secrets) target_words=("$(inventory get "secrets.$name.secret")") ;;
    account/*) group=(iam service-accounts) target_words=("$(account "$name")") ;;
    service/*) group=(run services) target_words=("$(resource "$name")" "--region=$2") ;;
    job/*) group=(run jobs) target_words=("$(resource "$name")" "--region=$2") ;;
    topic/*) group=(pubsub topics) target_words=("$(resource "$name")") ;;
    subscription/*) group=(pubsub subscriptions) target_words=("$(resource "$name")") ;;
    trigger/*) group=(pubsub subscriptions) target_words=("$(trigger_subscription "$name")") ;;
  esac
}

trigger_subscription() {                       # the subscription that Eventarc created for a trigger
  gcloud eventarc triggers describe "$(resource "$1")" --format='value(transport.pubsub.subscription.basename())' 2>/dev/null || echo "DELIVERY-OF-$1"
}

granted() {                        # MEMBER ROLE CONDITION: whether the policy that was read last has the binding
  json 'any(b["role"] == arguments[1] and arguments[0] in b["members"]
    and b.get("condition", {}).get("expression", "") == arguments[2]
    and b.get("condition", {}).get("title", arguments[3]) == arguments[3] for b in it.get("bindings", [])) or 1/0' \
    "$@" "$PREFIX" <"$TEMPORARY/policy" >/dev/null 2>&1
}

binding() {                        # add|remove MEMBER ROLE CONDITION: on the target of the policy that was read last
  local condition=()
  [ "${group[0]}" != projects ] || condition=("--condition=${4:+expression=$4,title=$PREFIX}")
  [ "${condition[*]}" != "--condition=" ] || condition=("--condition=None")
  retry gcloud "${group[@]}" "$1-iam-policy-binding" "${target_words[@]}" "--member=$2" "--role=$3" ${condition[@]+"${condition[@]}"} >&3
}
