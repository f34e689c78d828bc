# Sourced by deploy.sh: grants the permissions of the inventory that are missing, and takes away those that variables disable.
# shellcheck shell=bash

permissions() {                    # KIND: grants the permissions on targets of this kind
  local who role target only region last=
  while IFS=$'\x1f' read -r target who role only; do
    case $target in "$1" | "$1"/*) ;; *) continue ;; esac
    for region in $(regions_of "$target"); do
      [ "$target $region" = "$last" ] || policy "$target" "$region"
      last="$target $region"
      granted "$(member "$who")" "$role" "$only" || binding add "$(member "$who")" "$role" "$only"
    done
  done < <(rows iam target who role only | sort)
}

withdraw() {                       # KIND: takes away the permissions on targets of this kind that the variables disable
  local who role target only region last=
  while IFS=$'\x1f' read -r target who role only; do
    case $target in "$1" | "$1"/*) ;; *) continue ;; esac
    for region in $(regions_of "$target"); do
      [ "$target $region" = "$last" ] || policy "$target" "$region"
      last="$target $region"
      ! granted "$(member "$who")" "$role" "$only" || binding remove "$(member "$who")" "$role" "$only"
    done
  done < <(rows off.iam target who role only | sort)
}

policy() {                         # TARGET REGION: reads its policy; an empty one if the target does not exist
  grantee "$@"
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
