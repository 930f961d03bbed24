#!/usr/bin/env bash
# code-base.sh [FOLDER...]: indexes source code, Sextant's own when none is named, and asks it what one asks about code.
. "$(dirname "$0")/common.sh"
[ $# -gt 0 ] || { cd "$demos/.."; set -- src; }

say "Functions and classes where the parsers are installed (docs/code.md), lines otherwise. int8 takes a third of the time."
run sextant index "$@" -c code --precision int8

say "Ask for what code does."
run sextant search -c code --type code_search "wait before trying again when the server has too many requests" -n 3
run sextant search -c code --type code_search "send several requests at once and keep the connections" -n 3

say "Paste what a log says."
run sextant search -c code --type error_analysis "a redirect without a Location header" -n 3

say "Only a part of it: filters look at paths, languages and your own metadata."
run sextant search -c code --type code_search "events that come as a stream of lines" --filter 'document~*.h' -n 3

say "The same command again embeds what has changed and nothing else; with --watch it stays and follows."
run sextant index "$@" -c code --precision int8
