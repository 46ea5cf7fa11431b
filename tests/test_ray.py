"""A Ray cluster paints the same pictures as one process, each once, even if workers die."""

import dataclasses
import os
import signal
import socket
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import command
import jaxstyle as js
from jaxstyle import files
from jaxstyle.batch import ray
from jaxstyle.batch.inputs import PictureFile, find_pictures
from jaxstyle.batch.lists import make_jobs
from jaxstyle.batch.local import LocalExecutor
from jaxstyle.batch.loop import run_jobs
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.order import in_order
from jaxstyle.batch.ray_workers import find_devices
from jaxstyle.batch.records import save
from jaxstyle.batch.remote_worker import RemoteJob, RemoteWorker
from jaxstyle.batch.scheduler import Scheduler
from jaxstyle.jobs import Job, Painter
from jaxstyle.ops import resize
from test_batch import batch

folder = command.folder
LAYERS = {
    "content_layers": {"conv2_2": 1.0},
    "style_layers": {"image": 20.0, "conv1_1": 1.0, "conv3_1": 1.0},
}
WORDS = ["photo.png", "--styles", "painting.png"]


def jobs_of(*sizes):
    """A job for each size, in the order in which they are scheduled."""
    return [
        Job(
            content=Path(f"{i}.png"),
            styles=(Path("p.png"),),
            recipe=js.Recipe(size=size),
            output=f"{i}.png",
        )
        for i, size in enumerate(sizes)
    ]


def test_workers_stay_with_their_program_and_help_where_most_is_left():
    jobs = jobs_of(*[64] * 4, *[96] * 2, *[128] * 2)
    scheduler, programs = Scheduler(jobs), {"a": [], "b": []}
    taken = []
    for _ in range(4):
        for worker in programs:
            (job,) = scheduler.take(worker, 0)
            taken.append(job)
            programs[worker].append(job.recipe.size)
    assert not scheduler
    assert not scheduler.take("a", 0)
    assert sorted(job.output for job in taken) == sorted(job.output for job in jobs)
    assert programs == {"a": [64, 64, 64, 64], "b": [96, 96, 128, 128]}


def test_a_job_that_kills_workers_is_tried_alone_and_then_fails():
    first, other = jobs = jobs_of(64, 64)
    scheduler = Scheduler(jobs)
    assert scheduler.take("a", 0) == [first]
    assert not scheduler.is_suspect(first)
    scheduler.give_back(first)
    assert not scheduler.take("b", 1)  # It has another job already.
    assert scheduler.take("b", 0, lambda job: 2) == [first]
    assert scheduler.is_suspect(first)
    assert scheduler.take("b", 0) == [other]
    scheduler.give_back(first)
    assert scheduler.is_waiting(first)
    assert scheduler.take("c", 0) == [first]
    scheduler.give_back(first)
    assert not scheduler.is_waiting(first)
    assert not scheduler


def test_as_many_jobs_of_a_program_as_there_is_room_for_go_together():
    single = jobs_of(*[64] * 5, *[96] * 3)
    two = [dataclasses.replace(job, styles=job.styles * 2) for job in jobs_of(128, 128)]
    scheduler, taken = Scheduler([*single, *two]), []
    while scheduler:
        taken.append(scheduler.take("a", 0, lambda job: 3))
    assert [[job.recipe.size for job in jobs] for jobs in taken] == [
        [64] * 3,
        [64] * 2,
        [96] * 3,
        [128],
        [128],
    ]


def test_devices_are_accelerators_or_else_machines():
    def node(name, alive=True, **resources):
        found = {"NodeID": name, "NodeManagerAddress": f"{name}.local", "Alive": alive}
        return found | {"Resources": {"memory": 1e9, **resources}}

    machines = [node("head"), node("a", CPU=8.0), node("b", CPU=4.0), node("c", False, CPU=4.0)]
    assert [(s.node, s.kind, s.amount) for s in find_devices(machines)] == [
        ("a", "CPU", 8),
        ("b", "CPU", 4),
    ]
    devices = find_devices([*machines, node("d", CPU=8.0, GPU=2.0), node("e", TPU=4.0)])
    assert [(s.node, s.kind, s.number) for s in devices] == [
        ("d", "GPU", 0),
        ("d", "GPU", 1),
        *(("e", "TPU", i) for i in range(4)),
    ]


