# Puts a new container in the place of $bowline_name. It is $bowline_next until the old one has stopped, which is $bowline_old until the
# new one has come up. The caller defines `make NAME`, which makes the new one, `show`, which prints why it didn't come up, and
# `put_back`, which says that the old one was started again. Whatever fails ends the script with $bowline_failed.

# Puts right what a run that was killed has left of this.
put_right() {
    ask_name "$bowline_name" '{{.ID}}' ||
        { ! ask_name "$bowline_old" '{{.ID}}' || docker container rename "$bowline_old" "$bowline_name" || exit "$bowline_failed"; }
    docker container rm --force "$bowline_next" "$bowline_old" >/dev/null 2>&1
}
# Puts the state, the restart policy and the label `service` of the one that is there in $bowline_found.
find_old() {
    bowline_found=
    ! ask_name "$bowline_name" "{{.State.Status}} $bowline_format {{index .Config.Labels \"service\"}}" || bowline_found=$bowline_said
    bowline_policy=${bowline_found#* }
    bowline_policy=${bowline_policy%% *}
}
# Makes the new one. Its ports must be free, or those of the container $bowline_gives.
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
# back STATUS: the old one is put back.
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
