#!/usr/bin/env bash
# The prompt as a person uses it, in a real pseudo-terminal (tmux): typing, completion, several lines of Lua, Ctrl-C, pages,
# resize, colour, filters, logs, history across runs, no control character on the terminal.
set -euo pipefail
command -v tmux > /dev/null || { echo "skipped: tmux is not installed"; exit 77; }

unset NO_COLOR # which tests run with
work=$(mktemp -d)
socket="heapsift-$$"
tm() { tmux -L "$socket" -f /dev/null "$@"; }
trap 'tm kill-server 2> /dev/null || true; rm -rf "$work"' EXIT

"$HEAPSIFT" run sample "$work/tiny.dmp" --tiny > /dev/null
screen() { tm capture-pane -p -t shell -S -200; }
# wait_for TEXT: until it stands on the screen
wait_for() {
    for ((i = 0; i < 150; i++)); do
        if screen | grep -qF -- "$1"; then return 0; fi
        sleep 0.1
    done
    printf 'not seen: %s\n' "$1"
    screen
    exit 1
}
keys() { tm send-keys -t shell "$@"; }
type_line() { keys -l -- "$1"; keys Enter; }
not_seen() { if screen | grep -qF -- "$1"; then printf 'must not be seen: %s\n' "$1"; screen; exit 1; fi; }
# resize COLUMNS LINES: until the terminal that the shell asks has that size
resize() {
    local tty
    tty=$(tm display-message -p -t shell '#{pane_tty}')
    tm resize-window -t shell -x "$1" -y "$2"
    for ((i = 0; i < 150; i++)); do
        if [[ $(stty size < "$tty") == "$2 $1" ]]; then return 0; fi
        sleep 0.1
    done
    printf 'not resized to %s x %s\n' "$1" "$2"
    exit 1
}
start() {
    tm new-session -d -s shell -x 80 -y 40 \
        "cd '$work' && HEAPSIFT_HISTORY='$work/state/history' '$HEAPSIFT' shell tiny.dmp; echo ended with \$?; sleep 600"
    wait_for '0:000>'
}

tm new-session -d -s server 'sleep 3600' # a server that loses its last session ends while the next one asks for it
start
type_line '? 1+1'
wait_for 'Evaluate expression: 2 = 00000002'

# completion: a command, a symbol, a field of Lua, a heap
keys -l '!he'; keys Tab; keys -l -- '-s | head 1'; keys Enter
wait_for 'NtGlobalFlag'
keys -l 'ln ntdll!RtlAllocateHe'; keys Tab; keys Enter
wait_for 'ntdll!RtlAllocateHeap'
keys -l 'dump.wind'; keys Tab; keys Enter
wait_for '5.1.2600'
keys -l '!heap -m 036f'; keys Tab; keys Enter
wait_for '_HEAP @ 36f0000'
keys -l '!'; keys Tab
wait_for '!address'
keys C-c

# Lua over several lines; a line that is given up
type_line 'for i = 1, 2 do'
wait_for '>>'
type_line 'print("line " .. i * 21) end'
wait_for 'line 42'
keys -l 'zork zork'; keys C-c
type_line '.echo still here'
wait_for 'still here'
not_seen 'neither a command nor Lua'

# Ctrl-C stops what runs, in Lua and in a command, and the shell stays
type_line 'while true do end'
sleep 0.5
keys C-c
wait_for 'heapsift: stopped'
keys -l 'pcall(function() while true do end end)'; keys Enter
sleep 0.5
keys C-c
for ((i = 0; i < 100; i++)); do [[ $(screen | grep -c 'heapsift: stopped') -ge 2 ]] && break; sleep 0.1; done
[[ $(screen | grep -c 'heapsift: stopped') -eq 2 ]] || { screen; exit 1; }
type_line '? 5*5'
wait_for 'Evaluate expression: 25 = 00000019'

# a table fits the width, as it is at that moment; numbers stay
resize 70 40
type_line 'report:table("tall " .. 70, {"address", "name"}, {{0x1234, ("x"):rep(60) .. "!end"}, {77, "short"}})'
wait_for 'tall 70'
sleep 0.3
screen | grep -qE '^ +4,660  x+\.\.\.x+!end$' || { screen; exit 1; }
resize 120 40
type_line 'report:table("tall " .. 120, {"address", "name"}, {{0x1234, ("x"):rep(60) .. "!end"}, {77, "short"}})'
wait_for 'tall 120'
sleep 0.3
screen | grep -qE '^ +4,660  x{60}!end$' || { screen; exit 1; }

