# Asks the containers $bowline_ids to stop, and waits until Docker considers them unhealthy. They still respond.
for bowline_id in $bowline_ids; do
    ask "$bowline_id" "$bowline_address" || continue
    bowline_reached=$bowline_said
    docker container kill --signal TERM "$bowline_id" >/dev/null 2>&1
    bowline_tries=100
    while ask "$bowline_id" '{{.State.Status}}{{with .State.Health}} {{.Status}}{{end}}' &&
        [ "$bowline_said" = 'running healthy' ] && [ $((bowline_tries -= 1)) -gt 0 ]; do sleep 0.1; done
    echo "@address $bowline_reached"
done
