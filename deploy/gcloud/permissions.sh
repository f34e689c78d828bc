# Read by deploy.sh: gives what the inventory's table of permissions says, and leaves alone what has been given.
# shellcheck shell=bash

permissions() {                    # KIND: the rows whose target is of this kind
  local who role target only place last=
  while IFS=$'\x1f' read -r target who role only; do
    case $target in "$1" | "$1"/*) ;; *) continue ;; esac
    for place in $(places "$target"); do
      [ "$target $place" = "$last" ] || policy "$target" "$place"
      last="$target $place"
      granted "$(member "$who")" "$role" "$only" || give "$(member "$who")" "$role" "$only"
    done
  done < <(rows iam target who role only | sort)
}

policy() {                         # TARGET REGION: reads its policy, empty where the target is not there
  grantee "$@"
  there gcloud "${group[@]}" get-iam-policy "${of[@]}" --format=json || echo '{}' >"$TEMPORARY/there"
  cp "$TEMPORARY/there" "$TEMPORARY/policy"
}

grantee() {                        # TARGET REGION: sets `group` and `of`, the words of gcloud's command for its policy
  local name=${1#*/}
  case $1 in
    project) group=(projects) of=("$PROJECT_ID") ;;
    bucket/*) group=(storage buckets) of=("$(bucket "$name")") ;;
    account/*) group=(iam service-accounts) of=("$(account "$name")") ;;
    service/*) group=(run services) of=("$(resource "$name")" "--region=$2") ;;
    job/*) group=(run jobs) of=("$(resource "$name")" "--region=$2") ;;
    topic/*) group=(pubsub topics) of=("$(resource "$name")") ;;
    subscription/*) group=(pubsub subscriptions) of=("$(resource "$name")") ;;
    trigger/*) group=(pubsub subscriptions) of=("$(delivery "$name")") ;;
  esac
}

delivery() {                       # the subscription that Eventarc made for a trigger
  gcloud eventarc triggers describe "$(resource "$1")" --format='value(transport.pubsub.subscription.basename())' 2>/dev/null || echo "DELIVERY-OF-$1"
}

granted() {                        # MEMBER ROLE CONDITION, by the policy that was read last
  json 'any(b["role"] == arguments[1] and arguments[0] in b["members"]
    and b.get("condition", {}).get("expression", "") == arguments[2] for b in it.get("bindings", [])) or 1/0' \
    "$@" <"$TEMPORARY/policy" >/dev/null 2>&1
}

give() {                           # MEMBER ROLE CONDITION
  local condition=()
  [ "${group[0]}" != projects ] || condition=("--condition=${3:+expression=$3,title=only}")
  [ "${condition[*]}" != "--condition=" ] || condition=("--condition=None")
  patiently gcloud "${group[@]}" add-iam-policy-binding "${of[@]}" "--member=$1" "--role=$2" ${condition[@]+"${condition[@]}"} >&3
}
