# make OPTIONS: creates the lock's directory $bowline_lock with these options of mkdir. Returns 1 if it exists. If mkdir
# fails but the directory doesn't exist, it was released in between, and make tries again. After 20 tries, another error
# must be the cause, which ends the script.
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
# Prints the details in the encoding that Kamal uses: base64 with 60 characters per line.
encoded() { printf %s "$bowline_text" | base64 -w 60; }
