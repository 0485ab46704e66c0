#!/bin/sh
# chaos_task.sh FILE FAILS SECONDS: one attempt of a task of a chaos round. Its side effects are two lines in
# FILE, one when it starts and one when it ends; each is one short write at the end of the file, so none is torn.
# It exits with status 1 until it has started more than FAILS times. One that runs for a while leaves a child behind
# that nobody but its worker ends.
#     start|end TASK ATTEMPT FENCE UPTIME_S [STATUS]
file=$1 fails=$2 seconds=$3

say() {
    read -r uptime_s _ </proc/uptime
    echo "$1 $MERIDIAN_TASK $MERIDIAN_ATTEMPT $MERIDIAN_FENCE $uptime_s $2" >>"$file"
}

say start
starts=0
while read -r word _; do
    [ "$word" = end ] || starts=$((starts + 1))
done <"$file"
if [ "$seconds" != 0 ]; then
    setsid sleep 600 &
    sleep "$seconds"
fi
status=0
[ "$starts" -gt "$fails" ] || status=1
say end "$status"
exit "$status"
