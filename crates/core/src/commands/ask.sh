# ask ID FORMAT: stores what Docker says about a container in $bowline_said. Returns 1 if there is no such container, or
# only the remains of one that Docker failed to remove, which is listed without a name and can't be inspected. While a
# daemon restarts, asks again for $bowline_patience seconds. Then the script exits with Docker's error message.
ask() {
    ask_listed "$1" "$2" "id=$1"
}
# ask_name NAME FORMAT: the same for the container of that name.
ask_name() {
    ask_listed "$1" "$2" "name=^/?$(printf '%s' "$1" | sed 's/\./[.]/g')\$"
}
# shellcheck disable=SC2034 # used by the caller
ask_listed() {
    bowline_give_up=
    until bowline_said=$(docker container inspect --format "$2" "$1" 2>/dev/null); do
        bowline_there=$(docker container ls --all --format "{{.Names}}" --filter "$3") && [ -z "$bowline_there" ] && return 1
        bowline_give_up=${bowline_give_up:-$(($(date +%s) + bowline_patience))}
        [ "$(date +%s)" -lt "$bowline_give_up" ] || { docker container inspect --format "$2" "$1" >/dev/null; exit "$bowline_no_answer"; }
        sleep 0.5
    done
}
