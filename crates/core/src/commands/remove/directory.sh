# Removes the app's directory $bowline_directory and its files for the proxy, unless a container mounts part of the directory.
bowline_ids=$(docker container ls --all --quiet) || exit
bowline_shared=
# shellcheck disable=SC2086 # ids
[ -z "$bowline_ids" ] || bowline_shared=$(docker container inspect --format '{{$name := .Name}}{{range .Mounts}}{{println $name .Source}}{{end}}' $bowline_ids |
    grep -F "$PWD/$bowline_directory/" | cut -d' ' -f1 | sed 's,^/,,' | sort -u)
if [ -n "$bowline_shared" ]; then
    # shellcheck disable=SC2086 # names
    echo @shared $bowline_shared
    exit 0
fi
sweep
note
rm -rf "$bowline_directory" "$bowline_proxied"
