# ask ID FORMAT: puts what Docker says about a container in $bowline_said. Status 1: there is no such container, or Docker failed
# to remove it, so that it is listed without a name and can't be found. A daemon that is being restarted is asked again for as
# long as $bowline_patience; then the script ends with what Docker says.
ask() {
    ask_listed "$1" "$2" "id=$1"
}
# ask_name NAME FORMAT: the same for the container that has a name.
ask_name() {
    ask_listed "$1" "$2" "name=^/?$(printf '%s' "$1" | sed 's/\./[.]/g')\$"
}
# shellcheck disable=SC2034 # the answer
ask_listed() {
    bowline_give_up=
    until bowline_said=$(docker container inspect --format "$2" "$1" 2>/dev/null); do
        bowline_there=$(docker container ls --all --format "{{.Names}}" --filter "$3") && [ -z "$bowline_there" ] && return 1
        bowline_give_up=${bowline_give_up:-$(($(date +%s) + bowline_patience))}
        [ "$(date +%s)" -lt "$bowline_give_up" ] || { docker container inspect --format "$2" "$1" >/dev/null; exit "$bowline_no_answer"; }
        sleep 0.5
    done
}
