# Prints everything that decisions need to know about the server. Each process costs the server about as much as most of its
# answers, so one call lists the containers and one inspects those that matter. A container that Docker failed to remove is
# listed without a name and can't be inspected.
containers() {
    bowline_all=$(docker container ls --all --no-trunc --format "$bowline_list_format") || return
    bowline_ids=$(printf '%s\n' "$bowline_all" | sed -n '/^[0-9a-f]\{64\} [^ ]/{'"$bowline_proxies"'s/ [^ ]* ..*//p}')
    # shellcheck disable=SC2086 # ids
    [ -z "$bowline_ids" ] || docker container inspect --format "$bowline_template" $bowline_ids
}
bowline_version=$(docker version --format '{{.Server.Version}}') || exit
claim
echo "@docker $bowline_version"
# A container may vanish between the two calls. Then try again.
bowline_tries=4
until bowline_found=$(containers 2>/dev/null) || [ $((bowline_tries -= 1)) = 0 ]; do :; done
[ $bowline_tries != 0 ] || bowline_found=$(containers) || exit
printf '%s\n' "$bowline_found"
printf '%s\n' "$bowline_found" | grep -q '^@network ' || docker network inspect "$bowline_network" --format '@network {{.Name}}' 2>/dev/null
# The proxy's routes. A proxy that is still starting is not waited for.
case $bowline_found in
    *@routes*)
        # shellcheck disable=SC2034 # read by rows
        ! bowline_list=$(services 2>/dev/null) || {
            echo @services
            rows
        }
        [ ! -f "$bowline_upgraded" ] || sed 's/^/@upgraded /' "$bowline_upgraded"
        ;;
esac
docker image ls --no-trunc --format '@image {{.ID}} {{.Repository}}:{{.Tag}}' "$bowline_repository" || exit
[ ! -d "$bowline_lock" ] || echo "@lock $(base64 -d <"$bowline_lock/details" 2>/dev/null | base64 | tr -d '\n')"
[ ! -f "$bowline_history" ] || uniq "$bowline_history" | tail -n 100 | sed 's/^/@served /'
echo @end
