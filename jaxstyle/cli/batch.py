"""``jaxstyle batch``: folders and lists of jobs, painted into one folder."""

import contextlib
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
from tyro.conf import Positional, arg

from jaxstyle.batch import ray
from jaxstyle.batch.estimate import estimate
from jaxstyle.batch.inputs import find_pictures
from jaxstyle.batch.lists import NAME, Pairs, make_jobs, read_jobs
from jaxstyle.batch.local import LocalExecutor
from jaxstyle.batch.loop import OTHER_NAMES, run_jobs
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.order import in_order, shard_of
from jaxstyle.batch.outputs import check_free, painted_pictures
from jaxstyle.batch.records import Record
from jaxstyle.batch.tables import LISTS
from jaxstyle.cli import report, run
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    Debug,
    Flag,
    Json,
    PresetName,
    Quiet,
    Strip,
)
from jaxstyle.cli.shard import parse_shard
from jaxstyle.cli.streams import lenient_stderr, print_to_stdout
from jaxstyle.errors import InputError
from jaxstyle.jobs import Job, Painter, check_inputs_kept
from jaxstyle.jobs.provenance import STRIP
from jaxstyle.recipes.recipe import Recipe

_STOPPING = "saving finished pictures; the next run paints the others"


@dataclasses.dataclass(frozen=True)
class Batch:
    """Paint every photograph in the style of every painting, or a list of jobs.

    Existing results are painted again only if their settings or inputs have changed, so the same
    command continues after any interruption. Several processes can share a folder.
    """

    inputs: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="CONTENT|JOBS …", help_behavior_hint="")
    ]
    """Photographs: files, folders, patterns, or .txt with one path per line; or a list of jobs:
    .csv, .tsv, .toml, .json or .jsonl."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Folder for the results, with the same subfolders as the photographs."""
    recipe: Recipe
    styles: Annotated[tuple[Path, ...], arg(help_behavior_hint="")] = ()
    """Paintings: files, folders, patterns, .txt with a file per line, or names as `jaxstyle styles`
    lists them."""
    pairs: Annotated[tuple[str, ...] | None, arg(metavar="[name]", help_behavior_hint="")] = None
    """Pair photographs and paintings in order, or by file name with `--pairs name`, instead of
    painting every combination."""
    name: str = NAME
    """Pattern for the names of the results, also with {suffix} and settings such as
    {style_weight}."""
    shard: str | None = None
    """Paint only share I of N, from 0; auto reads the numbers that Slurm or Kubernetes set; auto/N
    reads only I."""
    ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]", help_behavior_hint="")] = None
    """Paint on the Ray cluster at HOST:PORT; without an address, on all devices of this machine."""
    lanes: str = "auto"
    """Number of pictures of one shape to paint at once; auto is one on a CPU, more elsewhere."""
    dry_run: Flag = False
    """List the jobs with an estimate of time and memory, and paint nothing."""
    status: Flag = False
    """Print the status of the jobs, and paint nothing."""
    overwrite: Flag = False
    """Also replace files that this batch did not write, but never an input."""
    strip: Strip = False
    preset: PresetName = "default"
    config: Config = None
    cache: Cache = None
    compile_cache: CompileCache = True
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if self.status:
            return self._print_status()
        lanes = _parse_lanes(self.lanes)
        jobs, name = in_order(self._jobs()), "manifest.jsonl"
        check_inputs_kept((self.output / job.output for job in jobs), jobs, OTHER_NAMES)
        if self.shard is not None:
            index, count = parse_shard(self.shard)
            jobs, name = shard_of(jobs, index, count), f"manifest-{index}-of-{count}.jsonl"
        if self.dry_run:
            return self._list(jobs, lanes)
        connection: Any = contextlib.nullcontext()
        if self.ray is None:
            run.begin(self.cache, keep=self.compile_cache)
        else:
            # Otherwise, loading parameters would occupy the accelerator that a worker needs.
            jax.config.update("jax_platforms", "cpu")
            connection = ray.connected(self._address())
        with connection, lenient_stderr():
            return self._paint(jobs, name, lanes)

    def _paint(self, jobs: Sequence[Job], name: str, lanes: int | None) -> int:
        self.output.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(self.output, name)
        console = report.console(quiet=self.quiet)
        todo = [job for job in jobs if not manifest.is_done(job.output, job.digest)]
        run.print_hidden_works(jobs, console)
        console.print(report.plain(f"{len(todo)} of {len(jobs)} pictures to paint"))
        unprinted: list[OSError] = []

        def tell(record: Record) -> None:
            if record.status == "failed":  # Even if quiet.
                report.print_error(f"{record.output}: {record.reason}")
            else:
                path = self.output / record.output
                error = print_to_stdout(lambda: report.print_path(path))
                unprinted.extend([error] if error is not None else [])

        with Interruption(console, _STOPPING) as interruption, report.Bar(console) as bar:

            def show(fraction: float) -> bool:
                bar.show(fraction, f"{round(fraction * len(todo))}/{len(todo)} pictures")
                return interruption.number is not None

            options: dict[str, Any] = {"report": tell, "progress": show}
            options |= {"overwrite": self.overwrite}
            options["notice"] = lambda line: console.print(report.plain(line))
            if self.ray is None:
                executor = LocalExecutor(self.output, Painter(cache=self.cache), lanes=lanes)
                failed = run_jobs(todo, manifest, executor, **options)
            else:
                options |= {"cache": self.cache, "store_programs": self.compile_cache}
                failed = ray.run_jobs(todo, manifest, lanes=lanes, **options)
        if failed:
            advice = f"{failed} failed; fix these inputs, then run the same command again"
            console.print(report.plain(advice))
        missing = {job.output for job in jobs} & set(manifest.missing())
        if missing:
            advice = "results were removed during the run; run the same command again"
            report.print_error(f"{self.output}: {len(missing)} {advice}")
        if unprinted and not isinstance(unprinted[0], BrokenPipeError):
            report.print_error(f"standard output: {unprinted[0].strerror}")
            return interruption.exit_code or 1
        return interruption.exit_code or int(failed > 0 or bool(missing))

    def _address(self) -> str | None:
        if len(self.ray or ()) > 1:
            raise InputError(f"--ray {' '.join(self.ray or ())}: give one address, HOST:PORT")
        return next(iter(self.ray or ()), None)

    def _jobs(self) -> list[Job]:
        lists = [path for path in self.inputs if path.suffix.lower() in LISTS]
        facts = {"preset": self.preset} | ({STRIP: True} if self.strip else {})
        if not self.inputs:
            raise InputError("no photographs: give files, folders, or a list of jobs")
        if lists:
            if len(self.inputs) > 1 or self.styles or self.pairs is not None:
                raise InputError(f"{lists[0]}: a list of jobs must be the only input")
            return read_jobs(lists[0].expanduser(), self.recipe, self.name, facts=facts)
        if not self.styles:
            raise InputError("no paintings: give them after --styles")
        pairs = _parse_pairs(self.pairs)
        options: dict[str, Any] = {"painted": painted_pictures(self.output), "output": self.output}
        contents, styles = (
            find_pictures(paths, repeats=pairs is not None, **options)
            for paths in (self.inputs, self.styles)
        )
        return make_jobs(contents, styles, self.recipe, self.name, pairs=pairs, facts=facts)

    def _list(self, jobs: Sequence[Job], lanes: int | None) -> int:
        manifest = Manifest(self.output)
        todo = [job for job in jobs if not manifest.is_done(job.output, job.digest)]
        status = {job.output: self._foresee(job, manifest) for job in todo}
        rows = []
        for job in jobs:
            styles = " ".join(map(str, job.styles))
            rows.append((job.output, job.content, styles, status.get(job.output, "done")))
        report.print_table(rows, ("output", "content", "styles", "status"))
        if not self.quiet:
            for line in estimate(todo, manifest, Painter(cache=self.cache), lanes):
                report.console().print(report.plain(line))
        return 0

    def _foresee(self, job: Job, manifest: Manifest) -> str:
        try:
            if not self.overwrite:
                check_free(job, manifest)
        except InputError:
            return "exists already"
        return "to paint"

    def _print_status(self) -> int:
        if not self.output.is_dir():
            raise InputError(f"{self.output}: no such folder")
        entries = Manifest(self.output).entries
        bad = [(o, e.get("reason", "")) for o, e in entries.items() if e["status"] == "failed"]
        if bad:
            report.print_table(sorted(bad), ("failed", "reason"))
        report.print_table([(len(entries) - len(bad), len(bad))], ("done", "failed"))
        return int(bool(bad))


def _parse_pairs(words: Sequence[str] | None) -> Pairs | None:
    """Returns how pictures are paired; None if they are not.

    Raises:
        InputError: The words are neither empty nor "name".
    """
    if words is None:
        return None
    if list(words) not in ([], ["name"]):
        raise InputError(
            f"--pairs {' '.join(words)}: photographs come first, and the only value is name"
        )
    return "name" if words else "order"


def _parse_lanes(text: str) -> int | None:
    """Returns how many pictures are painted at once; None for auto.

    Raises:
        InputError: The text is not a number.
    """
    if text == "auto":
        return None
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise InputError(f"--lanes {text}: invalid; give auto, or a number from 1 to 9999")
    return int(text)
