"""``jaxstyle batch``: folders and lists of jobs, painted into one folder that survives anything."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
from tyro.conf import Positional, arg

from jaxstyle.batch import ray
from jaxstyle.batch.jobs import Job, in_order, shard_of
from jaxstyle.batch.lists import LISTS, find_pictures, make_jobs, read_jobs
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.painter import Painter
from jaxstyle.batch.places import check_free, check_inputs_stay, pictures_made
from jaxstyle.batch.steps import Record
from jaxstyle.batch.work import run_jobs
from jaxstyle.cli import report, run
from jaxstyle.cli.estimate import estimate, guard
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.options import Cache, CompileCache, Config, Debug, Flag, Json, PresetName, Quiet
from jaxstyle.cli.shard import parse_shard
from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe

_KEPT = "pictures that are painted will be saved, those on their way are left for the next run"


@dataclasses.dataclass(frozen=True)
class Batch:
    """Paint every photograph in the manner of every painting, or a list of jobs.

    What is in the folder already is painted again only where settings or pictures have changed, so
    the same command goes on after whatever ended it. Several of them may work on one folder.
    """

    inputs: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="CONTENT|JOBS …", help_behavior_hint="")
    ]
    """Photographs: files, folders or patterns; or one list of jobs: .csv, .toml or .jsonl."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The folder to paint into."""
    recipe: Recipe
    styles: Annotated[tuple[Path, ...], arg(help_behavior_hint="")] = ()
    """Paintings: files, folders or patterns."""
    pairs: Flag = False
    """The first photograph with the first painting, the second with the second, and so on."""
    name: str = "{content}_{style}.png"
    """Pattern of the pictures' names, which may have settings in it, as in {style_weight}."""
    shard: str | None = None
    """I/N: only the I-th of N shares, from 0; auto: as Slurm or Kubernetes numbers this process;
    auto/N: of N, whatever part of them is running."""
    ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]", help_behavior_hint="")] = None
    """Paint on a Ray cluster, HOST:PORT of its head; without, on the cluster of this machine."""
    lanes: str = "auto"
    """How many pictures of one shape are painted at once; auto: one on a CPU, more elsewhere. Not
    with --ray."""
    dry_run: Flag = False
    """List the jobs, and what they take, and paint nothing."""
    status: Flag = False
    """Tell what has become of the folder's jobs, and paint nothing."""
    overwrite: Flag = False
    """Also replace files that this batch has not painted; never a picture that it paints from."""
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
            return self._tell_status()
        lanes = _parse_lanes(self.lanes)
        jobs, name = in_order(self._jobs()), "manifest.jsonl"
        check_inputs_stay(jobs, self.output)
        if self.shard is not None:
            index, count = parse_shard(self.shard)
            jobs, name = shard_of(jobs, index, count), f"manifest-{index}-of-{count}.jsonl"
        if self.dry_run:
            return self._list(jobs, lanes)
        if self.ray is not None:
            # Reading parameters would start the accelerator, which is a worker's.
            jax.config.update("jax_platforms", "cpu")
            with ray.connected(self._address()):
                return self._work(jobs, name, lanes)
        run.begin(self.cache, keep=self.compile_cache)
        return self._work(jobs, name, lanes)

    def _work(self, jobs: Sequence[Job], name: str, lanes: int | None) -> int:
        self.output.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(self.output, name)
        console = report.console(quiet=self.quiet)
        todo = [job for job in jobs if not manifest.is_done(job)]
        console.print(report.plain(f"{len(todo)} of {len(jobs)} pictures to paint"))
        with Interruption(console, _KEPT) as interruption, report.Bar(console) as bar:

            def show(fraction: float) -> bool:
                bar.show(fraction, f"{round(fraction * len(todo))}/{len(todo)} pictures")
                return interruption.number is not None

            kind: dict[str, Any] = {"overwrite": self.overwrite}
            kind["notice"] = lambda text: console.print(report.plain(text))
            made = {"cache": self.cache, "sources": {"preset": self.preset}}
            if self.ray is None:
                painter = Painter(self.output, lanes=lanes, guard=guard, **made)
                failed = run_jobs(todo, painter, manifest, self._tell, show, **kind)
            else:
                failed = ray.run_jobs(
                    todo,
                    self.output,
                    manifest,
                    self._tell,
                    show,
                    keep=self.compile_cache,
                    lanes=lanes,
                    guard=guard,
                    **kind,
                    **made,
                )
        if failed:
            told = f"{failed} failed; fix these inputs, then run the same command again"
            console.print(report.plain(told))
        return interruption.exit_code or int(failed > 0)

    def _address(self) -> str | None:
        if len(self.ray or ()) > 1:
            raise InputError(f"--ray {' '.join(self.ray or ())}: give one address, HOST:PORT")
        return next(iter(self.ray or ()), None)

    def _tell(self, record: Record) -> None:
        if record.status == "failed":  # Said even if quiet.
            report.print_error(f"{record.output}: {record.reason}")
        else:
            report.print_path(self.output / record.output)

    def _jobs(self) -> list[Job]:
        lists = [path for path in self.inputs if path.suffix.lower() in LISTS]
        if not self.inputs:
            raise InputError("no photographs: name files, folders, or a list of jobs")
        if not lists:
            if not self.styles:
                raise InputError("no paintings: name them after --styles")
            made = pictures_made(self.output)
            contents, styles = find_pictures(self.inputs, made), find_pictures(self.styles, made)
            return make_jobs(contents, styles, self.recipe, self.name, pairs=self.pairs)
        if len(self.inputs) > 1 or self.styles or self.pairs:
            raise InputError(f"{lists[0]}: a list has all jobs; name nothing else beside it")
        return read_jobs(lists[0], self.recipe, self.name)

    def _list(self, jobs: Sequence[Job], lanes: int | None) -> int:
        manifest = Manifest(self.output)
        todo = [job for job in jobs if not manifest.is_done(job)]
        status = {job.output: self._foresee(job, manifest) for job in todo}
        rows = [
            (
                job.output,
                job.content,
                " ".join(map(str, job.styles)),
                status.get(job.output, "done"),
            )
            for job in jobs
        ]
        report.print_table(rows, ("output", "content", "styles", "status"))
        if not self.quiet:
            for line in estimate(todo, manifest, self.cache, lanes):
                report.console().print(report.plain(line))
        return 0

    def _foresee(self, job: Job, manifest: Manifest) -> str:
        try:
            if not self.overwrite:
                check_free(job, manifest)
        except InputError:
            return "exists already"
        return "to paint"

    def _tell_status(self) -> int:
        if not self.output.is_dir():
            raise InputError(f"{self.output}: no such folder")
        entries = Manifest(self.output).entries
        bad = [(o, e.get("reason", "")) for o, e in entries.items() if e["status"] == "failed"]
        if bad:
            report.print_table(sorted(bad), ("failed", "reason"))
        report.print_table([(len(entries) - len(bad), len(bad))], ("done", "failed"))
        return int(bool(bad))


def _parse_lanes(text: str) -> int | None:
    """Returns how many pictures are painted at once; None for as many as pays.

    Raises:
        InputError: It is no number.
    """
    if text == "auto":
        return None
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise InputError(f"--lanes {text}: no number; give auto, or 1 and more")
    return int(text)
