"""Runs the shards of a natsync mirror on Dask, Ray or the threads of one machine.

`run` saves a plan, runs each shard as a task, and merges the shards. The tasks only start the
program `natsync`, so the workers need that program, but not this module.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import sys

__all__ = ["ClusterError", "run"]

WRONG_INPUT = 2
"""The exit status for a wrong command line, manifest, lock or plan: it is wrong in each shard."""


class ClusterError(Exception):
    """The mirror is not complete.

    `shards` has the last result of each failed shard by its number: `status` (the exit status, or
    None if the program did not run to its end), `attempts` and `message`. `summary` is the summary of the merge,
    or None if the shards were not merged.
    """

    def __init__(self, message, shards=None, summary=None):
        super().__init__(message)
        self.shards = shards or {}
        self.summary = summary


def run(
    manifest,
    shards,
    engine="local",
    address=None,
    natsync="natsync",
    *,
    plan=None,
    at_a_time=None,
    retries=3,
    plan_args=(),
    apply_args=(),
    merge_args=(),
    progress=None,
):
    """Mirrors a manifest by this number of shards, and returns the summary of the merge.

    engine: "local", "dask" or "ray". address: of the Dask scheduler or the Ray cluster; without
    one, the engine starts a cluster on this machine. plan: the file of the saved plan, which all
    workers must be able to read; by default the manifest's name with `.plan`. at_a_time: how many
    shards run at a time; by default one for each processor of the cluster. retries: how often a
    failed shard is tried again; a shard with exit status 2 is not, and ends the run. progress: is
    called with a dict for each finished attempt.

    The summary has `shard_results` besides natsync's own fields: for each shard its status, the
    number of attempts and its summary. Raises ClusterError if a shard failed or is missing.
    """
    manifest = os.fspath(manifest)
    plan = os.path.abspath(os.fspath(plan) if plan else os.path.splitext(manifest)[0] + ".plan")
    directory = os.getcwd()

    def here(name, *arguments):
        command = [natsync, name, *arguments, "--json"]
        return _natsync()(command, directory)

    planned = here("plan", manifest, "--shards", str(shards), "--out", plan, *plan_args)
    if planned["status"] != 0:
        raise ClusterError(f"natsync plan: {_words(planned)}")

    with _cluster(engine, address, at_a_time) as (submit, processors):
        width = min(at_a_time or processors, shards)
        command = [natsync, "apply", "--plan", plan, "--shard-concurrency", str(width)]
        command += [*apply_args, "--json", "--shard"]
        results = _run_shards(
            shards,
            width,
            retries,
            lambda shard: submit([*command, f"{shard}/{shards}"], directory),
            progress,
        )

    failed = {shard: result for shard, result in results.items() if result["status"] != 0}
    wrong = [shard for shard, result in failed.items() if result["status"] == WRONG_INPUT]
    if wrong:
        raise ClusterError(f"shard {wrong[0]} of {shards}: {_words(failed[wrong[0]])}", failed)

    merged = here("merge", manifest, "--shards", str(shards), *merge_args)
    summary = merged["summary"]
    if failed or merged["status"] != 0:
        said = [f"shard {shard} of {shards}: {_words(failed[shard])}" for shard in sorted(failed)]
        if merged["status"] != 0 and (not failed or summary is None):
            said.append(f"natsync merge: {_words(merged)}")
        raise ClusterError("\n".join(said), failed, summary)
    return {**summary, "shard_results": {shard: results[shard] for shard in sorted(results)}}


def _run_shards(shards, width, retries, start, progress):
    """Runs all shards, `width` at a time. Returns the last result of each shard."""
    waiting = [(shard, 1) for shard in range(shards, 0, -1)]
    running = {}
    results = {}
    while waiting or running:
        while waiting and len(running) < width:
            shard, attempt = waiting.pop()
            running[start(shard)] = (shard, attempt)
        done, _ = concurrent.futures.wait(
            running, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            shard, attempt = running.pop(future)
            try:
                result = future.result()
            except Exception as error:  # The worker was lost.
                result = {"status": None, "summary": None, "message": f"{error!r}"}
            result = {**result, "shard": shard, "attempts": attempt}
            results[shard] = result
            if progress:
                progress(result)
            if result["status"] == WRONG_INPUT:
                waiting.clear()
            elif result["status"] != 0 and attempt <= retries:
                # Behind all shards that were not tried yet, so that a server has time to recover.
                waiting.insert(0, (shard, attempt + 1))
    return results


def _natsync():
    """The task. A nested function is sent to workers by value: they do not need this module."""

    def natsync(command, directory):
        import json
        import subprocess
        import threading

        last = []
        summary, error = None, None

        def read_stderr(stream):
            for line in stream:
                if not line.startswith("note: "):
                    last.append(line.rstrip("\n"))
                    del last[:-20]

        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        try:
            process = subprocess.Popen(
                command, cwd=directory, text=True, errors="replace", **pipes
            )
        except OSError as failure:
            return {"status": None, "summary": None, "message": str(failure)}
        with process:
            reader = threading.Thread(target=read_stderr, args=[process.stderr])
            reader.start()
            # A shard may print a million lines, so they are not kept.
            for line in process.stdout:
                if '"type":"summary"' in line:
                    summary = json.loads(line)
                elif '"type":"error"' in line:
                    error = json.loads(line).get("message")
            reader.join()
        message = error or "\n".join(last)
        return {"status": process.returncode, "summary": summary, "message": message}

    return natsync


def _words(result):
    status = result["status"]
    said = "not run" if status is None else f"exit status {status}"
    attempts = result.get("attempts", 1)
    times = f" after {attempts} attempts" if attempts > 1 else ""
    return f"{said}{times}: {result['message']}".rstrip(": \n")


@contextlib.contextmanager
def _cluster(engine, address, at_a_time):
    """Yields a function that submits a task and returns a future, and the number of processors."""
    task = _natsync()
    if engine == "local":
        processors = os.cpu_count() or 1
        with concurrent.futures.ThreadPoolExecutor(at_a_time or processors) as pool:
            yield (lambda *arguments: pool.submit(task, *arguments)), processors
    elif engine == "dask":
        from dask.distributed import Client

        settings = {} if address else {"dashboard_address": None}
        with Client(address, **settings) as client, client.get_executor(pure=False) as pool:
            processors = sum(client.nthreads().values())
            yield (lambda *arguments: pool.submit(task, *arguments)), processors
    elif engine == "ray":
        import ray

        ours = not ray.is_initialized()
        if ours:
            ray.init(address=address, include_dashboard=None if address else False)
        try:
            remote = ray.remote(num_cpus=1, max_retries=0)(task)
            processors = int(ray.cluster_resources().get("CPU", 1))
            yield (lambda *arguments: remote.remote(*arguments).future()), processors
        finally:
            if ours:
                ray.shutdown()
    else:
        raise ValueError(f"engine: {engine!r} is none of 'local', 'dask', 'ray'")


def main(arguments=None):
    """The command line: one line for each attempt on stderr, and the summary on stdout."""
    parser = argparse.ArgumentParser(prog="natsync-cluster", description=__doc__.split("\n")[0])
    parser.add_argument("manifest")
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--engine", choices=["local", "dask", "ray"], default="local")
    parser.add_argument("--address", help="of the Dask scheduler or the Ray cluster")
    parser.add_argument("--natsync", default="natsync", help="the program on the workers")
    parser.add_argument("--plan", help="the file of the saved plan")
    parser.add_argument("--at-a-time", type=int, metavar="M", help="how many shards run at a time")
    parser.add_argument("--retries", type=int, default=3)

    def progress(result):
        summary = result["summary"] or {}
        counts = ", ".join(
            f"{summary[name]} {name}"
            for name in ["downloaded", "updated", "unchanged", "kept", "failed"]
            if summary.get(name)
        )
        words = counts if result["status"] == 0 else _words(result).split("\n")[0]
        print(f"shard {result['shard']}: {words or 'no entries'}", file=sys.stderr, flush=True)

    options = vars(parser.parse_args(arguments))
    try:
        summary = run(**options, progress=progress)
    except (ClusterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    del summary["shard_results"]
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
