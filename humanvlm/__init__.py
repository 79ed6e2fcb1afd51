"""HumanVLM: from a list of URLs to a registered, re-evaluated vision-language model of people.

Importing the package only sets the opt-outs that keep every library quiet and offline; nothing heavy is loaded.
A run that names a model or data set of the Hugging Face hub may ask it (``weights.hub.open_hub``), others never do.
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
    "TOKENIZERS_PARALLELISM": "false",
}
for _name, _value in QUIET_AND_OFFLINE.items():
    os.environ.setdefault(_name, _value)
# Unless the user has decided. The second variable tells this process and its children that it was not the user.
if not {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} & os.environ.keys():
    os.environ |= {"HF_HUB_OFFLINE": "1", "HUMANVLM_HUB": "when named"}
