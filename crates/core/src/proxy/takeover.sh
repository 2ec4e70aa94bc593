# Moves the server's ports from the proxy $bowline_from to $bowline_name, which runs without ports and already has its
# routes. Functions that differ between proxies: `make NAME` creates the container with the ports, `answers` returns
# once it accepts requests or calls `back`, and `names` prints its services. The container without ports is renamed to
# $bowline_old. The one with the ports is called $bowline_next before the switch.

# Whether an interrupted run has already moved the ports.
has_ports() { ask_name "$bowline_name" '{{.State.Running}} {{index .Config.Labels "bowline.waits"}}' && [ "$bowline_said" = 'true ' ]; }
# Starts the old proxy again and exits.
back() {
    trap '' HUP INT TERM
    show
    docker container rm --force "$bowline_name" "$bowline_next" >/dev/null 2>&1
    if [ -n "$bowline_policy" ]; then
        docker update --restart "$bowline_policy" "$bowline_from" >/dev/null
        docker container start "$bowline_from" >/dev/null && echo "$bowline_from was started again" >&2
    fi
    ! ask_name "$bowline_old" '{{.ID}}' || docker container rename "$bowline_old" "$bowline_name"
    exit "$bowline_failed"
}
take_over() {
    put_right
    make_next
    # shellcheck disable=SC2034 # read by has_services
    bowline_services=$(names)
    bowline_policy=
    trap back HUP INT TERM
    docker container stop -t "$bowline_stop_wait" "$bowline_name" >/dev/null &&
        docker container rename "$bowline_name" "$bowline_old" &&
        docker container rename "$bowline_next" "$bowline_name" || back
    bowline_stopped=$(uptime_ms)
    if ask_name "$bowline_from" "$bowline_format"; then
        bowline_policy=$bowline_said
        keep_stopped "$bowline_from" "$bowline_policy"
        bowline_stopped=$(uptime_ms)
        docker container stop -t "$bowline_stop_wait" "$bowline_from" >/dev/null || back
    fi
    docker container start "$bowline_name" >/dev/null || back
    answers
    bowline_gap=$(($(uptime_ms) - bowline_stopped))
    has_services || back
    trap - HUP INT TERM
    echo "@gap $bowline_gap"
}
has_ports || take_over
