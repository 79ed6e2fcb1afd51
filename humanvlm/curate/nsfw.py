"""Yahoo's open_nsfw as a classifier of curation."""

from humanvlm.data.detections import Picture
from humanvlm.weights.catalog import ModelEntry
from humanvlm.weights.nsfw import nsfw_probability
from humanvlm.weights.run import network


class OpenNsfw:
    """An entry of models.yaml with open_nsfw's weights."""

    def __init__(self, entry: ModelEntry) -> None:
        self._name = entry.name
        network(entry.name)  # opened before the first picture comes

    def score(self, rgb: Picture) -> float:
        """Probability, 0..1, that the picture is not safe for work."""
        return nsfw_probability(rgb, self._name)
