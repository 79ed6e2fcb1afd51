#!/bin/sh
# A local MLflow server with UI and model registry on http://127.0.0.1:5000; Ctrl-C stops it.
# It asks nobody who they are: MLFLOW_HOST=0.0.0.0 opens runs and models to the whole network.
# One worker and no job runner: a quarter of the start-up time and of the memory.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .state/mlartifacts
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
# Not an argument, which every user of the machine could read: it may hold a password.
export MLFLOW_BACKEND_STORE_URI="${MLFLOW_BACKEND_STORE_URI:-sqlite:///.state/mlflow.db}"
exec mlflow server --workers 1 \
  --host "${MLFLOW_HOST:-127.0.0.1}" --port "${MLFLOW_PORT:-5000}" \
  --default-artifact-root "${MLFLOW_ARTIFACT_ROOT:-file://$PWD/.state/mlartifacts}"
