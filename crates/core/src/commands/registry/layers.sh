# Prints how much of an image a server has: the number of lowest layers that the image shares with one of the server's.
# Needs the function bowline_of ARCHITECTURE, which prints the digests of the image's layers.
bowline_arch=$(docker version --format '{{.Server.Arch}}') || exit
bowline_wanted=$(bowline_of "$bowline_arch")
bowline_all=$(docker image ls --quiet --no-trunc) || exit
bowline_most=0
# shellcheck disable=SC2086 # a list of words
bowline_there=$([ -z "$bowline_all" ] || docker image inspect --format '{{range .RootFS.Layers}}{{.}} {{end}}' $bowline_all 2>/dev/null)
while IFS= read -r bowline_layers; do
  bowline_count=0
  for bowline_layer in $bowline_wanted; do
    case $bowline_layers in
    "$bowline_layer "*) bowline_layers=${bowline_layers#* } bowline_count=$((bowline_count + 1)) ;;
    *) break ;;
    esac
  done
  [ "$bowline_count" -le "$bowline_most" ] || bowline_most=$bowline_count
done <<END
$bowline_there
END
echo "@held $bowline_arch $bowline_most"
