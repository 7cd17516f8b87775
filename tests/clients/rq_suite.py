"""RQ against a server: `rq_suite.py PORT`. Starts three workers, prints one line per check; exits 1 if any failed."""
import os
import subprocess
import sys
import time
from datetime import timedelta

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import redis  # noqa: E402
from rq import Queue, Retry, Worker  # noqa: E402
from rq.command import send_shutdown_command, send_stop_job_command  # noqa: E402
from rq.job import Dependency, Job, JobStatus  # noqa: E402
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry  # noqa: E402

import rq_tasks as tasks  # noqa: E402

URL = f"redis://127.0.0.1:{int(sys.argv[1])}"
WAIT = 20
WORKERS = 3
connection = redis.from_url(URL)
queue = Queue("default", connection=connection)
checks = []


def check(function):
    checks.append(function)
    return function


def until(what, holds):
    deadline = time.time() + WAIT
    while not holds():
        assert time.time() < deadline, f"{what} did not happen"
        time.sleep(0.01)


def finished(job):
    until(f"the end of {job.func_name}", lambda: job.get_status(refresh=True) in (JobStatus.FINISHED, JobStatus.FAILED))
    return job


@check
def workers_register():
    until("the start of all workers", lambda: Worker.count(connection=connection) == WORKERS)


@check
def results_come_back():
    jobs = [queue.enqueue(tasks.add, n, 1) for n in range(20)]
    assert [finished(job).return_value() for job in jobs] == [n + 1 for n in range(20)]
    assert jobs[0].latest_result(timeout=1).return_value == 1


@check
def a_result_can_be_waited_for():
    assert queue.enqueue(tasks.add, 40, 2).latest_result(timeout=WAIT).return_value == 42


@check
def jobs_are_spread_over_workers():
    jobs = [queue.enqueue(tasks.sleeps, 0.2) for _ in range(WORKERS)] + [queue.enqueue(tasks.pid) for _ in range(20)]
    assert len({finished(job).return_value() for job in jobs[WORKERS:]}) > 1


@check
def failures_are_reported():
    job = finished(queue.enqueue(tasks.fails))
    assert job.is_failed and "on purpose" in job.latest_result().exc_string
    registry = FailedJobRegistry(queue=queue)
    assert job.id in registry.get_job_ids()
    registry.requeue(job.id)
    until("another failure", lambda: len(job.results()) == 2)


@check
def a_job_that_fails_is_tried_again():
    connection.delete("suite:attempts")
    job = queue.enqueue(tasks.flaky, URL, 3, retry=Retry(max=3))
    until("success", lambda: job.get_status(refresh=True) == JobStatus.FINISHED)
    assert job.return_value() == 3


@check
def a_delayed_job_waits_for_its_time():
    start = time.time()
    job = queue.enqueue_in(timedelta(seconds=2), tasks.when)
    assert job.id in ScheduledJobRegistry(queue=queue).get_job_ids()
    # RQ cuts times to whole seconds.
    assert finished(job).return_value() - start >= 0.99


@check
def dependencies_are_waited_for():
    first = queue.enqueue(tasks.sleeps, 0.3)
    second = queue.enqueue(tasks.when, depends_on=first)
    bad = queue.enqueue(tasks.fails)
    third = queue.enqueue(tasks.add, 1, 1, depends_on=Dependency(jobs=[bad], allow_failure=True))
    assert second.get_status() == JobStatus.DEFERRED
    ended = finished(second).return_value()
    first.refresh()
    assert first.is_finished and ended >= first.ended_at.timestamp()
    assert finished(third).return_value() == 2


@check
def many_at_once_in_one_pipeline():
    prepared = [Queue.prepare_data(tasks.add, (n, n)) for n in range(50)]
    jobs = queue.enqueue_many(prepared)
    assert [finished(job).return_value() for job in jobs] == [2 * n for n in range(50)]


@check
def a_running_job_is_stopped():
    job = queue.enqueue(tasks.sleeps, 60)
    until("the start", lambda: job.refresh() or (job.get_status() == JobStatus.STARTED and job.worker_name))
    assert len(StartedJobRegistry(queue=queue)) == 1
    send_stop_job_command(connection, job.id)
    until("the stop", lambda: job.get_status(refresh=True) == JobStatus.STOPPED)


@check
def jobs_are_cancelled_and_deleted():
    job = queue.enqueue_in(timedelta(hours=1), tasks.when)
    job.cancel()
    assert job.get_status() == JobStatus.CANCELED
    job.delete()
    assert not Job.exists(job.id, connection=connection)


def worker(number):
    command = [sys.executable, "-m", "rq.cli", "worker", "--url", URL, "--name", f"worker-{number}", "--with-scheduler"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command + ["--quiet", "default"], cwd=HERE, stdout=quiet, stderr=quiet)


def main():
    workers = [worker(number) for number in range(WORKERS)]
    failed = 0
    try:
        for function in checks:
            try:
                function()
                print(f"ok {function.__name__}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED {function.__name__}: {type(error).__name__}: {error}", flush=True)
        for one in Worker.all(connection=connection):
            send_shutdown_command(connection, one.name)
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
