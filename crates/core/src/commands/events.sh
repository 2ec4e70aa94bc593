# Calls the function `look` immediately, and with the event's name after each event of the container $bowline_id, until
# `look` exits and ends the script. `look` must exit when $bowline_deadline (seconds since 1970) has passed. If Docker's
# events end early, polls instead. If the reader of `look`'s output is gone, kills `docker events`, which would otherwise
# notice only at the next event.
look
sh -c 'echo $$; exec "$@"' sh docker events --since "$bowline_since" --until "$bowline_deadline" --filter container="$bowline_id" \
    --filter event=start --filter event=die --filter event=oom --filter event=destroy --filter event=health_status \
    --format '{{.Action}}' 2>/dev/null | {
    read -r bowline_events
    trap 'kill "$bowline_events" 2>/dev/null' EXIT
    trap 'exit 1' PIPE
    while read -r bowline_event; do look "$bowline_event"; done
    while :; do
        look
        sleep 0.1
    done
}
exit
