# Removes containers, images and cords that nothing needs. Images are listed before containers: a tag that comes meanwhile is no
# candidate, and what uses it counts. Decisions are made from these lists, as each program of Docker costs the server as much as
# what it does.
list_images() { bowline_images=$(docker image ls --format '{{.Repository}}:{{.Tag}}' "$bowline_repository") || exit; }
# A line for each container, the newest first. Mounts are between commas, and an image before a blank and a comma, so they are found
# without taking lines apart.
containers() { docker container ls --all --no-trunc --format "$bowline_format"; }
list() {
    bowline_all=$(containers) || exit
    bowline_old=
}
# stopped OWNER: the ids of an owner's stopped containers. A label with line breaks may look like a line, but not like an id.
stopped() {
    # shellcheck disable=SC2034 # what else the line has
    while read -r bowline_id bowline_owner bowline_more; do
        case $bowline_id in *[!0-9a-f]*) continue ;; esac
        case $bowline_owner in created/"$1" | exited/"$1" | dead/"$1") echo "$bowline_id" ;; esac
    done <<END
$bowline_all
END
}
# Containers are listed again: if two destinations prune at the same time, the last one must see what both have removed.
remove_old() {
    # shellcheck disable=SC2086,SC2116 # ids, and whether there is any
    bowline_old=$(echo $bowline_old)
    [ -n "$bowline_old" ] || return 0
    # shellcheck disable=SC2086 # ids
    docker rm $bowline_old >/dev/null
    bowline_all=$(containers) || exit
}
# Tags of the repository that no container uses, but for the latest tags of all destinations. By the repository and not by a label:
# an image may come without one. Other apps may share the repository, so any container counts, and so does what one of them has
# pulled and not run yet.
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
# Cords that nothing mounts. Another service may have the same directory, so any container counts.
remove_cords() {
    for bowline_cord in "$bowline_cords"/*; do
        [ -d "$bowline_cord" ] || continue
        case "$bowline_all" in *",$PWD/$bowline_cord,"*) ;; *) rm -rf "$bowline_cord" ;; esac
    done
}
