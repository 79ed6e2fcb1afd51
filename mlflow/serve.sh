#!/bin/sh
# A local MLflow server with UI and model registry on http://127.0.0.1:5000; Ctrl-C stops it.
# One worker and no job runner: a quarter of the start-up time and of the memory.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .state/mlartifacts
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
exec mlflow server --workers 1 \
  --host "${MLFLOW_HOST:-127.0.0.1}" --port "${MLFLOW_PORT:-5000}" \
  --backend-store-uri "${MLFLOW_BACKEND_STORE_URI:-sqlite:///.state/mlflow.db}" \
  --default-artifact-root "${MLFLOW_ARTIFACT_ROOT:-file://$PWD/.state/mlartifacts}"
