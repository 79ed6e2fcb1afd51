"""The captioner that a configuration names."""

from functools import cache

from humanvlm.caption.captioners.asked import AskedCaptioner
from humanvlm.caption.captioners.base import Captioner
from humanvlm.caption.captioners.source import SourceCaptioner
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.config.captioning import Captioning
from humanvlm.inference.base import Model
from humanvlm.inference.budget import Budgeted, Ledger
from humanvlm.inference.cache import open_predictions, store_folder
from humanvlm.inference.endpoint import Server
from humanvlm.inference.models import open_model


def open_captioner(config: Captioning, section: str, shard: str, template: TemplateCaptioner) -> Captioner:
    """The captioner of a section. Replies of a model are kept apart for every shard, by its name.

    Raises UserError naming the key when there is no such model.
    """
    match config.captioner:
        case "source":
            return SourceCaptioner(template, template.max_words)
        case "model" | "endpoint" as name:
            model = open_named(config, section)
            store = open_predictions(model.identity, f"{section}/{shard}")
            return AskedCaptioner(name, model, store, config, section, template)
    return template


def open_named(config: Captioning, section: str) -> Model:
    """The model or the server of a section. Raises UserError naming the key when there is none."""
    return _opened(config.captioner, config.model_dump_json(), section, type(config))


@cache
def _opened(name: str, config: str, section: str, kind: type[Captioning]) -> Model:
    """One a process: what a model has loaded stays, and a server is known to take schemas or not."""
    values = kind.model_validate_json(config)
    wanted = "endpoint" if name == "endpoint" else values.model
    model = open_model(wanted, values.endpoint, section, batch_size=values.batch_size)
    if isinstance(model, Server):
        ledger = Ledger(store_folder() / section / "spent.json")
        return Budgeted(model, ledger, section, values.budget_tokens, values.budget_cost)
    return model