def test_a_remote_worker_paints_the_pictures_of_a_local_one(folder, pictures):
    """Bytes in, bytes out: the pictures of a local painter; paintings are fetched once."""
    files.save_image("other.png", 1 - pictures[1])
    recipe = js.Recipe(encoder="narrow.h5", size=40, scales=1, iterations=2, **LAYERS)
    paintings = [PictureFile(Path("painting.png")), PictureFile(Path("other.png"))]
    jobs = make_jobs([PictureFile(Path("photo.png"))], paintings, recipe, "{style}/a.png")
    painter, fetched = Painter(), []
    loaded = painter.encoder(recipe)
    shared = {path.name: path.read_bytes() for path, _ in paintings}
    shared["encoder"] = loaded._replace(encoder=jax.tree.map(np.asarray, loaded.encoder))
    worker = RemoteWorker(store_programs=False)

    def fetch(key):
        fetched.append(key)
        return shared[key]

    def paint(jobs, here):
        inputs = [painter.load(job) for job in jobs]
        ends = zip(jobs, painter.paint_all(inputs), strict=True)
        return [save(painter, job, "", end, Path(here)) for job, end in ends]

    photograph = Path("photo.png").read_bytes()
    for job in [*jobs, *jobs]:
        sent = RemoteJob(job, photograph, (job.styles[0].name,), "encoder")
        ((record, data),) = worker([sent], fetch)
        (home,) = paint([job], "home")
        assert record._replace(seconds=0) == home._replace(seconds=0)
        assert data == (Path("home") / job.output).read_bytes()
    assert sorted(fetched) == ["encoder", "other.png", "painting.png"]
    # Several at once, with a damaged one among them, which is reported as such.
    at_once = [RemoteJob(j, photograph, (j.styles[0].name,), "encoder") for j in jobs]
    at_once.insert(1, sent._replace(content=b"no picture"))
    ends = worker(at_once, fetch)
    assert [record.status for record, _ in ends] == ["done", "failed", "done"]
    ones = paint(jobs, "lanes")
    assert [record.terms for record, _ in ends[::2]] == [one.terms for one in ones]
    assert ends[0][1] == (Path("lanes") / jobs[0].output).read_bytes()
    record, data = ends[1]
    assert (record.status, data) == ("failed", b"")
    assert record.reason.startswith("photo.png: ")
    odd = r"\1\photo.png"  # not a pattern
    there = dataclasses.replace(sent.job, content=Path(odd))
    ((record, _),) = worker([sent._replace(job=there, content=b"no picture")], fetch)
    assert record.reason.startswith(f"{odd}: ")
    # Photographs with the same name that are their own paintings.
    itself = make_jobs(
        [PictureFile(Path("photo.png"))], [PictureFile(Path("photo.png"))], recipe, "a.png"
    )[0]
    for name in ("photo.png", "other.png"):
        sent = RemoteJob(itself, Path(name).read_bytes(), (name,), "encoder")
        inputs = worker._load(sent, lambda key: Path(key).read_bytes())
        image = files.load_image(name)
        np.testing.assert_array_equal(inputs.content.image, image)
        np.testing.assert_array_equal(inputs.styles[0], resize.resize(image, inputs.shapes[1]))
    worker.close()


def test_without_ray(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    updated = []
    monkeypatch.setattr(jax.config, "update", lambda *words: updated.append(words))
    command.check_refused(capsys, folder, batch(*WORDS, "--ray"), 'pip install "jaxstyle[ray]"')
    assert ("jax_platforms", "cpu") in updated  # The accelerators are the workers'.


def test_addresses_without_a_cluster_are_refused(folder, capsys):
    pytest.importorskip("ray")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        command.check_refused(capsys, folder, batch(*WORDS, "--ray", address), address, "refused")
    for words in (["nowhere"], ["a:1", "b:1"], ["a:b"]):
        command.check_refused(capsys, folder, batch(*WORDS, "--ray", *words), "--ray", words[0])


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two machines, each a device, behind a head that paints nothing."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # What Ray leaves open is Ray's.
    warnings.simplefilter("ignore")
    few = {"object_store_memory": 100_000_000}
    made = Cluster(initialize_head=True, head_node_args=few | {"num_cpus": 0})
    made.nodes = [made.add_node(num_cpus=1, **few) for _ in range(2)]
    yield made
    made.shutdown()


def workers():
    """The processes of actors, as the system lists them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::Actor" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize(("lanes", "levels"), [(1, 0), (3, 1.01)])
def test_a_cluster_that_falls_apart(folder, pictures, cluster, capsys, lanes, levels):
    """An actor is killed, then a machine removed: each picture once, as one process paints it."""
    (folder / "photos").mkdir()
    for i in range(6):
        files.save_image(f"photos/p{i}.png", pictures[0] * (1 - i / 20))
        files.save_image(f"photos/wide{i}.png", pictures[0][:30] * (1 - i / 20))
    (folder / "photos" / "bad.png").write_bytes(b"no picture")
    (folder / "photos" / "gone.png").symlink_to("nowhere.png")
    files.save_image("other.png", 1 - pictures[1])
    recipe = js.Recipe(
        encoder="narrow.h5",
        **LAYERS,
        size=40,
        scales=1,
        iterations=4,
        coarsest=16,
    )
    paintings = [PictureFile(Path("painting.png")), PictureFile(Path("other.png"))]
    contents, facts = find_pictures([Path("photos")]), {"preset": "default"}
    jobs = make_jobs(contents, paintings, recipe, "{style}/{content}.png", facts=facts)
    jobs = in_order(jobs)
    ends, died, noticed = [], [], []

    def report(record):
        ends.append(record)
        if len(ends) == 4:
            died.append(workers()[0])
            os.kill(died[0], signal.SIGKILL)
        if len(ends) == 12:
            cluster.remove_node(cluster.nodes.pop())

    Path("ray").mkdir()
    failed = ray.run_jobs(
        jobs,
        Manifest(Path("ray")),
        report=report,
        progress=lambda fraction: False,
        address=cluster.address,
        store_programs=False,
        lanes=lanes,
        notice=noticed.append,
    )
    assert failed == 4
    assert died
    assert len(noticed) >= 2
    assert sorted(r.output for r in ends) == sorted(job.output for job in jobs)
    # Beside it the same by one process.
    Path("one").mkdir()
    executor, manifest = LocalExecutor(Path("one"), Painter(), lanes=1), Manifest(Path("one"))
    quiet = {"report": lambda record: None, "progress": lambda fraction: False}
    run_jobs(jobs, manifest, executor, **quiet)
    message = manifest.entries
    for record in ends:
        same = message[record.output]
        assert record.status == same["status"], record
        assert record.digest == same["digest"]
        if record.status == "done":
            one, other = (files.load_image(Path(w) / record.output) for w in ("one", "ray"))
            np.testing.assert_allclose(one, other, rtol=0, atol=levels / 255)
            metadata = [
                files.load_metadata(Path(w) / record.output).provenance for w in ("one", "ray")
            ]
            assert metadata[0] == metadata[1]
    assert not workers()
