# common.sh - what the demos share: a database of their own, which goes when they end, and commands shown before they run. DEMO_DB=FILE keeps
# the database, so that you can ask it more.
set -euo pipefail
demos=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v sextant >/dev/null || { echo "sextant is not on the PATH: build it (README.md), then PATH=\$PWD/build:\$PATH" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SEXTANT_DB=${DEMO_DB:-$work/demo.db}

say() { printf '\n# %s\n' "$*"; }

run() {
  local word shown=
  for word in "$@"; do
    case $word in
      *[\ \<\>\;\*]*) shown+=" \"$word\"" ;;
      *) shown+=" $word" ;;
    esac
  done
  printf '\n$%s\n' "$shown"
  "$@"
}
