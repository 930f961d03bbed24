#!/usr/bin/env bash
# pdf-library.sh [FOLDER]: indexes a folder of PDFs and finds the page. Without a folder it makes four small PDFs of demos/library.
# PDF is read by poppler's pdftotext (Debian: poppler-utils).
. "$(dirname "$0")/common.sh"
library=${1:-}
if [ -z "$library" ]; then
  library=$work/library
  say "Four PDFs of some pages each, made of demos/library/*.txt"
  run python3 "$demos/text-to-pdf.py" "$demos"/library/*.txt "$library"
fi

say "Cut where the subject changes (docs/chunking.md), into short passages, since these are short."
run sextant index "$library" -c library --chunk semantic --chunk-size 120

say "Every hit names its page."
run sextant search -c library "why does the dough smell of vinegar" -n 3
run sextant search -c library "how long may a tram driver work without a rest" -n 3

say "Title, author and date are taken from the files, for filters."
run sextant search -c library "what to do before winter" --filter 'author=the Town Museum' -n 3
