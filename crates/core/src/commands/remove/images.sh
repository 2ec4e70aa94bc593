# Untags the images of $bowline_repository, except those that a container uses, those that another app has pulled but not
# run yet, and those that are the latest image of another destination, under any tag but $bowline_latest.
rm -f "$bowline_pulled"
bowline_list=$(docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' "$bowline_repository") &&
    bowline_used=$(docker container ls --all --no-trunc --format '{{.Image}}') || exit
# shellcheck disable=SC2086 # a pattern
bowline_used=$(
    printf '%s\n' "$bowline_used"
    cat $bowline_all_pulled 2>/dev/null
    :
)
bowline_others=$(printf '%s\n' "$bowline_list" | awk -v own="$bowline_latest" '$1 ~ /:latest(-[^ ]*)?$/ && $1 != own { print $2 }')
printf '%s\n' "$bowline_list" | while read -r bowline_image bowline_id; do
    [ -n "$bowline_image" ] || continue
    case $bowline_image in *:'<none>') bowline_image=$bowline_id ;; esac
    printf '%s\n' "$bowline_used" | grep -qxF -e "$bowline_image" && continue
    [ "$bowline_image" = "$bowline_latest" ] || ! printf '%s\n' "$bowline_others" | grep -qxF -e "$bowline_id" || continue
    docker image rm "$bowline_image" >/dev/null 2>&1
done
