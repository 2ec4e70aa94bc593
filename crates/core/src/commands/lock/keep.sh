# Takes the lock $bowline_lock for the run $bowline_run and keeps it as long as standard input is open. Errors go to standard
# output too: of a program that is kept nothing else is read. (A printf of its own tells why it can't write, the shell's says
# "I/O error" of a full disk.) A holder that is killed before it hears any of this leaves the lock orphaned, too: what it would
# have heard must not end the keeper.
exec 2>&1
trap '' PIPE
# What is gone was given back at this moment: it is not old.
age() { echo $(($(date +%s) - $(stat -c %Y "$1" 2>/dev/null || date +%s))); }
# Whether the lock's owner is known to be gone.
dead() {
    if [ ! -f "$bowline_lock/owner" ]; then
        [ "$(stat -c %a "$bowline_lock" 2>/dev/null)" = "$bowline_mode" ] && [ ! -e "$bowline_lock/details" ] && [ "$(age "$bowline_lock")" -gt "$bowline_lease" ]
        return
    fi
    [ ! -e "$bowline_lock/orphaned" ] || return 0
    [ "$(age "$bowline_lock/lease")" -gt "$bowline_lease" ]
}
mine() { [ "$(cat "$bowline_lock/owner" 2>/dev/null)" = "$bowline_run" ]; }
# shellcheck disable=SC2002 # of a file that isn't there nothing is said
before() { cat "$bowline_lock/details" 2>/dev/null | base64 -d 2>/dev/null | base64 | tr -d '\n'; }
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
        # Whoever is just taking it gets a moment to write the details.
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
        echo @lost
        exit 0
    }
    if [ "$bowline_line" = release ]; then
        mv "$bowline_lock" "$bowline_lock.$bowline_run" || exit 1
        rm -rf "$bowline_lock.$bowline_run"
        echo @released
        exit 0
    fi
    : >"$bowline_lock/lease"
done
mine && : >"$bowline_lock/orphaned"
