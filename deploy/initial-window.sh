#!/bin/sh
# Lets connections from this host begin with a larger congestion window: a far caller has an answer some round trips earlier.
#   initial-window.sh SEGMENTS [DESTINATION]        for routes that have no initcwnd yet
#   initial-window.sh undo SEGMENTS [DESTINATION]   for routes that have this one: Linux then begins with its own 10 again
# The destination is a route as `ip route show` has it, by default the default one.
set -euf
say() { echo "initial-window.sh: $*" >&2; }

undo=
[ "${1-}" != undo ] || { undo=yes && shift; }
segments=${1-}
destination=${2:-default}
case $segments in
'' | *[!0-9]*) say "${segments:-nothing} is no number of segments" && exit 2 ;;
esac
manager='Set its window in the network manager: docs/deploy.md, "Far callers".'

# The family's routes that match; a route that leads nowhere is none, and below one with several gateways these have lines of their own.
routes() { printf '%s\n' "$shown" | grep -vE '^([[:space:]]|blackhole |unreachable |prohibit |throw |$)' | grep -E "$@"; }
set_by_us() { routes " initcwnd $segments( |\$)"; }
set_by_others() { routes ' initcwnd ' | grep -vE " initcwnd $segments( |\$)"; }

announced() { printf '%s\n' "$shown" | grep -qE ' (proto (ra|9)|expires [0-9]+sec)( |$)'; }
with_several_gateways() { printf '%s\n' "$shown" | grep -qE '(^|[[:space:]])(nexthop|nhid) '; }
sharing_a_metric() {
  # IPv4 shows none where it is 0.
  printf '%s\n' "$shown" | awk '
    /^[^[:space:]]/ { metric = 0; for (i = 1; i < NF; i++) if ($i == "metric") metric = $(i + 1); shared += seen[metric]++ }
    END { exit !shared }'
}

# What is shown is what can be set, but for a route's state, and for a lock that goes without saying.
settable() {
  sed -E -e ':state' -e 's/ (linkdown|dead)( |$)/\2/' -e 't state' \
    -e 's/ rto_min lock / rto_min /' -e 's/ initcwnd [0-9]+( |$)/\1/'
}

refuse() {
  say "nothing is changed: the IPv$family route $destination $1, and a change could put one in another's place. $manager"
  exit 1
}

# All is read before anything is changed.
known=
changes=
for family in 4 6; do
  shown=$(ip "-$family" route show "$destination" 2>/dev/null) || continue
  if [ -n "$undo" ]; then
    chosen=$(set_by_us) || continue
  else
    ! set_by_us >/dev/null || known=yes
    ! set_by_others >/dev/null || { known=yes && say "an IPv$family route $destination keeps the initcwnd that it has"; }
    chosen=$(routes -v ' initcwnd ') || continue
  fi
  if announced; then
    say "IPv$family is left as it is: once changed, a route that a router announced is neither renewed nor ended by it. $manager"
    [ -n "$known" ] || known=left
    continue
  fi
  ! with_several_gateways || refuse "has several gateways, or one that is kept apart (nhid)"
  ! sharing_a_metric || refuse "is there twice with one metric"
  changes="$changes$(printf '%s\n' "$chosen" | settable | sed "s/^/-$family /")
"
done

if [ -z "$changes" ] && [ -z "$undo" ] && [ "$known" != yes ]; then
  [ -n "$known" ] || say "there is no route $destination"
  exit 1
fi
window="initcwnd $segments"
[ -z "$undo" ] || window=
printf '%s' "$changes" | while read -r family route; do
  # Its words are words of `ip`.
  # shellcheck disable=SC2086
  ip "$family" route change $route $window
done
