"""``humanvlm export``: an artifact in a form for other tools."""

from pathlib import Path

import click


@click.command()
@click.argument("form", metavar="FORM", type=click.Choice(["webdataset", "hf", "released", "model", "gguf"]))
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--text-column", help="Of webdataset's .txt files; by default the artifact's best caption.")
@click.option(
    "--precision",
    type=click.Choice(["f32", "f16", "q8_0", "q4_0"]),
    default="f16",
    show_default=True,
    help="Of gguf's weights: floats of 32 or 16 bits, or blocks of integers of 8 or 4.",
)
@click.option(
    "--scores", type=click.Path(path_type=Path), help="Of the model's card; by default those beside ARTIFACT."
)
@click.option("--pictures", type=click.Path(path_type=Path), help="human_caption, by default that beside ARTIFACT.")
@click.option(
    "--check",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many held-out pictures gguf's model and the checkpoint are both asked about, for its card.",
)
@click.option("--dataset", multiple=True, help="ORG/NAME on the hub that the model learnt from, for its card.")
def export(
    form: str,
    artifact: Path,
    out: Path,
    text_column: str | None,
    precision: str,
    scores: Path | None,
    pictures: Path | None,
    check: int,
    dataset: tuple[str, ...],
) -> None:
    """Write ARTIFACT to the folder OUT in a FORM for other tools.

    Of a stage from raw_scrape to human_caption_hq: webdataset, tars of KEY.jpg, KEY.txt and KEY.json; hf, a dataset
    that datasets.load_dataset(OUT) reads, with its card; released, Parquet in the columns of the released
    HumanCaption-10M (human_caption) or HumanCaption-HQ-311K (human_caption_hq).

    Of stage2_checkpoint: model, a Hugging Face folder ready to push, with its card; gguf, the two files of llama.cpp,
    for SigLIP towers."""
    if form in ("model", "gguf"):
        from humanvlm.export.model import Options, export_model

        click.echo(export_model(form, artifact, out, Options(precision, scores, pictures, check, dataset)))
        return
    from humanvlm.export.folder import export as write_out

    click.echo(write_out(form, artifact, out, text_column))
