# Follows the container $bowline_id, which was just started, until it is ready or has failed, for at most $bowline_timeout
# seconds. It has failed when Docker has restarted it $bowline_most times. Without a health check, it is ready when it still
# runs after $bowline_delay seconds, or immediately if Docker has restarted it exactly $bowline_seen times. Requests reach it
# on $bowline_network. If $bowline_ready is `started`, it is ready once it runs. If it is `registering`, the proxy decides.
bowline_deadline=$(($(date +%s) + bowline_timeout))
bowline_last=
failed() {
    echo "@failed $1"
    # Docker forgets how a container exited when it restarts it, but its events remember. $bowline_past is how many seconds
    # before this script the container may have exited.
    echo "@ended $(docker events --since $((bowline_deadline - bowline_timeout - ${bowline_past:-5})) --until 0s --filter "container=$bowline_id" --filter event=oom \
        --filter event=die --format '{{.Action}}{{with index .Actor.Attributes "exitCode"}}={{.}}{{end}}' | tail -n "$bowline_ends" | tr '\n' ' ')"
    bowline_pid=$(docker container inspect --format '{{.State.Pid}}' "$bowline_id")
    echo "@listening $(cat "/proc/$bowline_pid/net/tcp" "/proc/$bowline_pid/net/tcp6" 2>/dev/null | awk '$4 == "0A" { printf "%s ", $2 }')"
    echo "@check $(docker container inspect --format '{{if .Config.Healthcheck}}{{json .Config.Healthcheck.Test}}{{end}}' "$bowline_id")"
    echo @log
    docker container logs --tail "$bowline_log_lines" "$bowline_id" 2>&1
    echo
    printf '@health %s\n' "$(docker container inspect --format '{{json .State.Health}}' "$bowline_id")"
    exit "$bowline_not_ready"
}
look() {
    while :; do
        ask "$bowline_id" '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.State.ExitCode}} {{.RestartCount}} {{.State.OOMKilled}} {{with index .NetworkSettings.Networks "'"$bowline_network"'"}}{{.IPAddress}} {{else}}{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}{{end}}' || failed gone
        # shellcheck disable=SC2086 # words
        set -- $bowline_said
        bowline_now="$1 $2 $3 $4 $5"
        [ "$bowline_now" = "$bowline_last" ] || {
            echo "@state $bowline_now"
            bowline_last=$bowline_now
        }
        [ "$4" -lt "$bowline_most" ] || failed restarting
        case "$bowline_ready $1 $2" in
            'started running '*)
                shift 5
                echo "@ready $*"
                exit 0
                ;;
            'registering running '*) return ;;
        esac
        case "$1 $2" in
            'running healthy')
                shift 5
                echo "@ready $*"
                exit 0
                ;;
            'running none')
                [ -z "$bowline_seen" ] || [ "$bowline_seen" != "$4" ] || {
                    shift 5
                    echo "@ready $*"
                    exit 0
                }
                bowline_seen=$4
                echo "@delay $bowline_delay"
                sleep "$bowline_delay"
                continue
                ;;
            exited* | dead* | removing*) failed exited ;;
        esac
        [ "$(date +%s)" -lt "$bowline_deadline" ] || failed timeout
        return
    done
}
