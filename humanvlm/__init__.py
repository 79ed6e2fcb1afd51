"""HumanVLM: from a list of URLs to a registered, re-evaluated vision-language model of people.

Importing the package only sets the opt-outs that keep every library quiet and offline; nothing heavy is loaded.
"""

import os

__version__ = "0.1.0"

QUIET_AND_OFFLINE = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
for _name, _value in QUIET_AND_OFFLINE.items():
    os.environ.setdefault(_name, _value)
