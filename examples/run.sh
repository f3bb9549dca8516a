# `make run`: an example source, its day, a summary. A held day (exit 3) is a day well done.
set -eu
data=data/$SOURCE
case $SOURCE in
storefront)
    config=examples/storefront/shop.yaml
    ds=$DS
    [ -f "$data/truth.json" ] || "$BIN/python" -m examples.storefront --out "$data" --days 7 --ds-last "$ds" --impressions "$IMPRESSIONS" --seed 0 ;;
upworthy)
    config=examples/upworthy/upworthy.yaml
    [ -n "$DATA" ] || { echo "say where the archive lies: make run SOURCE=upworthy DATA=experiments.parquet (or its own CSV)"; exit 2; }
    "$BIN/python" -m examples.upworthy --source "$DATA" --out "$data"
    ds=$(ls "$data/logs/aggregates" | sort | tail -n 1 | cut -d= -f2) ;;
*) echo "SOURCE is $SOURCE; expected storefront or upworthy"; exit 2 ;;
esac
if [ -n "$SERVICES" ]; then
    "$BIN/python" -m services up
    settings=$("$BIN/python" -m services env)
    eval "$settings"
    sed "s#data/$SOURCE/#s3://genco/$SOURCE/#" "$config" > "$data/services.yaml"
    "$BIN/python" -m services.upload "$data" "s3://genco/$SOURCE" logs catalog
    config=$data/services.yaml
fi
status=0
GENCO_IDENTITY=${GENCO_IDENTITY:-scheduler} "$BIN/genco" run --ds "$ds" --config "$config" || status=$?
[ "$status" -eq 3 ] || exit "$status"
