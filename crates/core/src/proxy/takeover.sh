# Gives the server's ports from the proxy $bowline_from to $bowline_to, which runs without ports and knows where requests go. What
# differs between proxies: `made NAME` makes the container that has the ports, `answers` returns once it takes requests or ends
# with `back`, `names` prints what it routes. The container without ports becomes $bowline_old, that one $bowline_next before.
uptime_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
# Whether it has the ports already, from a run that was cut off.
has_ports() { ask_name "$bowline_to" '{{.State.Running}} {{index .Config.Labels "bowline.waits"}}' && [ "$bowline_said" = 'true ' ]; }
# The one before takes requests again.
back() {
    trap '' HUP INT TERM
    docker container logs --tail 20 "$bowline_to" >&2
    docker container rm --force "$bowline_to" "$bowline_next" >/dev/null 2>&1
    if [ -n "$bowline_policy" ]; then
        docker update --restart "$bowline_policy" "$bowline_from" >/dev/null
        docker container start "$bowline_from" >/dev/null && echo "$bowline_from was started again" >&2
    fi
    ! ask_name "$bowline_old" '{{.ID}}' || docker container rename "$bowline_old" "$bowline_to"
    exit "$bowline_failed"
}
take_over() {
    if ! ask_name "$bowline_to" '{{.ID}}' && ask_name "$bowline_old" '{{.ID}}'; then
        docker container rename "$bowline_old" "$bowline_to" || exit "$bowline_failed"
    fi
    docker container rm --force "$bowline_next" "$bowline_old" >/dev/null 2>&1
    made "$bowline_next" >/dev/null || { docker container rm --force "$bowline_next" >/dev/null 2>&1; exit "$bowline_failed"; }
    free
    bowline_names=$(names)
    bowline_policy=
    trap back HUP INT TERM
    docker container stop -t "$bowline_stop_wait" "$bowline_to" >/dev/null &&
        docker container rename "$bowline_to" "$bowline_old" &&
        docker container rename "$bowline_next" "$bowline_to" || back
    bowline_stopped=$(uptime_ms)
    if ask_name "$bowline_from" "$bowline_format"; then
        bowline_policy=$bowline_said
        keep_stopped "$bowline_from" "$bowline_policy"
        bowline_stopped=$(uptime_ms)
        docker container stop -t "$bowline_stop_wait" "$bowline_from" >/dev/null || back
    fi
    docker container start "$bowline_to" >/dev/null || back
    answers
    bowline_gap=$(($(uptime_ms) - bowline_stopped))
    bowline_new=" $(names)"
    for bowline_name in $bowline_names; do
        case $bowline_new in
            *" $bowline_name "*) ;;
            *) echo "$bowline_to does not have the service $bowline_name any more" >&2; back ;;
        esac
    done
    trap - HUP INT TERM
    echo "@gap $bowline_gap"
}
has_ports || take_over
