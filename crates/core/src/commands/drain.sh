# Waits until no connection to a port that the container $bowline_id listens on has an unanswered request, for at most
# $bowline_drain seconds, or $bowline_blind seconds if open requests can't be seen. An idle keep-alive connection of the
# proxy doesn't delay a deploy, but a request that takes five seconds does. $bowline_program tells them apart.
drain() {
    bowline_drained=idle
    ask "$bowline_id" '{{.State.Pid}}' && [ "$bowline_said" != 0 ] || return
    bowline_pid=$bowline_said
    bowline_drained=blind
    inside() { nsenter -t "$bowline_pid" -n ss -n -t "$@" 2>/dev/null; }
    bowline_ports=$(inside -l | awk '{n = split($4, a, ":"); printf "%s ", a[n]}')
    bowline_deadline=$(($(date +%s) + bowline_drain))
    while bowline_open=$(inside -i state established); do
        {
            cat "/proc/$bowline_pid/net/tcp" "/proc/$bowline_pid/net/tcp6" 2>/dev/null
            printf '%s\n' "$bowline_open"
        } | awk -v ports="$bowline_ports" "$bowline_program"
        case $? in
            0) ;;
            1) bowline_drained=idle; return ;;
            *) break ;;
        esac
        [ "$(date +%s)" -lt "$bowline_deadline" ] || { bowline_drained=busy; return; }
        sleep 0.1
    done
    if [ -d "/proc/$bowline_pid" ]; then sleep "$bowline_blind"; else bowline_drained=idle; fi
}
drain
[ $bowline_drained != blind ] || [ "$(id -u)" != 0 ] || echo @unseen
echo "@drain $bowline_drained"
