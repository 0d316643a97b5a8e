"""Tests of natsync_cluster with a scripted program: python3 -m unittest discover python.

The engines `dask` and `ray` are tested where their packages are installed.
"""

import importlib.util
import json
import os
import sys
import tempfile
import unittest

import natsync_cluster

# Appends its arguments to calls.jsonl, and does what answers.json says: a list of answers by
# shard, or by command, of which the last one is repeated.
PROGRAM = """#!{python}
import json, os, signal, sys
here = os.path.dirname(os.path.abspath(__file__))
arguments = sys.argv[1:]
name = arguments[0]
if "--shard" in arguments:
    name = arguments[arguments.index("--shard") + 1]
with open(os.path.join(here, "calls.jsonl"), "a") as log:
    log.write(json.dumps(arguments) + "\\n")
count = sum(name in json.loads(line) for line in open(os.path.join(here, "calls.jsonl")))
answers = json.load(open(os.path.join(here, "answers.json"))).get(name, [{{}}])
answer = answers[min(count, len(answers)) - 1]
print(json.dumps({{"type": "result", "path": "a"}}, separators=(",", ":")))
print(answer.get("stderr", ""), file=sys.stderr)
summary = {{"type": "summary", "command": arguments[0], "entries": 3, **answer.get("counts", {{}})}}
print(json.dumps(summary, separators=(",", ":")))
sys.exit(answer.get("status", 0))
"""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.program = os.path.join(self.folder, "natsync")
        with open(self.program, "w") as file:
            file.write(PROGRAM.format(python=sys.executable))
        os.chmod(self.program, 0o755)
        self.answer({})

    def answer(self, answers):
        with open(os.path.join(self.folder, "answers.json"), "w") as file:
            json.dump(answers, file)

    def calls(self, command):
        with open(os.path.join(self.folder, "calls.jsonl")) as file:
            return [call for call in map(json.loads, file) if call[0] == command]

    def run_it(self, shards=4, **settings):
        manifest = os.path.join(self.folder, "mirror.yaml")
        return natsync_cluster.run(manifest, shards, natsync=self.program, **settings)

    def fails(self, **settings):
        with self.assertRaises(natsync_cluster.ClusterError) as caught:
            self.run_it(**settings)
        return caught.exception


