"""The captioner that a configuration names."""

from humanvlm.caption.captioners.base import Captioner
from humanvlm.caption.captioners.source import SourceCaptioner
from humanvlm.caption.template.captioner import TemplateCaptioner


def open_captioner(name: str, template: TemplateCaptioner) -> Captioner:
    """``template`` or ``source``; what the index does not say is written by the template."""
    return SourceCaptioner(template, template.max_words) if name == "source" else template
