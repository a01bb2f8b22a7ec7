# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completion in bash for pyshim and pyshim-read. Installed under both names where bash-completion
# looks for them; without it, `source` this file. The programs list their options themselves.

# _pyshim_words BEGUN LIST: adds the words of the list that begin so.
_pyshim_words() {
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$2" -- "$1")
}

_pyshim_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$1")
}

# _pyshim_rows PROGRAM: its options, a line each: letter or -, name, argument or -, completion.
_pyshim_rows() {
    "$1" --options 2>/dev/null
}

# _pyshim_options PROGRAM: all of its long ones, and the short ones.
_pyshim_options() {
    _pyshim_rows "$1" | while read -r letter name _; do
        echo "--$name"
        [[ $letter == - ]] || echo "-$letter"
    done
}

# _pyshim_argument_of PROGRAM OPTION: how the option's argument is completed. Fails where it takes
# none. Letters may stand together: -qs.
_pyshim_argument_of() {
    local letter name argument completion
    while read -r letter name argument completion; do
        [[ $argument == - ]] && continue
        if [[ $2 == "--$name" || ($2 =~ ^-[a-z]+$ && $letter != - && $2 == *"$letter") ]]; then
            echo "$completion"
            return 0
        fi
    done < <(_pyshim_rows "$1")
    return 1
}

# _pyshim_argument COMPLETION BEGUN
_pyshim_argument() {
    local word
    for word in $1; do
        case $word in
        FILE) _pyshim_files "$2" ;;
        COMMAND) mapfile -t COMPREPLY < <(compgen -c -- "$2") ;;
        *) _pyshim_words "$2" "$word" ;;
        esac
    done
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
    local current previous completion
    COMPREPLY=()
    _pyshim_place
    if completion=$(_pyshim_argument_of "$1" "$previous"); then
        _pyshim_argument "$completion" "$current"
    elif [[ $current == -* ]]; then
        _pyshim_words "$current" "$(_pyshim_options "$1")"
    else
        _pyshim_sources "$current"
    fi
}

# _pyshim_command_at PROGRAM: prints where COMMAND begins; nothing where it has not begun.
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
            elif _pyshim_argument_of "$1" "$word" >/dev/null; then
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
    local current previous at completion
    COMPREPLY=()
    at=$(_pyshim_command_at "$1")
    if [ -n "$at" ]; then
        _pyshim_command "$at" "${COMP_WORDS[COMP_CWORD]}"
        return
    fi
    _pyshim_place
    if completion=$(_pyshim_argument_of "$1" "$previous"); then
        _pyshim_argument "$completion" "$current"
    else
        _pyshim_words "$current" "$(_pyshim_options "$1")"
    fi
}

complete -F _pyshim_read pyshim-read
complete -F _pyshim pyshim
