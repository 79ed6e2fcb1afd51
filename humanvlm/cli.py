"""The command line: `humanvlm STAGE`, and the commands around the stages. Thin; everything heavy is imported late."""

import gc
import os
import sys
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from humanvlm import __version__
from humanvlm.errors import UserError, of_the_disk
from humanvlm.evaluate.cli import score
from humanvlm.export.command import export
from humanvlm.pipeline.stages import STAGES, Stage
from humanvlm.serve.command import serve
from humanvlm.serve.terminal import chat
from humanvlm.shown import log_to_stderr, shown, shown_lines


class OneLineErrors(click.Group):
    """Prints what the user can mend as one line and exits with 2; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            told = error
        except OSError as error:
            if (found := of_the_disk(error)) is None:
                raise
            told = found
        click.echo(f"humanvlm: {shown(str(told))}", err=True)
        sys.exit(2)


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """From a list of URLs to a registered, re-evaluated vision-language model of people and scenes."""
    # What imports leave is no garbage: looking through it, at the end once more, took a sixth of a short command.
    gc.set_threshold(100_000, 50, 100)
    click.get_current_context().call_on_close(gc.freeze)
    log_to_stderr(os.environ.get("HUMANVLM_LOG", "INFO"))


RETRY = click.option(
    "--retry-failed",
    is_flag=False,
    flag_value="transient",
    metavar="[=REASON,…]",
    help="Ask again for dropped rows with these reasons, such as http_503,timeout; transient (the default): failures "
    "that may have passed; all.",
)


REFETCH = click.option(
    "--refetch",
    is_flag=True,
    help="Go ahead with changed settings: download again what cannot be made of the stored bytes (they stand until "
    "then), and drop what the settings refuse.",
)
REMOVE_MISSING = click.option(
    "--remove-missing", is_flag=True, help="Remove the pictures that the index no longer has, however many."
)
RECHECK = click.option(
    "--recheck-consent",
    is_flag=True,
    envvar="HUMANVLM_RECHECK_CONSENT",
    help="Ask the sites of stored pictures again, without downloading: what is opted out or gone since is dropped.",
)
PLAN = click.option("--plan", is_flag=True, help="Only say what it would take: requests, tokens, hours, cost.")
ROWS = click.option("--rows", type=click.IntRange(min=1), help="With --plan: for so many rows like these.")


def _stage_command(stage: Stage) -> click.Command:
    @click.option("--params", type=click.Path(path_type=Path), default=Path("params.yaml"), show_default=True)
    @click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a parameter.")
    @click.option(
        "--in", "inputs", multiple=True, metavar="[NAME=]DIR", help="Read from here; no NAME: the first input."
    )
    @click.option("--out", type=click.Path(path_type=Path), help=f"Write here instead of {stage.out}.")
    @click.option("--force", is_flag=True, envvar="HUMANVLM_FORCE", help="Start afresh, even when up to date.")
    def command(
        params: Path,
        overrides: tuple[str, ...],
        inputs: tuple[str, ...],
        out: Path | None,
        force: bool,
        retry_failed: str | None = None,
        refetch: bool = False,
        remove_missing: bool = False,
        recheck_consent: bool = False,
        plan: bool = False,
        rows: int | None = None,
    ) -> None:
        if rows and not plan:
            raise UserError("--rows: only with --plan")
        if plan:
            from humanvlm.config.loading import load_params

            known = {name: Path(folder) for name, folder in stage.inputs.items()} | _named_inputs(stage, inputs)
            section = getattr(load_params(params, overrides), stage.name)
            planned = import_module(stage.plans).plan
            click.echo(shown_lines(planned(stage.name, section, known, rows or 0)))
            return
        if stage.retries_rows:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a crawl has no linear algebra to start threads for
        from humanvlm.pipeline.runner import run_stage

        retry: tuple[str, ...] = ()
        if retry_failed:
            from humanvlm.scrape.reasons import reasons_named

            retry = reasons_named(retry_failed)
        folders = _named_inputs(stage, inputs)
        run_stage(stage.name, params, overrides, folders, out, force, retry, refetch, remove_missing, recheck_consent)

    options = [
        *([RETRY, REFETCH, REMOVE_MISSING, RECHECK] if stage.retries_rows else []),
        *([PLAN, ROWS] if stage.plans else []),
    ]
    return click.command(stage.name, help=stage.help)(reduce(lambda made, option: option(made), options, command))


def _named_inputs(stage: Stage, inputs: tuple[str, ...]) -> dict[str, Path]:
    known = list(stage.inputs)
    folders = {}
    for value in inputs:
        name, equals, folder = value.partition("=")
        if equals and name not in known:
            raise UserError(f"--in {value}: {stage.name} has no input {name!r}; it reads {', '.join(known)}")
        folders[name if equals else known[0]] = Path(folder if equals else value)
    return folders


for _stage in STAGES.values():
    main.add_command(_stage_command(_stage))


@main.command()
@click.option("--params", type=click.Path(path_type=Path), default=Path("params.yaml"), show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a parameter.")
def run(params: Path, overrides: tuple[str, ...]) -> None:
    """Run every stage in order in this folder, without DVC; up-to-date stages are skipped."""
    from humanvlm.pipeline.runner import run_stage

    for name in STAGES:
        run_stage(name, params, overrides)


@main.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path("params.yaml"), show_default=True)
def profile(name: str, out: Path) -> None:
    """Write the parameter file of profile NAME (cpu, paper, photos, or a path)."""
    from humanvlm.config.profiles import write_profile

    write_profile(name, out)
    click.echo(f"{out}: profile {name}")


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--scenes", default=600, show_default=True, help="Composed pictures of people.")
@click.option("--seed", default=7, show_default=True)
def sample(out: Path, scenes: int, seed: int) -> None:
    """Build the synthetic crawl: index, site, ground truth, instruction and benchmark files."""
    from humanvlm.synthetic.build import build_sample

    build_sample(out, scenes=scenes, seed=seed)


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option(
    "--append", is_flag=True, help="Add to OUT/index.parquet instead of replacing it; texts of a URL are joined."
)
@click.option("--base-url", help="Prefix of relative paths in the source (a folder's files, a path column).")
@click.option("--url-column", help="Column that holds the URL; found by name when not given.")
@click.option("--text-column", help="Column that holds the text or list of texts; found by name when not given.")
@click.option("--keep-columns", "keep", multiple=True, metavar="NAME,…", help="Further columns to carry along.")
@click.option("--encoding", help="Of text files, such as latin-1; default: by the byte order mark, else UTF-8.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="So many pictures from the start of the list; no more is read."
)
@click.option("--sample", type=click.IntRange(min=1), help="So many pictures, drawn at random by --seed.")
@click.option("--seed", default=0, show_default=True)
def index(
    sources: tuple[str, ...],
    out: Path,
    append: bool,
    base_url: str | None,
    url_column: str | None,
    text_column: str | None,
    keep: tuple[str, ...],
    encoding: str | None,
    limit: int | None,
    sample: int | None,
    seed: int,
) -> None:
    """Make OUT/index.parquet, one row a picture, from SOURCEs: URL lists (txt, csv, tsv, jsonl, json, parquet; patterns
    such as 'parts/*.parquet'; s3:// and https:// addresses), folders of lists, Hugging Face datasets, the released
    HumanCaption and FaceCaption files; or pictures that are here (folders, webdataset tars, Parquet, saved datasets).
    Rows that cannot be used are counted under a reason."""
    from humanvlm.index.build import Options, build_index

    names = tuple(name.strip() for names in keep for name in names.split(",") if name.strip())
    options = Options(base_url, url_column, text_column, encoding, append, limit, sample, seed, names)
    click.echo(shown_lines(str(build_index(sources, out, options))))


@main.command("serve-files")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--port", default=8099, show_default=True)
def serve_files(folder: Path, port: int) -> None:
    """Serve FOLDER over HTTP on 127.0.0.1 until interrupted."""
    from humanvlm.scrape.local_server import serve_forever

    serve_forever(folder, port)


@main.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--rows", default=24, show_default=True)
@click.option("--dropped", is_flag=True, help="Show dropped rows with their reasons.")
@click.option("--out", type=click.Path(path_type=Path), help="Page to write; default .state/show/ARTIFACT.html")
def show(artifact: Path, rows: int, dropped: bool, out: Path | None) -> None:
    """A few rows of any ARTIFACT as one HTML page: pictures with boxes and captions."""
    from humanvlm.inspect.pages import write_page

    click.echo(write_page(artifact, rows=rows, dropped=dropped, out=out))


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Also write a .json or .html file.")
@click.option("--seed", default=7, show_default=True)
def compare(runs: tuple[Path, ...], out: Path | None, seed: int) -> None:
    """Compare every RUN with the first, on the samples that all have: differences with 95% intervals, p-values
    (Holm-corrected over all that is shown), and the smallest difference that would have been found.

    RUN: a folder of benchmark_scores, or a file of `humanvlm score --out`. Another image or other references for the
    same sample, and no common task or sample, are errors; other prompts are said; CIDEr is compared only when its
    document frequencies are of the same references."""
    from humanvlm.evaluate import compare as comparison

    if out and out.suffix not in (".json", ".html"):
        raise UserError(f"--out {out}: neither .json nor .html")
    found = comparison.compare(runs, seed=seed)
    if out:
        comparison.write(found, out)
    click.echo(shown_lines(comparison.as_text(found)))


@main.command()
@click.option("--ids", metavar="FILE", help="Sample ids, one a line; - is standard input.")
@click.option("--urls", metavar="FILE", help="URLs as the index spells them, one a line.")
@click.option("--sha256", metavar="FILE", help="sha256 of stored pictures, one a line.")
@click.option(
    "--pictures",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True),
    help="A folder of picture files: these, and stored pictures that look like one of them.",
)
@click.option("--hosts", is_flag=True, help="Sites by name, with their subdomains: --hosts HOST...")
@click.argument("names", nargs=-1, metavar="[HOST]...")
@click.option("--near-duplicates", is_flag=True, help="Also rows that human_scenes found to look like these.")
def forget(
    ids: str | None,
    urls: str | None,
    sha256: str | None,
    pictures: Path | None,
    hosts: bool,
    names: tuple[str, ...],
    near_duplicates: bool,
) -> None:
    """Takedown: remove samples from every artifact in this folder, and record them in tombstones.csv, which later runs
    honour. Without options: apply the recorded tombstones again, as after checking out older artifacts, and seal plain
    hashes of older lists with the key in tombstones.key."""
    from humanvlm.data.tombstones import of_hosts, read_list
    from humanvlm.takedown.forget import forget as take_down

    if hosts != bool(names):
        raise UserError("--hosts: name the sites, as in --hosts photos.example.org; other options take files")
    asked = of_hosts(names)
    for kind, source in (("id", ids), ("url", urls), ("sha256", sha256)):
        if source:
            asked |= read_list(source, kind)
    click.echo(shown_lines(take_down(asked, pictures=pictures, near_duplicates=near_duplicates)))


@main.command()
@click.option("--artifacts", type=click.Path(path_type=Path), default=Path("artifacts"), show_default=True)
def summary(artifacts: Path) -> None:
    """Rows, scores, and where to look."""
    from humanvlm.inspect.summary import summarize

    click.echo(shown_lines(summarize(artifacts)))


@main.command()
@click.argument("version", required=False)
@click.option("--params", type=click.Path(path_type=Path), default=Path("params.yaml"), show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a parameter.")
@click.option("--dry-run", is_flag=True, help="Only say what would come of it, and why.")
@click.option("--force-reason", metavar="TEXT", default="", help="Promote without a comparison; the log says why.")
def promote(version: str | None, params: Path, overrides: tuple[str, ...], dry_run: bool, force_reason: str) -> None:
    """Compare VERSION of the registered model, by default the challenger, with the champion, and promote it if it wins
    by the rule of `registered_model`."""
    from humanvlm.registry import commands

    click.echo(commands.promote(version, params, overrides, dry_run=dry_run, force_reason=force_reason))


@main.command()
@click.option("--params", type=click.Path(path_type=Path), default=Path("params.yaml"), show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a parameter.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; the log and the version's tag say it.")
def rollback(params: Path, overrides: tuple[str, ...], reason: str) -> None:
    """Make the version champion again that the present one replaced; the present one is then promoted by force only."""
    from humanvlm.registry import commands

    click.echo(commands.rollback(params, overrides, reason))


@main.command()
@click.option("--params", type=click.Path(path_type=Path), default=Path("params.yaml"), show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a parameter.")
@click.option("--force", is_flag=True, help="Though nothing changed since.")
@click.option("--dry-run", is_flag=True, help="Only say, as JSON, whether it is due and why.")
def reevaluate(params: Path, overrides: tuple[str, ...], force: bool, dry_run: bool) -> None:
    """Fetch the registry's champion, score it on the benchmarks as they are now, and compare it with its last scores:
    in MLflow as a run of that version and a point of its history, and told to HUMANVLM_WEBHOOK when it fell."""
    from humanvlm.registry import reevaluate as champion

    if dry_run:
        click.echo(champion.due_as_json(params, overrides, force=force))
    else:
        click.echo(champion.told(champion.reevaluate(params, overrides, force=force)))


main.add_command(score)
main.add_command(export)
main.add_command(serve)
main.add_command(chat)


if __name__ == "__main__":
    main()
