# Writes standard input to $bowline_file: readable by its owner alone from the first byte, and in its place only once it has come
# whole and has its rights. One that is the same stays, and who has it open sees it on.
mkdir -p "$bowline_directory" || exit
trap 'rm -f "$bowline_new"' EXIT
(umask 077 && cat >"$bowline_new") || exit
[ "$(($(wc -c <"$bowline_new")))" = "$bowline_length" ] || {
    echo 'the file did not come whole' >&2
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
    # Docker makes a directory of what it is to mount and isn't there.
    [ ! -d "$bowline_file" ] || rmdir "$bowline_file" || exit
    mv -f "$bowline_new" "$bowline_file" || exit
fi
