# Functions shared by the scripts for all proxies. $bowline_name is the container, $bowline_network the network that it
# must be in. All apps of a server share the container and may run these scripts at the same time.
show() { docker container logs --tail 20 "$bowline_name" >&2; }
put_back() { echo 'the old one was started again' >&2; }
failed() {
    printf '%s\n' "$bowline_said" >&2
    exit "$bowline_failed"
}
uptime_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
start() { docker container start "$bowline_name" >/dev/null 2>&1; }
connected() {
    [ -n "$(docker container inspect --format "{{with index .NetworkSettings.Networks \"$bowline_network\"}}yes{{end}}" "$bowline_name" 2>/dev/null)" ]
}
connect() {
    connected || bowline_said=$(docker network connect "$bowline_network" "$bowline_name" 2>&1) || { sleep 0.5; connected; } || failed
}
# Starts the existing container and calls `again`, or lets `run` create and start one, between `before_run` and
# `after_run`. If another app is creating the container, its name is in use, and this waits until it can be started.
ensure() {
    if start; then
        again
        connect
        return
    fi
    before_run
    if bowline_said=$(run 2>&1); then
        after_run
        echo @made
        return
    fi
    case $bowline_said in
        *'container name '*'already in use'*) bowline_tries=100 ;;
        *) failed ;;
    esac
    until start; do
        [ $((bowline_tries -= 1)) -gt 0 ] || failed
        sleep 0.1
    done
    connect
}
# Whether `names` prints all of $bowline_services.
has_services() {
    bowline_new=" $(names)"
    for bowline_service in $bowline_services; do
        case $bowline_new in
            *" $bowline_service "*) ;;
            *)
                echo "$bowline_name no longer has the service $bowline_service" >&2
                return 1
                ;;
        esac
    done
}
