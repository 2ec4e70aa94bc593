# make OPTIONS: makes the lock's directory $bowline_lock with these options of mkdir; it fails if there is one. One that is gone
# when it is looked at was given back in between, and then there is another try. What else keeps it from being made ends the
# script.
make() {
    bowline_tries=20
    until bowline_said=$(mkdir "$@" "$bowline_lock" 2>&1); do
        [ ! -d "$bowline_lock" ] || return 1
        [ $((bowline_tries -= 1)) -gt 0 ] || {
            printf '%s\n' "$bowline_said" >&2
            exit 1
        }
    done
}
# The details of the lock as Kamal writes them: 60 characters a line.
encoded() { printf %s "$bowline_text" | base64 -w 60; }
