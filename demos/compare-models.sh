#!/usr/bin/env bash
# compare-models.sh FOLDER QUESTION [MODEL...]: one code base, one question, several models: time to index, dimensions, the best hit and its
# similarity. Models are named as everywhere (`sextant models list`, `sextant models list --known`); without any, those that are installed.
# Similarities of different models are on different scales: compare what they find, not the numbers.
. "$(dirname "$0")/common.sh"
[ $# -ge 2 ] || { echo "usage: compare-models.sh FOLDER QUESTION [MODEL...]" >&2; exit 2; }
folder=$1 question=$2
shift 2
[ $# -gt 0 ] || mapfile -t models < <(sextant models list --json | python3 -c 'import json, sys
for model in json.load(sys.stdin)["models"]: print(model["name"])')
[ $# -eq 0 ] || models=("$@")

row='import json, sys
index, search = (json.load(open(name)) for name in sys.argv[2:4])
hit = search["hits"][0] if search["hits"] else {"similarity": 0, "document": "nothing", "start_line": 0}
print("%-28s %9.1f s %7d chunks   %.3f  %s:%d" % (sys.argv[1], index["seconds"], index["chunks"]["total"], hit["similarity"],
      hit["document"], hit["start_line"]))'
number=0
printf '%-28s %11s %14s   %s\n' model time index "best hit"
for model in "${models[@]}"; do
  number=$((number + 1))
  collection=model-$number
  sextant index "$folder" -c "$collection" -m "$model" --json -q >"$work/index.json"
  sextant search -c "$collection" --mode semantic "$question" -n 1 --json >"$work/search.json"
  python3 -c "$row" "$(basename "$model")" "$work/index.json" "$work/search.json"
done

if [ ${#models[@]} -gt 1 ]; then
  say "Two of them in detail: whether both find the same"
  run sextant compare "${models[0]}" "${models[1]}" -c model-1 --samples 200
fi
