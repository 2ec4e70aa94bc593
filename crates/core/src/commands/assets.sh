# Functions for the script that prepares assets. It sets these variables, each with the prefix `bowline_`:
#   work    this run's private directory, where everything is built before it moves into place
#   run     a token of the run
#   helper  the name of the helper container
#   in_use  not empty if a running container mounts the new version's directories
#   keep    how long to keep the assets of earlier versions, in minutes
# Each step starts a few processes for all files together, however many there are.

bowline_made=

finish() {
    [ -z "$bowline_made" ] || docker container rm --force --volumes "$bowline_made" >/dev/null 2>&1
    rm -rf "$bowline_work"
    rmdir "${bowline_work%/*}" "${bowline_work%/*/*}" 2>/dev/null
}

# extract IMAGE PATH DIRECTORY: copies a directory out of an image, through a container that is created but never started,
# so the image needs no shell. Reads a tar stream because plain `docker cp` refuses an image with a symbolic link that leads
# out of the directory. Makes all files readable, because the app may run as any user.
extract() {
    docker container rm --volumes "$bowline_helper" >/dev/null 2>&1
    bowline_made=$(docker container create --name "$bowline_helper" "$1" true) || return
    mkdir -p "$3" && : >"$bowline_work/said" || return
    if { docker container cp -L "$bowline_made:$2/." - 2>>"$bowline_work/said"; echo $? >"$bowline_work/status"; } |
        tar -xomf - -C "$3" 2>>"$bowline_work/said" && [ "$(cat "$bowline_work/status")" = 0 ]; then
        chmod -R u+rwX,go+rX,ug-s "$3"
        bowline_result=$?
    else
        why_not "$1" "$2"
        bowline_result=$?
    fi
    docker container rm --force --volumes "$bowline_made" >/dev/null 2>&1
    bowline_made=
    return $bowline_result
}

# why_not IMAGE PATH: explains why `extract` failed, and returns $bowline_no_assets if the path is not a directory. The type
# of a path is in the first header of its archive.
why_not() {
    docker container inspect "$bowline_made" >/dev/null 2>&1 || { cat "$bowline_work/said" >&2; return 1; }
    case $(docker container cp -L "$bowline_made:$2" - 2>/dev/null | dd bs=1 skip=156 count=1 2>/dev/null) in
    5) cat "$bowline_work/said" >&2; return 1 ;;
    '') echo 'there is no such path' >&2 ;;
    *) echo 'it is a file, not a directory' >&2 ;;
    esac
    return "$bowline_no_assets"
}

# merge FROM TO: hard-links the files that TO lacks, so none is ever partial. Overwrites nothing. `cp -i` without input
# skips existing files. `cp -n` is no alternative: busybox then skips whole directories, and coreutils 9.2 to 9.4 report a
# skipped file as a failure. As the exit status says too little, the names are compared: all must exist in the end, except
# those below a name that is a directory in FROM and a file in TO.
merge() {
    bowline_said=$(LC_ALL=C cp -RPli "$1/." "$2/" </dev/null 2>&1) && return
    bowline_left=$({
        (cd "$2" && find . && echo // && find . ! -type d && echo //) && (cd "$1" && find .) || echo "//could not be read"
    } | LC_ALL=C awk '
        /^\/\/./ { print; next }
        $0 == "//" { part++; next }
        part == 0 { there[$0]; next }
        part == 1 { file[$0]; next }
        $0 in there { next }
        { for (path = $0; sub("/[^/]*$", "", path); ) if (path in file) next; print }')
    [ -n "$bowline_left" ] || return 0
    printf '%s\n' "$bowline_said" | sed 's/.*? cp: /cp: /' | grep -v 'cannot overwrite' | tail -n 3 >&2
    echo "not everything could be copied to $2: $(printf '%s\n' "$bowline_left" | head -n 3)" >&2
    return 1
}

# carry IMAGE AT EXTRACTED EARLIER: collects the files that a running version contributes to `earlier`: those of its image,
# which expire $bowline_keep minutes from now, and those of versions before it that have not expired. Extracts the version's
# files first if that was never done. Below `earlier`, files keep their path in the container, so that they are found after
# `asset_path` changes to a directory above or below.
carry() {
    mkdir -p "$bowline_work/earlier$2" || return
    if [ ! -d "$3" ]; then
        if extract "$1" "$2" "$bowline_work/old" 2>/dev/null; then merge "$bowline_work/old" "$bowline_work/earlier$2" || return; fi
        rm -rf "$bowline_work/old"
    fi
    for bowline_tree in "$3" "$3"_replaced_*; do
        [ -d "$bowline_tree" ] || continue
        find "$bowline_tree" ! -type d -exec touch -h {} +
        merge "$bowline_tree" "$bowline_work/earlier$2" || return
    done
    for bowline_tree in "$4" "$4"_replaced_*; do
        [ -d "$bowline_tree" ] || continue
        find "$bowline_tree" ! -type d -mmin "+$bowline_keep" -exec rm -f {} +
        find "$bowline_tree" -depth -type d -exec rmdir {} + 2>/dev/null
        [ ! -d "$bowline_tree" ] || merge "$bowline_tree" "$bowline_work/earlier" || return
    done
}

# reach VOLUME AT: adds the new version's files to a volume that a container mounts at AT. Copies them to a directory within
# the volume first (so that they get its SELinux label), and links them into place whole. So a run that is killed leaves no
# partial file that the next one would take for the container's own.
reach() {
    [ -d "$bowline_work/new$2" ] || return 0
    for bowline_volume in "$1" "$1"_replaced_*; do
        [ -d "$bowline_volume" ] || continue
        rm -rf "$bowline_volume"/.bowline-*
        mkdir "$bowline_volume/.bowline-$bowline_run" &&
            cp -RP "$bowline_work/new$2/." "$bowline_volume/.bowline-$bowline_run/" &&
            merge "$bowline_volume/.bowline-$bowline_run" "$bowline_volume"
        bowline_result=$?
        rm -rf "$bowline_volume/.bowline-$bowline_run"
        [ $bowline_result = 0 ] || return $bowline_result
    done
}

# put NEW PLACE: moves a directory into place, if it exists. Moves the old one aside if a container still mounts it.
put() {
    if [ -e "$2" ]; then
        mv "$2" "${2}_replaced_$bowline_run" || return
        [ -n "$bowline_in_use" ] || rm -rf "${2}_replaced_$bowline_run"
    fi
    [ ! -e "$1" ] || { mkdir -p "${2%/*}" && mv "$1" "$2"; }
}