class Runs(Case):
    def test_a_run_plans_once_applies_each_shard_and_merges(self):
        seen = []
        summary = self.run_it(shards=4, at_a_time=2, progress=seen.append)
        self.assertEqual(summary["command"], "merge")
        self.assertEqual(list(summary["shard_results"]), [1, 2, 3, 4])
        self.assertEqual(summary["shard_results"][3]["summary"]["entries"], 3)
        self.assertEqual(sorted(result["shard"] for result in seen), [1, 2, 3, 4])
        plan = os.path.join(self.folder, "mirror.plan")
        manifest = os.path.join(self.folder, "mirror.yaml")
        self.assertEqual(
            self.calls("plan"), [["plan", manifest, "--shards", "4", "--out", plan, "--json"]]
        )
        apply = ["apply", "--plan", plan, "--shard-concurrency", "2", "--json", "--shard"]
        self.assertEqual(sorted(self.calls("apply")), [[*apply, f"{n}/4"] for n in range(1, 5)])
        self.assertEqual(self.calls("merge"), [["merge", manifest, "--shards", "4", "--json"]])

    def test_a_shard_is_not_more_concurrent_than_there_are_shards(self):
        self.run_it(shards=2, at_a_time=50)
        self.assertEqual({call[4] for call in self.calls("apply")}, {"2"})

    def test_further_arguments_reach_their_commands(self):
        self.run_it(plan_args=["--refresh"], apply_args=["-j", "4"], merge_args=["--no-prune"])
        self.assertTrue(all("--refresh" in call for call in self.calls("plan")))
        self.assertTrue(all("-j" in call for call in self.calls("apply")))
        self.assertTrue(all("--no-prune" in call for call in self.calls("merge")))

    def test_a_failed_shard_is_tried_again(self):
        self.answer({"3/4": [{"status": 1}, {"status": -9 % 256}, {"status": 0}]})
        summary = self.run_it()
        self.assertEqual(summary["shard_results"][3]["attempts"], 3)
        self.assertEqual(len(self.calls("apply")), 6)

    def test_a_failed_shard_waits_for_those_that_were_not_tried(self):
        self.answer({"1/3": [{"status": 1}, {"status": 0}]})
        self.run_it(shards=3, at_a_time=1)
        shards = [call[-1] for call in self.calls("apply")]
        self.assertEqual(shards, ["1/3", "2/3", "3/3", "1/3"])

    def test_a_shard_that_fails_to_the_end_is_named_after_the_merge(self):
        self.answer(
            {
                "2/4": [{"status": 1, "stderr": "error: 1 of 3 entries failed"}],
                "merge": [{"status": 1, "counts": {"failed": 1}}],
            }
        )
        error = self.fails(retries=1)
        self.assertEqual(
            str(error),
            "shard 2 of 4: exit status 1 after 2 attempts: error: 1 of 3 entries failed",
        )
        self.assertEqual(error.shards[2]["attempts"], 2)
        self.assertEqual(error.summary["failed"], 1)
        self.assertEqual(len(self.calls("merge")), 1)

    def test_wrong_input_is_not_tried_again_and_ends_the_run(self):
        self.answer({"2/9": [{"status": 2, "stderr": "error: the plan is of another version"}]})
        error = self.fails(shards=9, at_a_time=1)
        self.assertEqual(
            str(error), "shard 2 of 9: exit status 2: error: the plan is of another version"
        )
        self.assertEqual([call[-1] for call in self.calls("apply")], ["1/9", "2/9"])
        self.assertEqual(self.calls("merge"), [])

    def test_without_a_plan_no_shard_is_started(self):
        self.answer({"plan": [{"status": 2, "stderr": "error: mirror.yaml:3: no such key"}]})
        error = self.fails()
        self.assertEqual(
            str(error), "natsync plan: exit status 2: error: mirror.yaml:3: no such key"
        )
        self.assertEqual(self.calls("apply"), [])

    def test_an_incomplete_merge_is_an_error(self):
        self.answer({"merge": [{"status": 1, "stderr": "error: missing: 3 of 4"}]})
        self.assertEqual(
            str(self.fails()), "natsync merge: exit status 1: error: missing: 3 of 4"
        )

    def test_a_program_that_is_not_there_is_an_error(self):
        self.program = os.path.join(self.folder, "nothing")
        error = self.fails()
        self.assertRegex(str(error), "^natsync plan: not run: .*No such file or directory")

    def test_an_unknown_engine_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'local', 'dask', 'ray'"):
            self.run_it(engine="spark")


class Engines:
    """What each engine must do; a task runs in another process there."""

    def test_shards_run_and_failed_ones_are_tried_again(self):
        self.answer({"2/3": [{"status": 1}, {"status": 0}]})
        summary = self.run_it(shards=3, engine=self.engine)
        self.assertEqual(
            [result["attempts"] for result in summary["shard_results"].values()], [1, 2, 1]
        )

    def test_a_worker_without_the_program_is_an_error(self):
        nothing = os.path.join(self.folder, "nothing")
        with natsync_cluster._cluster(self.engine, None, 1) as (submit, _):
            result = submit([nothing], self.folder).result()
        self.assertIsNone(result["status"])
        self.assertIn("No such file", result["message"])


class Local(Engines, Case):
    engine = "local"


@unittest.skipUnless(importlib.util.find_spec("distributed"), "distributed is not installed")
class Dask(Engines, Case):
    engine = "dask"


@unittest.skipUnless(importlib.util.find_spec("ray"), "ray is not installed")
class Ray(Engines, Case):
    engine = "ray"


if __name__ == "__main__":
    unittest.main()
