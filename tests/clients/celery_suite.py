"""Celery against a server as its broker and result backend: `celery_suite.py PORT`. Starts two workers, prints one line
per check; exits 1 if any failed."""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ["BROKER"] = f"redis://127.0.0.1:{int(sys.argv[1])}"
sys.path.insert(0, HERE)

from celery import chain, chord, group  # noqa: E402
from celery.exceptions import TaskRevokedError  # noqa: E402

import celery_tasks as tasks  # noqa: E402

WAIT = 20
checks = []


def check(function):
    checks.append(function)
    return function


@check
def workers_answer_a_broadcast():
    deadline = time.time() + WAIT
    while len(tasks.app.control.ping(timeout=0.5)) < 2:
        assert time.time() < deadline, "two workers did not answer"


@check
def results_come_back():
    results = [tasks.add.delay(n, 1) for n in range(30)]
    assert [r.get(timeout=WAIT) for r in results] == [n + 1 for n in range(30)]


@check
def failures_are_reported():
    result = tasks.fails.delay()
    try:
        result.get(timeout=WAIT)
    except KeyError as error:
        assert "on purpose" in str(error) and result.state == "FAILURE" and "on purpose" in result.traceback
    else:
        raise AssertionError("no error")


@check
def a_task_that_fails_is_tried_again():
    assert tasks.flaky.delay(3).get(timeout=WAIT) == 3
    try:
        tasks.flaky.delay(9).get(timeout=WAIT)
    except ValueError as error:
        assert "attempt 4 failed" in str(error)
    else:
        raise AssertionError("no error")


@check
def a_countdown_is_waited_for():
    start = time.time()
    assert tasks.when.apply_async(countdown=1).get(timeout=WAIT) - start >= 0.99


@check
def groups_chains_and_chords():
    assert group(tasks.add.s(n, n) for n in range(10))().get(timeout=WAIT) == [2 * n for n in range(10)]
    assert chain(tasks.add.s(1, 2), tasks.add.s(10), tasks.add.s(100))().get(timeout=WAIT) == 113
    assert chord((tasks.add.s(n, 1) for n in range(10)), tasks.total.s())().get(timeout=WAIT) == 55


@check
def states_are_seen_while_a_task_runs():
    result = tasks.reports.delay()
    seen = set()
    deadline = time.time() + WAIT
    while not result.ready() and time.time() < deadline:
        seen.add((result.state, str(result.info)))
        time.sleep(0.01)
    assert ("PROGRESS", "{'at': 50}") in seen and result.get(timeout=WAIT) == "done"


@check
def a_revoked_task_does_not_run():
    result = tasks.sleeps.apply_async((0.1,), countdown=2)
    result.revoke()
    try:
        result.get(timeout=WAIT)
    except TaskRevokedError:
        return
    raise AssertionError("it ran")


@check
def inspection_and_purge():
    replies = tasks.app.control.inspect(timeout=2).registered()
    assert len(replies) == 2 and all("celery_tasks.add" in names for names in replies.values())
    tasks.add.apply_async((1, 2), queue="nobody-reads-this")
    with tasks.app.connection_for_read() as connection:
        assert connection.default_channel.queue_purge("nobody-reads-this") == 1


def worker(name):
    command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-n", f"{name}@suite", "-c", "2"]
    environment = dict(os.environ, C_FORCE_ROOT="1")
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command + ["-P", "threads", "-l", "ERROR"], cwd=HERE, env=environment, stdout=quiet)


def main():
    workers = [worker("one"), worker("two")]
    failed = 0
    try:
        for function in checks:
            try:
                function()
                print(f"ok {function.__name__}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED {function.__name__}: {type(error).__name__}: {error}", flush=True)
                if function is workers_answer_a_broadcast:
                    print("FAILED everything_else: there are no workers", flush=True)
                    return 1
        tasks.app.control.shutdown()
        for process in workers:
            process.wait(timeout=WAIT)
        print("ok workers_shut_down")
    except subprocess.TimeoutExpired:
        failed += 1
        print("FAILED workers_shut_down: they go on")
    finally:
        for process in workers:
            process.kill()
    return 1 if failed else 0


sys.exit(main())
