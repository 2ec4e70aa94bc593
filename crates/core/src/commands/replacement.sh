# Replaces the container $bowline_name. The new one is called $bowline_next until the old one has stopped. The old one is
# called $bowline_old until the new one has come up. The caller defines `make NAME`, which creates the new one, `show`,
# which prints why it didn't come up, and `put_back`, which reports that the old one runs again. A failure ends the script
# with $bowline_failed.

# Repairs what a killed run left of a replacement.
put_right() {
    ask_name "$bowline_name" '{{.ID}}' ||
        { ! ask_name "$bowline_old" '{{.ID}}' || docker container rename "$bowline_old" "$bowline_name" || exit "$bowline_failed"; }
    docker container rm --force "$bowline_next" "$bowline_old" >/dev/null 2>&1
}
# Stores the state, restart policy and label `service` of the existing container in $bowline_found.
find_old() {
    bowline_found=
    ! ask_name "$bowline_name" "{{.State.Status}} $bowline_format {{index .Config.Labels \"service\"}}" || bowline_found=$bowline_said
    bowline_policy=${bowline_found#* }
    bowline_policy=${bowline_policy%% *}
}
# Creates the new container. Its ports must be free, or belong to the container $bowline_gives.
make_next() {
    make "$bowline_next" >/dev/null || { docker container rm --force "$bowline_next" >/dev/null 2>&1; exit "$bowline_failed"; }
    bowline_taken=$(taken "$bowline_next" "$bowline_gives") || exit
    [ -z "$bowline_taken" ] ||
        { printf '%s\n' "$bowline_taken"; docker container rm "$bowline_next" >/dev/null; exit "$bowline_port_taken"; }
}
stop_old() {
    [ -n "$bowline_found" ] || return 0
    keep_stopped "$bowline_name" "$bowline_policy"
    # shellcheck disable=SC2086 # nothing, or two words
    docker container stop ${bowline_stop_wait:+-t $bowline_stop_wait} "$bowline_name" >/dev/null &&
        docker container rename "$bowline_name" "$bowline_old" ||
        { docker container rm "$bowline_next" >/dev/null; exit "$bowline_failed"; }
}
start_next() {
    bowline_named=
    docker container rename "$bowline_next" "$bowline_name" || back "$bowline_failed"
    bowline_named=yes
    docker container start "$bowline_name" >/dev/null || back "$bowline_failed"
}
# back STATUS: restores the old container and exits.
back() {
    if [ -n "$bowline_named" ]; then
        show
        docker container rm --force "$bowline_name" >/dev/null 2>&1
    fi
    docker container rm --force "$bowline_next" >/dev/null 2>&1
    if [ -n "$bowline_found" ] && docker container rename "$bowline_old" "$bowline_name"; then
        case $bowline_found in running*)
            docker update --restart "$bowline_policy" "$bowline_name" >/dev/null
            docker container start "$bowline_name" >/dev/null && put_back ;;
        esac
    fi
    exit "$1"
}
