#!/usr/bin/env bash
# csv-records.sh [FILE]: indexes a table, one document a row, and searches it by meaning within conditions on its columns. Without a file it
# takes demos/records/inventions.csv: id, title, text, year and field of 26 inventions.
. "$(dirname "$0")/common.sh"
table=${1:-$demos/records/inventions.csv}

run head -n 3 "$table"
run sextant index "$table" -c records --input-format csv

run sextant search -c records "read with the tips of the fingers" -n 3
run sextant search -c records "find out where a ship is on the open sea" --filter 'year<1800' -n 3
run sextant search -c records "save people from dying of an infection" --filter 'field=medicine and year>=1900' -n 3

say "For programs: one object with text, score and all columns of each row."
run sextant search -c records "pictures made by light" -n 1 --json
