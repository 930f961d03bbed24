#!/usr/bin/env bash
# documentation-site.sh [FOLDER]: indexes a web site's pages as they lie in a folder (demos/site when none is named) and answers the questions
# that people bring to documentation. Navigation, scripts and styles are left out, so that no page is found by its menu.
. "$(dirname "$0")/common.sh"
site=${1:-$demos/site}

say "Its address is kept with every page, for whoever shows the hits."
run sextant index "$site" -c site --metadata site=https://larder.example

run sextant search -c site --type documentation "get everything back after the disk broke" -n 3
run sextant search -c site --type documentation "who is allowed to throw things away" -n 3
run sextant search -c site --type error_analysis "HTTP 429 slow_down retry_after" -n 3

say "What a page is cut into, and what stands before each part when it is embedded:"
run sextant chunk "$site/backup.html"
