# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completion in bash for pyshim and pyshim-read. Installed under both names where bash-completion
# looks for them; without it, `source` this file. What options there are, pyshim-read --help says.

# _pyshim_words PATTERN LIST: adds those of the list that begin so.
_pyshim_words() {
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$2" -- "$1")
}

_pyshim_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$1")
}

# _pyshim_options READER: all of its long ones, and the short ones.
_pyshim_options() {
    "$1" --help 2>/dev/null | grep -Eo -- '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,'
}

_pyshim_takes_argument() {
    case $1 in
    --format | --output | --sort | --restrict | --thread | --bias | --bare-time) return 0 ;;
    --calibrate | --python | --names-from | --relative-to | --snapshot) return 0 ;;
    esac
    [[ $1 =~ ^-[qv]*[fosr]$ ]]
}

# _pyshim_argument OPTION BEGUN
_pyshim_argument() {
    case $1 in
    --format | -f | -[qv]*f) _pyshim_words "$2" 'text pstats json' ;;
    --sort | -s | -[qv]*s)
        _pyshim_words "$2" 'calls ncalls cumtime cumulative filename line module name nfl
            pcalls stdname time tottime'
        ;;
    --output | -o | -[qv]*o | --names-from | --relative-to | --snapshot) _pyshim_files "$2" ;;
    --bias)
        _pyshim_words "$2" 'auto none'
        _pyshim_files "$2"
        ;;
    --python) mapfile -t COMPREPLY < <(compgen -c -- "$2") ;;
    esac
}

# _pyshim_sources BEGUN: recordings, their PIDs, and files.
_pyshim_sources() {
    local recording folder=${PYSHIM_DIR:-/dev/shm} found=()
    for recording in "$folder"/pyprof.*; do
        [ -e "$recording" ] || continue
        found+=("$recording" "${recording#"$folder"/pyprof.}")
    done
    for recording in "${found[@]}"; do
        # The PID alone stands for all that it has, so a number behind it is of no use.
        [[ $recording == "$1"* && ! $recording =~ ^[0-9]+\. ]] && COMPREPLY+=("$recording")
    done
    _pyshim_files "$1"
}

# Sets `current` and `previous`: what is being typed, and the option that it may be the argument of.
# Bash makes three words of --sort=time.
_pyshim_place() {
    current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
}

_pyshim_read() {
    local current previous
    COMPREPLY=()
    _pyshim_place
    if _pyshim_takes_argument "$previous"; then
        _pyshim_argument "$previous" "$current"
    elif [[ $current == -* ]]; then
        _pyshim_words "$current" "$(_pyshim_options "$1")"
    else
        _pyshim_sources "$current"
    fi
}

# Prints where COMMAND begins; nothing where it has not begun.
_pyshim_command_at() {
    local i=1 word
    while ((i <= COMP_CWORD)); do
        word=${COMP_WORDS[i]}
        case $word in
        --)
            ((i < COMP_CWORD)) && echo $((i + 1))
            return
            ;;
        -*)
            if [[ ${COMP_WORDS[i + 1]-} == = ]]; then
                i=$((i + 2))
            elif _pyshim_takes_argument "$word"; then
                i=$((i + 1))
            fi
            ;;
        *)
            echo "$i"
            return
            ;;
        esac
        i=$((i + 1))
    done
}

# What the command itself would be completed with, where bash-completion is there to tell.
_pyshim_command() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    else
        (($1 == COMP_CWORD)) && mapfile -t COMPREPLY < <(compgen -c -- "$2")
        _pyshim_files "$2"
    fi
}

_pyshim() {
    local current previous at reader=pyshim-read
    COMPREPLY=()
    [[ $1 == */* ]] && reader=${1%/*}/pyshim-read
    at=$(_pyshim_command_at)
    if [ -n "$at" ]; then
        _pyshim_command "$at" "${COMP_WORDS[COMP_CWORD]}"
        return
    fi
    _pyshim_place
    if _pyshim_takes_argument "$previous"; then
        _pyshim_argument "$previous" "$current"
    else
        _pyshim_words "$current" "--keep --text $(_pyshim_options "$reader" |
            grep -Evx -- '--(list|clean|snapshot|calibrate|python|keep-anyway|names-from|relative-to)')"
    fi
}

complete -F _pyshim_read pyshim-read
complete -F _pyshim pyshim
