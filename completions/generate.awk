# SPDX-License-Identifier: MIT
# The completions of the shells, from `ftcpctl --list-verbs`:
#     awk -v shell=bash|zsh|fish -f generate.awk
BEGIN { FS = "\t" }

$1 == "verb" {
        verbs[++n_verbs] = $2
        arguments[$2] = $3
        verb_words[$2] = $4
        verb_help[$2] = $5
}

$1 == "option" {
        n = ++n_options[$2]
        option[$2, n] = $3
        argument[$2, n] = $4
        words[$2, n] = $5
        help[$2, n] = $6
}

# In single quotes of a shell.
function quoted(text) {
        gsub(/'/, "'\\''", text)
        return "'" text "'"
}

# Options of one verb, or of all, blanks between; those with a long argument end in "=".
function option_list(verb,    list, i) {
        for (i = 1; i <= n_options[verb]; i++)
                list = list (i > 1 ? " " : "") option[verb, i] \
                        (argument[verb, i] != "" && option[verb, i] ~ /^--/ ? "=" : "")
        return list
}

function with_argument(verb, n) {
        return argument[verb, n] != ""
}

# ---- bash

function bash_verb(verb, option_name,    all, i) {
        printf "        %s) options=%s words=%s ;;\n", verb, quoted(option_list(verb)), \
                quoted(verb_words[verb])
}

function bash_values(verb,    i) {
        for (i = 1; i <= n_options[verb]; i++)
                if (with_argument(verb, i))
                        printf "        %s:%s) words=%s ;;\n", \
                                verb == "" ? "*" : verb, option[verb, i], quoted(words[verb, i])
}

function bash(    i, list) {
        print "# bash completion for ftcpctl, generated from its table of verbs."
        print "# SPDX-License-Identifier: MIT"
        print ""
        print "# What may stand as the value of option $2 of verb $1; 1: it takes none."
        print "_ftcpctl_value()"
        print "{"
        print "        case $1:$2 in"
        for (i = 1; i <= n_verbs; i++)
                bash_values(verbs[i])
        bash_values("")
        print "        *) return 1 ;;"
        print "        esac"
        print "}"
        print ""
        print "# The options and the argument of verb $1."
        print "_ftcpctl_verb()"
        print "{"
        print "        case $1 in"
        for (i = 1; i <= n_verbs; i++)
                bash_verb(verbs[i])
        for (i = 1; i <= n_verbs; i++)
                list = list (i > 1 ? " " : "") verbs[i]
        printf "        *) options= words=%s ;;\n", quoted(list)
        print "        esac"
        printf "        options=\"$options %s\"\n", option_list("")
        print "}"
        print ""
        bash_rest()
}

function bash_rest() {
        print "# Words $1 that begin with $2."
        print "_ftcpctl_reply()"
        print "{"
        print "        local list=$1"
        print "        case $1 in"
        print "        @file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$2\"); return ;;"
        print "        @instance) list=$(for f in /etc/ftcpd/*.conf /run/ftcpd/*.varlink; do f=${f##*/}; [[ $f == '*'* ]] || echo \"${f%.*}\"; done | sort -u) ;;"
        print "        @client) list=$(ftcpctl clients 2>/dev/null | awk 'NR > 1 { print $1 }') ;;"
        print "        esac"
        print "        mapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$2\")"
        print "        [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null"
        print "}"
        print ""
        print "_ftcpctl()"
        print "{"
        print "        # Bash makes words of their own of the = and the : in what was written."
        print "        local options words verb= at=1 cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}"
        print "        while [ \"$at\" -lt \"$COMP_CWORD\" ]; do"
        print "                case ${COMP_WORDS[at]} in"
        print "                -*)"
        print "                        if _ftcpctl_value '' \"${COMP_WORDS[at]}\"; then"
        print "                                at=$((at + 1))"
        print "                                [ \"${COMP_WORDS[at]}\" != = ] || at=$((at + 1))"
        print "                        fi"
        print "                        ;;"
        print "                *) verb=${COMP_WORDS[at]}; break ;;"
        print "                esac"
        print "                at=$((at + 1))"
        print "        done"
        print "        COMPREPLY=()"
        print "        if [ \"$cur\" = = ]; then"
        print "                cur= ; words="
        print "                _ftcpctl_value \"$verb\" \"$prev\" && _ftcpctl_reply \"$words\" \"\""
        print "        elif [ \"$prev\" = = ] && [ \"$COMP_CWORD\" -ge 2 ]; then"
        print "                _ftcpctl_value \"$verb\" \"${COMP_WORDS[COMP_CWORD - 2]}\" && _ftcpctl_reply \"$words\" \"$cur\""
        print "        elif _ftcpctl_value \"$verb\" \"$prev\"; then"
        print "                _ftcpctl_reply \"$words\" \"$cur\""
        print "        else"
        print "                _ftcpctl_verb \"$verb\""
        print "                case $cur in"
        print "                -*) _ftcpctl_reply \"$options\" \"$cur\" ;;"
        print "                *) _ftcpctl_reply \"$words\" \"$cur\" ;;"
        print "                esac"
        print "        fi"
        print "}"
        print "complete -F _ftcpctl ftcpctl"
}

# ---- zsh

function zsh_action(list) {
        if (list == "@file")
                return "_files"
        if (list == "@instance")
                return "_ftcpctl_instances"
        if (list == "@client")
                return "_ftcpctl_clients"
        return list == "" ? " " : "(" list ")"
}

function zsh_text(text) {
        gsub(/\[/, "\\[", text)
        gsub(/\]/, "\\]", text)
        gsub(/:/, "\\:", text)
        return text
}

function zsh_options(verb, indent,    i, spec) {
        for (i = 1; i <= n_options[verb]; i++) {
                spec = option[verb, i]
                if (with_argument(verb, i))
                        spec = spec (spec ~ /^--/ ? "=" : "")
                spec = spec "[" zsh_text(help[verb, i]) "]"
                if (with_argument(verb, i))
                        spec = spec ":" zsh_text(argument[verb, i]) ":" \
                                zsh_action(words[verb, i])
                printf "%s%s \\\n", indent, quoted(spec)
        }
}

function zsh(    i) {
        print "#compdef ftcpctl"
        print "# zsh completion for ftcpctl, generated from its table of verbs."
        print "# SPDX-License-Identifier: MIT"
        print ""
        print "_ftcpctl_instances() {"
        print "        local -a names"
        print "        names=(/etc/ftcpd/*.conf(N:t:r) /run/ftcpd/*.varlink(N:t:r))"
        print "        compadd -a names"
        print "}"
        print ""
        print "_ftcpctl_clients() {"
        print "        compadd $(ftcpctl clients 2>/dev/null | awk 'NR > 1 { print $1 }')"
        print "}"
        print ""
        print "_ftcpctl_verbs() {"
        print "        local -a verbs"
        print "        verbs=("
        for (i = 1; i <= n_verbs; i++)
                printf "                %s\n", \
                        quoted(verbs[i] ":" zsh_text(verb_help[verbs[i]]))
        print "        )"
        print "        _describe verb verbs"
        print "}"
        print ""
        print "_ftcpctl_verb() {"
        print "        local -a common"
        print "        common=( \\"
        zsh_options("", "                ")
        print "        )"
        print "        case $words[1] in"
        for (i = 1; i <= n_verbs; i++) {
                printf "        %s)\n                _arguments -S $common \\\n", verbs[i]
                zsh_options(verbs[i], "                        ")
                printf "                        %s ;;\n", \
                        quoted("*::" (verb_words[verbs[i]] == "" ? "argument: " : \
                                "argument:" zsh_action(verb_words[verbs[i]])))
        }
        print "        esac"
        print "}"
        print ""
        print "_arguments -S \\"
        zsh_options("", "        ")
        print "        '1:verb:_ftcpctl_verbs' \\"
        print "        '*::argument:_ftcpctl_verb'"
}

# ---- fish

function fish_words(list) {
        if (list == "@file")
                return " -F"
        if (list == "@instance")
                return " -a '(for f in /etc/ftcpd/*.conf /run/ftcpd/*.varlink; string replace -r \".*/(.*)\\.(conf|varlink)\" \"\\$1\" $f; end)'"
        if (list == "@client")
                return " -a '(ftcpctl clients 2>/dev/null | string match -r \"^ *[0-9]+\" | string trim)'"
        return list == "" ? "" : " -a " fish_quoted(list)
}

function fish_quoted(text) {
        gsub(/\\/, "\\\\", text)
        gsub(/'/, "\\'", text)
        return "'" text "'"
}

function fish_options(verb, condition,    i, name) {
        for (i = 1; i <= n_options[verb]; i++) {
                name = option[verb, i]
                sub(/^--/, "-l ", name) || sub(/^-/, "-s ", name)
                printf "complete -c ftcpctl%s %s%s%s -d %s\n", condition, name, \
                        with_argument(verb, i) ? \
                                (words[verb, i] == "@file" ? " -r" : " -x") : "", \
                        fish_words(words[verb, i]), fish_quoted(help[verb, i])
        }
}

function fish(    i, list, condition) {
        print "# fish completion for ftcpctl, generated from its table of verbs."
        print "# SPDX-License-Identifier: MIT"
        print ""
        for (i = 1; i <= n_verbs; i++)
                list = list (i > 1 ? " " : "") verbs[i]
        print "complete -c ftcpctl -f"
        fish_options("", "")
        for (i = 1; i <= n_verbs; i++) {
                printf "complete -c ftcpctl -n 'not __fish_seen_subcommand_from %s' -a %s -d %s\n", \
                        list, verbs[i], fish_quoted(verb_help[verbs[i]])
                condition = " -n '__fish_seen_subcommand_from " verbs[i] "'"
                fish_options(verbs[i], condition)
                if (verb_words[verbs[i]] != "")
                        printf "complete -c ftcpctl%s%s\n", condition, \
                                fish_words(verb_words[verbs[i]])
        }
}

END {
        if (shell == "bash")
                bash()
        else if (shell == "zsh")
                zsh()
        else if (shell == "fish")
                fish()
        else
                exit 2
}
