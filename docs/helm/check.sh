#!/bin/sh
# Render the chart with these values, which Helm checks against the chart's schema. Needs Helm 3.19 or newer, and the
# chart from the network, or as the one argument: check.sh ./airflow-1.22.0.tgz
set -eu
cd "$(dirname "$0")"
chart=${1:-airflow}
[ $# -gt 0 ] || from="--repo https://airflow.apache.org --version 1.22.0"
for values in "--values values.yaml" "--values values.yaml --values celery.yaml"; do
  # shellcheck disable=SC2086 - options, one word each
  helm template airflow "$chart" ${from:-} $values >/dev/null
  echo "rendered: $values"
done
