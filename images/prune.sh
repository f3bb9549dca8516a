#!/bin/sh
# Removes from site-packages ($1) what no step reads: headers, test suites, browser assets of tests.
set -eu
cd "$1"
rm -rf torch/include torch/share torch/test pyarrow/include pyarrow/tests
find . -type d \( -name tests -o -name test \) \
    \( -path './pandas/*' -o -path './numpy/*' -o -path './scipy/*' -o -path './sklearn/*' \
       -o -path './matplotlib/*' -o -path './sympy/*' -o -path './networkx/*' -o -path './dask/*' \
       -o -path './ibis/*' \) -prune -exec rm -rf {} +
find torch/bin -type f ! -name torch_shm_manager -delete # torch refuses to import without it
find . -name '*.a' -delete
