# Writes standard input to $bowline_file. The new file is readable only by its owner from the first byte, and moves into
# place once it is complete and has its owner and mode. An identical file stays, so a process that has it open still sees
# the current one.
mkdir -p "$bowline_directory" || exit
trap 'rm -f "$bowline_new"' EXIT
(umask 077 && cat >"$bowline_new") || exit
[ "$(($(wc -c <"$bowline_new")))" = "$bowline_length" ] || {
    echo 'the upload was cut short' >&2
    exit 1
}
if cmp -s "$bowline_new" "$bowline_file"; then
    rm -f "$bowline_new"
    bowline_at=$bowline_file
    set_rights
else
    # shellcheck disable=SC2034 # read by set_rights
    bowline_at=$bowline_new
    echo @changed
    set_rights
    # Docker creates a directory in place of a missing file that it should mount.
    [ ! -d "$bowline_file" ] || rmdir "$bowline_file" || exit
    mv -f "$bowline_new" "$bowline_file" || exit
fi
