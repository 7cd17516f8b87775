"""Tasks for the Celery suite, which gives the server's address in BROKER."""
import os
import time

from celery import Celery

URL = os.environ["BROKER"]
app = Celery("celery_tasks", broker=URL + "/0", backend=URL + "/1")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    result_extended=True,
    broker_transport_options={"queue_order_strategy": "priority", "priority_steps": [0, 5, 9]},
)


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def flaky(self, succeeds_at):
    if self.request.retries + 1 < succeeds_at:
        raise self.retry(countdown=0.05, exc=ValueError(f"attempt {self.request.retries + 1} failed"))
    return self.request.retries + 1


@app.task
def fails():
    raise KeyError("on purpose")


@app.task
def when():
    return time.time()


@app.task(bind=True)
def reports(self):
    self.update_state(state="PROGRESS", meta={"at": 50})
    time.sleep(0.5)
    return "done"


@app.task
def sleeps(seconds):
    time.sleep(seconds)
    return "slept"
