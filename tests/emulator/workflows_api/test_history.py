"""Step entries of loops, tries, branches, and of executions with more steps than are recorded."""

import asyncio
import itertools

from emulator.workflows import load
from emulator.workflows_api import history
from emulator.workflows_api import variables as rendering
from emulator.workflows_api.history import History

EXECUTION = "projects/p/locations/l/workflows/w/executions/e"


def run(source):
    seconds = itertools.count(1)
    followed = History(EXECUTION, lambda: next(seconds) * 10**9)
    asyncio.run(load(source).execute(observer=followed))
    return followed


def metadata(entries, step_type):
    return [entry["stepEntryMetadata"] for entry in entries if entry["stepType"] == step_type]


def test_iterations_and_attempts_are_counted_from_one():
    source = """
- loop: {for: {value: v, in: [a, b], steps: [{say: {assign: [{x: "${v}"}]}}]}}
- guard:
    try: {steps: [{boom: {raise: oops}}]}
    retry: {predicate: "${retry.always}", max_retries: 1, backoff: {initial_delay: 0, max_delay: 0, multiplier: 1}}
    except: {as: e, steps: [{note: {assign: [{error: "${e}"}]}}]}
"""
    entries = run(source).entries()
    loops, tries = metadata(entries, "STEP_FOR_ITERATION"), metadata(entries, "STEP_TRY")
    assert [(each["progressType"], each["progressNumber"]) for each in loops] == [
        ("PROGRESS_TYPE_FOR", "1"),
        ("PROGRESS_TYPE_FOR", "2"),
    ]
    assert [(each["progressType"], each["progressNumber"]) for each in tries] == [
        ("PROGRESS_TYPE_RETRY", "1"),
        ("PROGRESS_TYPE_RETRY", "2"),
    ]


def test_branches_name_their_thread():
    source = """
- both:
    parallel:
      branches:
        - left: {steps: [{l: {assign: [{x: 1}]}}]}
        - right: {steps: [{r: {assign: [{y: 1}]}}]}
- each: {parallel: {for: {value: v, in: [a, b], steps: [{s: {assign: [{z: "${v}"}]}}]}}}
"""
    entries = run(source).entries()
    branches = metadata(entries, "STEP_PARALLEL_BRANCH_ENTRY")
    assert sorted(each["threadId"] for each in branches) == ["left", "right"]
    assert {each["progressType"] for each in branches} == {"PROGRESS_TYPE_PARALLEL_BRANCH"}
    iterations = metadata(entries, "STEP_FOR_ITERATION")
    assert {each["progressType"] for each in iterations} == {"PROGRESS_TYPE_PARALLEL_FOR"}
    assert sorted(each["progressNumber"] for each in iterations) == ["1", "2"]


def test_neighbours_share_a_parent():
    entries = run("[{a: {assign: [{x: 1}]}}, {b: {steps: [{c: {assign: [{x: 2}]}}]}}, {d: {return: 1}}]").entries()
    by_step = {entry["step"]: entry for entry in entries}
    links = {step: entry.get("navigationInfo", {}) for step, entry in by_step.items()}
    ids = {step: entry["entryId"] for step, entry in by_step.items()}
    assert (links["a"]["next"], links["d"]["previous"]) == (ids["b"], ids["b"])
    assert links["c"] == {"parent": ids["b"]}
    assert by_step["a"]["createTime"] == "1970-01-01T00:00:01Z"
    assert by_step["a"]["updateTime"] == "1970-01-01T00:00:02Z"


def test_only_the_first_entries_are_kept_but_the_last_step_is_known(monkeypatch):
    monkeypatch.setattr(history, "MAX_ENTRIES", 3)
    followed = run("[{a: {assign: [{x: 1}]}}, {b: {assign: [{x: 1}]}}, {c: {assign: [{x: 1}]}}, {d: {return: 1}}]")
    assert [entry["step"] for entry in followed.entries()] == ["a", "b", "c"]
    assert followed.current_steps() == [{"routine": "main", "step": "d"}]


def test_every_attempt_wait_and_handler_has_an_entry_that_ends():
    source = """
- guard:
    try: {steps: [{boom: {raise: oops}}]}
    retry: {predicate: "${retry.always}", max_retries: 1, backoff: {initial_delay: 0, max_delay: 0, multiplier: 1}}
    except: {as: e, steps: [{note: {raise: "${e}"}}]}
"""
    entries = [entry for entry in run(source).entries() if entry["step"] == "guard"]
    failed = ("STATE_FAILED", {"payload": '"oops"'})
    assert [(entry["stepType"], entry["state"], entry.get("exception")) for entry in entries] == [
        ("STEP_TRY_RETRY_EXCEPT", *failed),
        ("STEP_TRY", *failed),
        ("STEP_RETRY", "STATE_SUCCEEDED", None),
        ("STEP_TRY", *failed),
        ("STEP_RETRY", "STATE_SUCCEEDED", None),
        ("STEP_EXCEPT", *failed),
    ]
    assert [each["progressNumber"] for each in metadata(entries, "STEP_RETRY")] == ["1", "2"]


