# Takes the lock $bowline_lock for the run $bowline_run and keeps it while standard input is open. Errors go to standard
# output, because nothing reads the standard error of a kept program. (An external printf reports why it can't write, while
# the shell's own reports "I/O error" for a full disk.) SIGPIPE is ignored: if the holder is killed before it reads an
# answer, the keeper must survive to mark the lock as orphaned.
exec 2>&1
trap '' PIPE
# A file that is gone was released just now, so its age is 0.
age() { echo $(($(date +%s) - $(stat -c %Y "$1" 2>/dev/null || date +%s))); }
# Whether the lock's owner is dead.
dead() {
    if [ ! -f "$bowline_lock/owner" ]; then
        [ "$(stat -c %a "$bowline_lock" 2>/dev/null)" = "$bowline_mode" ] && [ ! -e "$bowline_lock/details" ] && [ "$(age "$bowline_lock")" -gt "$bowline_lease" ]
        return
    fi
    [ ! -e "$bowline_lock/orphaned" ] || return 0
    [ "$(age "$bowline_lock/lease")" -gt "$bowline_lease" ]
}
mine() { [ "$(cat "$bowline_lock/owner" 2>/dev/null)" = "$bowline_run" ]; }
# shellcheck disable=SC2002 # no message if the file is missing
before() { cat "$bowline_lock/details" 2>/dev/null | base64 -d 2>/dev/null | base64 | tr -d '\n'; }
# Says why the lock is no longer ours.
lost() {
    bowline_why=$(sed -n "s/^released $bowline_family //p" "$bowline_released" 2>/dev/null)
    if [ -z "$bowline_why" ]; then
        bowline_why='the deploy lock was removed'
        [ ! -d "$bowline_lock" ] || bowline_why="another holder has the deploy lock ($(before | base64 -d | sed '$!s/$/;/' | tr '\n' ' '))"
    fi
    echo "@lost $(printf %s "$bowline_why" | base64 | tr -d '\n')"
}
claim() {
    : >"$bowline_lock/lease" && env printf '%s\n' "$bowline_run" >"$bowline_lock/owner" &&
        env printf '%s\n' "$(encoded)" >"$bowline_lock/details" && rm -f "$bowline_lock/orphaned"
}
mkdir -p .kamal || exit
if make -m "$bowline_mode"; then
    claim || {
        rm -rf "$bowline_lock"
        exit 1
    }
    echo @locked
else
    [ $(($(date +%s) - $(stat -c %Y "$bowline_lock.takeover" 2>/dev/null || date +%s))) -le "$bowline_lease" ] || rmdir "$bowline_lock.takeover" 2>/dev/null
    bowline_old=$(before)
    if dead && mkdir "$bowline_lock.takeover" 2>/dev/null; then
        if dead; then
            claim
            bowline_took=$?
        else bowline_took=1; fi
        rmdir "$bowline_lock.takeover"
    else bowline_took=1; fi
    if [ $bowline_took != 0 ]; then
        # A run that is taking the lock right now gets a moment to write the details.
        bowline_tries=20
        while { [ -d "$bowline_lock.takeover" ] || [ -z "$(before)" ]; } && [ $((bowline_tries -= 1)) -gt 0 ]; do sleep 0.1; done
        echo "@held $(before)"
        exit 0
    fi
    took_over
    echo "@taken $bowline_old"
fi
# Each line renews the lease.
while IFS= read -r bowline_line; do
    mine || {
        lost
        exit 0
    }
    if [ "$bowline_line" = release ]; then
        mv "$bowline_lock" "$bowline_lock.$bowline_run" || {
            mine || lost
            exit 1
        }
        rm -rf "$bowline_lock.$bowline_run"
        echo @released
        exit 0
    fi
    : >"$bowline_lock/lease"
done
mine && : >"$bowline_lock/orphaned"
