# Prints the addresses of the running containers, Traefik's arguments, and the errors in its log.
bowline_ids=$(docker container ls --quiet)
# shellcheck disable=SC2086 # ids
[ -z "$bowline_ids" ] || docker container inspect --format '{{$name := .Name}}{{range $network, $at := .NetworkSettings.Networks}}@at {{$at.IPAddress}} {{$name}} {{$network}}{{"\n"}}{{end}}' $bowline_ids
docker container inspect --format '{{range .Args}}@arg {{.}}{{"\n"}}{{end}}' "$bowline_traefik"
docker container logs --since "${bowline_since}s" --tail "$bowline_read" "$bowline_traefik" 2>&1 |
    grep -E 'ERR|FTL|level=(error|fatal)|"level":"(error|fatal)"' | tail -n "$bowline_kept" | sed 's/^/@said /'
exit 0
