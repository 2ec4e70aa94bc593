# Removes Traefik, unless other containers have routers.
bowline_others=$(docker container ls --format '{{.Names}} {{.Labels}}') || exit
bowline_others=$(printf '%s\n' "$bowline_others" | awk -v own="$bowline_name" '$1 != own && /traefik\.http\.routers\./ { print $1 }' | tr '\n' ' ')
if [ -n "$bowline_others" ]; then
    echo "@kept $bowline_others"
    exit 0
fi
# shellcheck disable=SC2086 # names
docker container rm $bowline_beside >/dev/null 2>&1
ask_name "$bowline_name" '{{.ID}}' || exit 0
docker container stop "$bowline_name" >/dev/null && docker container rm "$bowline_name" >/dev/null || exit
rm -f "$bowline_env_file"
