# Reads how to run the proxy from the files of `proxy boot-config`, which Kamal reads too, into $bowline_options,
# $bowline_image and $bowline_command. Without a file about the image, it is $bowline_own.
# shellcheck disable=SC2034 # what the rest of the program uses
bowline_options=$(cat .kamal/proxy/options 2>/dev/null || echo "$bowline_published")
# shellcheck disable=SC2034
bowline_command=$(cat .kamal/proxy/run_command 2>/dev/null)
# shellcheck disable=SC2034
if [ -e .kamal/proxy/image ] || [ -e .kamal/proxy/image_version ]; then
    bowline_image=$(cat .kamal/proxy/image 2>/dev/null || echo "$bowline_kamals"):$(cat .kamal/proxy/image_version 2>/dev/null || echo "$bowline_minimum")
else
    bowline_image=$bowline_own
fi
