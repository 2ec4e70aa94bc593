# Prints the certificates that Traefik obtained, without their keys. Reads: $bowline_traefik (its container).
# storages: prints each certificate resolver in Traefik's arguments, with the path of its file in the container.
storages() {
    docker container inspect --format '{{println .Config.WorkingDir}}{{range .Args}}{{println .}}{{end}}' "$bowline_traefik" 2>/dev/null | awk '
        NR == 1 { sub(/\/$/, ""); within = $0; next }
        {
            at = index($0, "=")
            key = tolower(at ? substr($0, 1, at - 1) : $0)
            sub(/^--?/, "", key)
            if (split(key, part, ".") < 3 || part[1] != "certificatesresolvers" || part[3] != "acme") next
            if (!(part[2] in file)) file[part[2]] = "acme.json"
            if (part[4] == "storage" && at) file[part[2]] = substr($0, at + 1)
        }
        END { for (name in file) print name, (file[name] ~ /^\// ? "" : within "/") file[name] }' | sort
}
# issued RESOLVER: reads such a file. Prints the names and the base64 PEM text of each certificate, then whether the file
# could be parsed. The file is JSON: with `"` as record separator, every other record is a string. Only a certificate is
# ever printed, because a key begins differently.
issued() {
    awk -v wanted="$1" '
        function finished() {
            if (tolower(resolver) == wanted && pem ~ /^LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t/ && pem !~ /[^A-Za-z0-9+\/=]/) print "issued", (names == "" ? "?" : names), pem
            pem = names = ""
        }
        function taken() {
            gsub(/[ \t\r\n,]/, "?", string)
            if (depth == 4 && key == "certificate") pem = string
            if ((depth == 5 && key == "main" || depth == 6 && key == "sans") && index("," names ",", "," string ",") == 0) names = names (names == "" ? "" : ",") string
        }
        BEGIN { RS = "\"" }
        within {
            string = string $0
            if (match(string, /[\\]+$/) && RLENGTH % 2) string = string "\""
            else { within = 0; waits = 1 }
            next
        }
        {
            within = 1
            if (waits && $0 ~ /^[ \t\r\n]*:/) { key = string; if (depth == 1) resolver = string }
            else if (waits) taken()
            waits = 0
            string = ""
            for (i = 1; i <= length($0); i++) {
                mark = substr($0, i, 1)
                if (mark ~ /[^ \t\r\n]/) some = 1
                if (mark == "{" || mark == "[") { depth++; opened = 1 }
                if (mark == "}" || mark == "]") { if (depth == 4) finished(); depth-- }
            }
        }
        END { print !some ? "empty" : opened && depth == 0 && !waits ? "read" : "unreadable" }'
}
acme() {
    storages | while read -r bowline_resolver bowline_file; do
        docker cp --follow-link "$bowline_traefik:$bowline_file" - 2>/dev/null </dev/null | tar -xOf - 2>/dev/null | issued "$bowline_resolver" |
            while read -r bowline_word bowline_names bowline_text; do
                case $bowline_word in
                    issued) printf '@issued %s %s %s\n' "$bowline_resolver" "$bowline_names" "$(printf '%s' "$bowline_text" | base64 -d 2>/dev/null | first)" ;;
                    *) printf '@storage %s %s %s\n' "$bowline_resolver" "$bowline_word" "$bowline_file" ;;
                esac
            done
    done
}
