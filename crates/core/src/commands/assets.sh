# What the script that prepares assets is made of. Before it stand the variables, each with `bowline_` before its name,
#   work    this run's own directory: all is made there, and put in place when it is whole
#   run     a token of the run
#   helper  the name of the throw-away container
#   in_use  not empty when a container that runs has the new version's own directories
#   keep    for how many minutes assets of earlier versions are kept
# Every step is a few processes for all files together, whatever their number and names.

bowline_made=

finish() {
    [ -z "$bowline_made" ] || docker container rm --force --volumes "$bowline_made" >/dev/null 2>&1
    rm -rf "$bowline_work"
    rmdir "${bowline_work%/*}" "${bowline_work%/*/*}" 2>/dev/null
}

# extract IMAGE PATH DIRECTORY: copies a directory out of an image, through a container that is created and never
# started: the image needs no shell. Taken as a stream, because `docker cp` by itself refuses an image with a symbolic
# link that leads out of the directory. Everything becomes readable for whatever user the app runs as.
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

# why_not IMAGE PATH: what kept `extract` from it: there is no such directory, or something else. The kind of a path is
# in the first header of its archive.
why_not() {
    docker container inspect "$bowline_made" >/dev/null 2>&1 || { cat "$bowline_work/said" >&2; return 1; }
    case $(docker container cp -L "$bowline_made:$2" - 2>/dev/null | dd bs=1 skip=156 count=1 2>/dev/null) in
    5) cat "$bowline_work/said" >&2; return 1 ;;
    '') echo 'there is no such path' >&2 ;;
    *) echo 'it is a file, not a directory' >&2 ;;
    esac
    return "$bowline_no_assets"
}

# merge FROM TO: links what isn't there yet, whole or not at all, and overwrites nothing. `cp -i` without an answer
# leaves alone what exists; `cp -n` doesn't do: busybox leaves out whole directories then, and coreutils 9.2 to 9.4 call
# a file that is left alone a failure. What a status can't tell, the names do: all must be there in the end, but for
# those below a name that is a directory here and a file there.
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

# carry IMAGE AT EXTRACTED EARLIER: what a version that runs answers for: the files of its image, whose time is up
# when `keep` has passed from now on, and those of versions before it, if theirs isn't. A version whose files
# nobody has extracted yet is asked for them now. Below `earlier` they lie where they are in the container, so that
# they are found again when `asset_path` is changed to a directory above or below.
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

# reach VOLUME AT: adds the new version's files to a volume that a container has mounted there. They are copied beside
# first, within the volume (so that they get its SELinux label), and linked into place whole: a run that is killed
# leaves no half of a file that the next one would take for the container's own.
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

# put NEW PLACE: puts a directory in place, if there is one. What a container still has mounted moves aside.
put() {
    if [ -e "$2" ]; then
        mv "$2" "${2}_replaced_$bowline_run" || return
        [ -n "$bowline_in_use" ] || rm -rf "${2}_replaced_$bowline_run"
    fi
    [ ! -e "$1" ] || { mkdir -p "${2%/*}" && mv "$1" "$2"; }
}
