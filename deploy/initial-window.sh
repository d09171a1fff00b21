#!/bin/sh
# Lets connections from this host begin with a larger congestion window: a far caller has an answer some round trips earlier.
#   initial-window.sh SEGMENTS [DESTINATION]
# The destination is a route as `ip route show` has it, by default the default one. 10 is what Linux begins with.
set -eu
segments=$1
destination=${2:-default}
case $segments in
'' | *[!0-9]*) echo "initial-window.sh: $segments is no number of segments" >&2 && exit 2 ;;
esac
changed=
for family in -4 -6; do
  # What is shown is what can be set, but for the time that a route learned from a router has left, and its state.
  routes=$(ip "$family" route show "$destination" 2>/dev/null |
    sed -E 's/ (initcwnd [0-9]+|expires [0-9]+sec|linkdown|dead)//g')
  [ -n "$routes" ] || continue
  while read -r route; do
    # Its words are words of `ip`.
    # shellcheck disable=SC2086
    ip "$family" route change $route initcwnd "$segments"
  done <<ROUTES
$routes
ROUTES
  changed=yes
done
[ -n "$changed" ] || { echo "initial-window.sh: there is no route $destination" >&2 && exit 1; }
