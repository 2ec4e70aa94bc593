# Claims this server for the run $bowline_run by writing its id to $bowline_mark. Processes of the previous run get
# $bowline_wait seconds to finish, then they are killed. They are recognized by the run's id in their arguments. A lock's
# keeper has it too, but ends with its connection and is skipped. A run whose lock a person has released claims nothing.
if grep -qs "^released $bowline_family " "$bowline_released"; then
    sed -n 's/^released [^ ]* //p' "$bowline_released" >&2
    exit "$bowline_fenced"
fi
bowline_before=$(cat "$bowline_mark" 2>/dev/null)
mkdir -p "$bowline_directory" && printf '%s\n' "$bowline_run" >"$bowline_mark" && rm -f "$bowline_given_up" || exit 1
case $bowline_before in "$bowline_family"* | *[!0-9a-f]*) bowline_before= ;; esac
at_work() {
    # shellcheck disable=SC2062 # a glob of files
    printf '%s\n' "$bowline_before" | grep -lsF -f - /proc/[0-9]*/cmdline |
        while read -r bowline_file; do grep -qsF -e "$bowline_keeper" "$bowline_file" || echo "${bowline_file%/cmdline}"; done
}
if [ ${#bowline_before} = "$bowline_length" ]; then
    # shellcheck disable=SC2295 # a pattern
    bowline_before=${bowline_before%$bowline_token}
    # The previous run will no longer send its image, but Docker would keep asking for it.
    for bowline_process in $(at_work); do
        ! grep -qsF -e "$bowline_pulls" "$bowline_process/cmdline" || kill "${bowline_process#/proc/}" 2>/dev/null
    done
    bowline_tries=${bowline_wait}0
    while bowline_at_work=$(at_work); [ -n "$bowline_at_work" ] && [ $((bowline_tries -= 1)) -gt 0 ]; do
        [ "$bowline_tries" != "$((bowline_wait * 10 - 2))" ] || echo @waits
        sleep 0.1
    done
    for bowline_process in $bowline_at_work; do kill "${bowline_process#/proc/}" 2>/dev/null; done
fi
