# Calls the function look now, and with its name after each event of the container $bowline_id, until it exits, and with it the
# script. look has to exit when $bowline_deadline (seconds since 1970) has passed. Where Docker's events end early, it is called
# again and again. If nobody reads any more what look prints, the program that waits for events has to be told: it would notice
# with the next event alone.
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
