# Removes containers, images and cords that nothing uses. Lists images before containers: an image tagged after the first
# list is not a candidate, and a container started after it still counts as a user. All decisions use these two lists,
# because every call of Docker's client is expensive for the server.
list_images() { bowline_images=$(docker image ls --format '{{.Repository}}:{{.Tag}}' "$bowline_repository") || exit; }
# Prints a line per container, newest first. The commas around mounts, and the space and comma after the image, make both
# searchable without parsing the line.
containers() { docker container ls --all --no-trunc --format "$bowline_format"; }
list() {
    bowline_all=$(containers) || exit
    bowline_old=
    # shellcheck disable=SC2034 # a field that isn't needed
    bowline_served=" $(uniq "$bowline_history" 2>/dev/null | tail -n 100 | while read -r bowline_kind bowline_entry; do
        printf '%s ' "$bowline_entry"
    done)"
}
# stopped OWNER PREFIX: prints the ids of an owner's stopped containers, the ones that `rollback` needs first: the newest of
# each version that served and doesn't run now. Containers of failed boots and of earlier boots of a version follow. Both
# groups are sorted from new to old. A label with a line break can start a line with anything, so the id is checked. Docker
# updates its list only some time after `docker stop` returns, a few hundred milliseconds on a slow disk, so the containers
# $bowline_ended count as stopped even if they are listed as running.
stopped() {
    bowline_seen=' ' bowline_stopped='' bowline_first='' bowline_others=''
    # shellcheck disable=SC2034 # fields that aren't needed
    while read -r bowline_id bowline_owner bowline_name bowline_more; do
        case $bowline_id in *[!0-9a-f]*) continue ;; esac
        case $bowline_owner in
            created/"$1" | exited/"$1" | dead/"$1") ;;
            running/"$1" | restarting/"$1" | paused/"$1")
                case " $bowline_ended " in *" $bowline_id "*) ;; *) see "$2" && continue ;; esac
                ;;
            *) continue ;;
        esac
        bowline_stopped="$bowline_stopped$bowline_id $bowline_name
"
    done <<END
$bowline_all
END
    while read -r bowline_id bowline_name; do
        if [ -z "$bowline_id" ]; then
            continue
        elif served "$2" && ! seen; then
            see "$2"
            bowline_first="$bowline_first $bowline_id"
        else
            bowline_others="$bowline_others $bowline_id"
        fi
    done <<END
$bowline_stopped
END
    for bowline_id in $bowline_first $bowline_others; do echo "$bowline_id"; done
}
# These functions are about the version in $bowline_name: Bowline's label (empty for a container of Kamal), a slash, and the
# container's name.
see() {
    version "$1"
    bowline_seen="$bowline_seen$bowline_version "
}
seen() { case $bowline_seen in *" $bowline_version "*) ;; *) return 1 ;; esac }
# Kamal writes no history, so each container of Kamal counts as one that served.
served() {
    version "$1"
    case $bowline_name in /*) return ;; esac
    case $bowline_served in *" $bowline_version "*) ;; *) return 1 ;; esac
}
version() { bowline_version=${bowline_name#*/"$1"} bowline_version=${bowline_version%%_replaced_*}; }
# Lists containers again afterwards: if two destinations prune at the same time, the last one must see what both have removed.
remove_old() {
    # shellcheck disable=SC2086,SC2116 # ids, trimmed to test for none
    bowline_old=$(echo $bowline_old)
    [ -n "$bowline_old" ] || return 0
    # shellcheck disable=SC2086 # ids
    docker rm $bowline_old >/dev/null
    bowline_all=$(containers) || exit
}
# Removes the repository's tags that no container uses, except the latest tags of all destinations. Images are selected by
# repository because they may lack the service's label. Other apps may share the repository: their containers count, and so
# do images that they have pulled but not run yet.
remove_unused() {
    # shellcheck disable=SC2086 # a pattern
    bowline_pulled=$(cat $bowline_all_pulled 2>/dev/null)
    bowline_unused=$(printf '%s\n' "$bowline_images" | while read -r bowline_image; do
        case $bowline_image in '' | *:latest | *:latest-* | *:'<none>') continue ;; esac
        case "$bowline_all" in *" $bowline_image ,"*) continue ;; esac
        printf '%s\n' "$bowline_pulled" | grep -qxF -e "$bowline_image" || printf '%s ' "$bowline_image"
    done)
    # shellcheck disable=SC2086 # names
    [ -z "$bowline_unused" ] || docker rmi $bowline_unused >/dev/null
    remove_nameless
}
# Removes cords that no container mounts. Containers of all services count, because another service may share the directory.
remove_cords() {
    for bowline_cord in "$bowline_cords"/*; do
        [ -d "$bowline_cord" ] || continue
        case "$bowline_all" in *",$PWD/$bowline_cord,"*) ;; *) rm -rf "$bowline_cord" ;; esac
    done
}