def test_a_try_that_succeeds_has_an_entry_that_says_so():
    source = """
- guard:
    try: {steps: [{fine: {assign: [{x: 1}]}}]}
    except: {as: e, steps: [{note: {assign: [{x: 2}]}}]}
"""
    entries = [entry for entry in run(source).entries() if entry["step"] == "guard"]
    assert [(entry["stepType"], entry["state"]) for entry in entries] == [
        ("STEP_TRY_RETRY_EXCEPT", "STATE_SUCCEEDED"),
        ("STEP_TRY", "STATE_SUCCEEDED"),
    ]


def detailed(source):
    followed = History(EXECUTION, detailed=True)
    asyncio.run(load(source).execute(observer=followed))
    return followed.entries()


def variables(entries, step):
    return [entry["variableData"]["variables"] for entry in entries if entry["step"] == step]


LOOP = """
- first: {assign: [{found: []}, {small: 1}]}
- loop: {for: {value: v, index: i, in: [a, b], steps: [{keep: {assign: [{found: "${list.concat(found, v)}"}]}}]}}
"""


def test_entries_of_a_detailed_history_have_the_variables_as_they_were_then():
    entries = detailed(LOOP)
    assert variables(entries, "first") == [{"found": [], "small": 1}]
    assert variables(entries, "keep") == [
        {"found": ["a"], "small": 1, "v": "a", "i": 0},
        {"found": ["a", "b"], "small": 1, "v": "b", "i": 1},
    ]
    assert variables(entries, "loop")[0] == {"found": ["a", "b"], "small": 1}
    assert [each["expectedIteration"] for each in metadata(entries, "STEP_FOR_ITERATION")] == ["2", "2"]


def test_a_basic_history_has_neither_variables_nor_expected_iterations():
    entries = run(LOOP).entries()
    assert not any("variableData" in entry for entry in entries)
    assert not any("expectedIteration" in each for each in metadata(entries, "STEP_FOR_ITERATION"))


def test_a_failed_step_and_a_handler_have_their_variables():
    source = """
- guard:
    try: {steps: [{set: {assign: [{x: 1}]}}, {boom: {raise: "${string(x)}"}}]}
    except: {as: e, steps: [{note: {assign: [{y: "${e}"}]}}]}
"""
    entries = detailed(source)
    assert variables(entries, "boom") == [{"x": 1}]
    assert variables(entries, "note") == [{"x": 1, "e": "1", "y": "1"}]


def test_branches_name_what_they_share_and_what_is_theirs():
    source = """
- shared: {assign: [{total: 0}]}
- each: {parallel: {shared: [total], for: {value: v, in: [3, 4], steps: [{add: {assign: [{total: "${total + v}"}]}}]}}}
"""
    entries = detailed(source)
    assert sorted(each["v"] for each in variables(entries, "add")) == [3, 4]
    assert max(each["total"] for each in variables(entries, "add")) == 7
    assert [each["expectedIteration"] for each in metadata(entries, "STEP_FOR_ITERATION")] == ["2", "2"]


def test_values_that_json_lacks_are_shown_as_text():
    source = """
- set:
    assign:
      - blob: '${text.encode("abc")}'
      - nothing: '${double("1e400") - double("1e400")}'
"""
    assert variables(detailed(source), "set") == [{"blob": "<bytes>", "nothing": "NaN"}]


def test_a_long_value_is_cut(monkeypatch):
    monkeypatch.setattr(rendering, "MAX_VALUE", 8)
    found = variables(detailed("[{set: {assign: [{long: [1000000, 2000000]}, {short: 1}]}}]"), "set")
    assert found == [{"long": "[1000000…", "short": 1}]


def test_beyond_an_executions_share_the_last_entries_keep_their_variables(monkeypatch):
    monkeypatch.setattr(rendering, "MAX_TOTAL", 19)
    entries = detailed("[{a: {assign: [{x: 12345678}]}}, {b: {assign: [{x: 12345678}]}}, {c: {assign: [{y: 1}]}}]")
    assert [entry["step"] for entry in entries if "variableData" in entry] == ["c"]


def test_a_loop_longer_than_a_machine_word_expects_no_number():
    source = "[{loop: {for: {value: v, range: [0, 9223372036854775807], steps: [{leave: {next: break}}]}}}]"
    (only,) = metadata(detailed(source), "STEP_FOR_ITERATION")
    assert "expectedIteration" not in only


def test_a_value_that_many_entries_name_is_stored_once():
    entries = detailed("[{a: {assign: [{x: [1, 2]}]}}, {b: {assign: [{y: 3}]}}, {c: {assign: [{z: 4}]}}]")
    packed = rendering.pack(entries)
    assert packed["values"] == [[1, 2], 3, 4]
    assert rendering.unpack(packed) == entries
