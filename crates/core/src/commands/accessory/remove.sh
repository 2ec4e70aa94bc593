# Removes the container $bowline_name, its files, and its image $bowline_image unless something else uses it.
if [ -n "$bowline_found" ]; then
    docker container stop "$bowline_name" >/dev/null
    docker container rm --force "$bowline_name" >/dev/null || exit
    note_container
fi
bowline_have=$(docker images --quiet "$bowline_image") || exit
if [ -n "$bowline_have" ]; then
    if docker image rm "$bowline_image" >/dev/null 2>&1; then note_image; else echo @kept; fi
fi
rm -rf "$bowline_name" && forget