# pages: a page, a line, the end by q and by Ctrl-C, another height
resize 80 12
more() { screen | tail -n 1 | grep -qF -- '-- more --'; }
wait_more() {
    for ((i = 0; i < 150; i++)); do if more; then return 0; fi; sleep 0.1; done
    printf 'no page ended\n'; screen; exit 1
}
last_line() { screen | grep -vE '^$|-- more --' | tail -n 1; }
type_line 'for i = 1, 3 do print("before " .. i) end'
wait_for 'before 3'
type_line '!heap | more'
wait_more
[[ $(last_line) == *'10:'* ]] || { screen; exit 1; } # 11 lines: a title and ten heaps
keys Enter
for ((i = 0; i < 50; i++)); do [[ $(last_line) == *'11:'* ]] && break; sleep 0.1; done
wait_more
keys Down # another key turns the page
for ((i = 0; i < 50; i++)); do [[ $(last_line) == *'22:'* ]] && break; sleep 0.1; done
wait_more
[[ $(last_line) == *'22:'* ]] || { screen; exit 1; }
keys q
type_line '.echo left the pages'
wait_for 'left the pages'
not_seen ' 29:'
type_line '.more on'
wait_for 'Pages are on.'
resize 80 20
type_line 'for i = 1, 100 do print("number " .. i) end'
wait_more
[[ $(last_line) == 'number 19' ]] || { screen; exit 1; }
keys C-c
type_line '.more off'
wait_for 'Pages are off.'
not_seen 'number 20'
resize 80 40

# another width, filters, logs
resize 60 30
type_line '? 0n1234+1'
wait_for 'Evaluate expression: 1235 = 000004d3'
type_line '.logopen log.txt'
wait_for "Opened log file 'log.txt'"
type_line 'lm | grep ntdll | count'
type_line '.logclose'
wait_for 'Closing open log file'
grep -q '^0:000> lm | grep ntdll | count$' "$work/log.txt"
grep -q '^1$' "$work/log.txt"

# nothing that a dump or a script holds drives the terminal
type_line 'print("\27[31mred\7")'
wait_for '[31mred'
not_seen $'\033'

# colour: errors and prompt have it; all that is sent to the terminal is looked at
tm pipe-pane -t shell "cat >> '$work/sent'"
type_line '.echo coloured'
wait_for 'coloured'
type_line '!zork'
wait_for "'!zork' is no command"
tm pipe-pane -t shell
grep -qF $'\033[1;31mheapsift:\033[0m at position' "$work/sent" || { cat -v "$work/sent"; exit 1; }
grep -qF $'\033[1m0:000>\033[0m ' "$work/sent" || { cat -v "$work/sent"; exit 1; }

type_line '.echo remember me'
wait_for 'remember me'
type_line 'q'
wait_for 'ended with 0'
tm kill-session -t shell

# a second run knows what was typed in the first; Ctrl-D ends it
start
keys Up; keys Up; keys Enter
wait_for 'remember me'
[[ $(stat -c %a "$work/state/history") == 600 ]]
sleep 0.5 # the prompt is back
keys C-d
wait_for 'ended with 0'
tm kill-session -t shell

# no colour for those who want none
for setting in NO_COLOR=1 TERM=dumb; do
    tm new-session -d -s shell -x 80 -y 40 \
        "cd '$work' && export HEAPSIFT_HISTORY= $setting; sleep 1; '$HEAPSIFT' traces tiny.dmp; '$HEAPSIFT' nothing.dmp; echo ended; sleep 600"
    tm pipe-pane -t shell "cat > '$work/plain'"
    wait_for 'ended'
    tm pipe-pane -t shell
    grep -q 'TraceCount ' "$work/plain"
    grep -q '^heapsift: ' "$work/plain"
    if grep -q $'\033' "$work/plain"; then cat -v "$work/plain"; exit 1; fi
    tm kill-session -t shell
done
