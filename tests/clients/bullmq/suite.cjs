// BullMQ against a server: `suite.cjs PORT`. Prints one line per check; exits 1 if any failed.
'use strict';

const assert = require('node:assert');
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
const checks = [];
const check = (name, run) => checks.push([name, run]);

// A queue of its own for each check, with what was opened to close afterwards.
function setup(name) {
  const open = [];
  const keep = (thing) => { open.push(thing); return thing; };
  const queue = keep(new Queue(name, { connection }));
  return {
    queue,
    events: keep(new QueueEvents(name, { connection })),
    worker: (run, options = {}) => keep(new Worker(name, run, { connection, ...options })),
    keep,
    close: async () => {
      await Promise.all(open.filter((thing) => thing !== queue).map((thing) => thing.close()));
      await queue.obliterate({ force: true });
      await queue.close();
    },
  };
}

const WAIT_MS = 20000;

check('jobs give results', async (s) => {
  s.worker(async (job) => job.data.a + job.data.b);
  await s.events.waitUntilReady();
  const jobs = await s.queue.addBulk([...Array(20).keys()].map((n) => ({ name: 'add', data: { a: n, b: 1 } })));
  const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(s.events, WAIT_MS)));
  assert.deepStrictEqual(results, jobs.map((_, n) => n + 1));
  assert.strictEqual(await s.queue.getCompletedCount(), 20);
});

check('a job that fails is tried again', async (s) => {
  const attempts = {};
  s.worker(async (job) => {
    attempts[job.id] = (attempts[job.id] ?? 0) + 1;
    await job.log(`attempt ${attempts[job.id]}`);
    if (attempts[job.id] < job.data.succeedsAt) throw new Error(`attempt ${attempts[job.id]} failed`);
    return attempts[job.id];
  });
  await s.events.waitUntilReady();
  const options = { attempts: 3, backoff: { type: 'fixed', delay: 50 } };
  const third = await s.queue.add('flaky', { succeedsAt: 3 }, options);
  const never = await s.queue.add('flaky', { succeedsAt: 9 }, options);
  assert.strictEqual(await third.waitUntilFinished(s.events, WAIT_MS), 3);
  await assert.rejects(never.waitUntilFinished(s.events, WAIT_MS), /attempt 3 failed/);
  const failed = (await s.queue.getFailed()).map((job) => [job.id, job.attemptsMade, job.failedReason]);
  assert.deepStrictEqual(failed, [[never.id, 3, 'attempt 3 failed']]);
  assert.strictEqual((await s.queue.getJobLogs(never.id)).count, 3);
});

check('a delayed job waits for its time', async (s) => {
  s.worker(async () => Date.now());
  await s.events.waitUntilReady();
  const start = Date.now();
  const late = await s.queue.add('late', {}, { delay: 700 });
  const soon = await s.queue.add('soon', {});
  assert.strictEqual(await s.queue.getDelayedCount(), 1);
  const [ranLate, ranSoon] =
    await Promise.all([late, soon].map((job) => job.waitUntilFinished(s.events, WAIT_MS)));
  assert.ok(ranLate - start >= 690 && ranSoon < ranLate, `${ranLate - start} ms, ${ranSoon - start} ms`);
});

check('many workers run each job once', async (s) => {
  const runs = new Map();
  const done = new Promise((resolve) => {
    for (let w = 0; w < 6; w++) {
      s.worker(async (job) => {
        runs.set(job.data.n, (runs.get(job.data.n) ?? 0) + 1);
        if (runs.size === 500) resolve();
      }, { concurrency: 5 });
    }
  });
  await s.queue.addBulk([...Array(500).keys()].map((n) => ({ name: 'one', data: { n } })));
  await done;
  assert.ok([...runs.values()].every((times) => times === 1));
});

check('priorities and LIFO decide the order', async (s) => {
  await s.queue.pause();
  const order = [];
  const add = (name, options) => s.queue.add(name, {}, options);
  await add('low', { priority: 10 });
  await add('high', { priority: 1 });
  await add('middle', { priority: 5 });
  await add('plain');
  await add('last in', { lifo: true });
  assert.strictEqual(await s.queue.isPaused(), true);
  const done = new Promise((resolve) => {
    s.worker(async (job) => { order.push(job.name); if (order.length === 5) resolve(); });
  });
  await s.queue.resume();
  await done;
  assert.deepStrictEqual(order, ['last in', 'plain', 'high', 'middle', 'low']);
});

check('a flow runs children before their parent', async (s) => {
  const flow = s.keep(new FlowProducer({ connection }));
  s.worker(async (job) => {
    if (job.name !== 'parent') return job.data.n * 10;
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((a, b) => a + b, 0);
  });
  await s.events.waitUntilReady();
  const queueName = s.queue.name;
  const children = [1, 2, 3].map((n) => ({ name: 'child', data: { n }, queueName }));
  const tree = await flow.add({ name: 'parent', queueName, children });
  assert.strictEqual(await tree.job.waitUntilFinished(s.events, WAIT_MS), 60);
});

check('a rate limit holds', async (s) => {
  const times = [];
  const done = new Promise((resolve) => {
    s.worker(async () => { times.push(Date.now()); if (times.length === 6) resolve(); },
      { limiter: { max: 2, duration: 300 } });
  });
  await s.queue.addBulk([...Array(6).keys()].map((n) => ({ name: 'limited', data: { n } })));
  await done;
  assert.ok(times[5] - times[0] >= 550, `six jobs in ${times[5] - times[0]} ms`);
});

check('a repeated job comes again', async (s) => {
  const times = [];
  const done = new Promise((resolve) => {
    s.worker(async () => { times.push(Date.now()); if (times.length === 3) resolve(); });
  });
  await s.queue.upsertJobScheduler('tick', { every: 200 }, { name: 'tick' });
  await done;
  assert.strictEqual((await s.queue.getJobSchedulers()).length, 1);
  assert.strictEqual(await s.queue.removeJobScheduler('tick'), true);
});

check('progress, counts and removal', async (s) => {
  const seen = [];
  s.events.on('progress', ({ data }) => seen.push(data));
  s.worker(async (job) => { await job.updateProgress(50); await job.updateProgress({ at: 100 }); });
  await s.events.waitUntilReady();
  const job = await s.queue.add('moves', {}, { jobId: 'named' });
  const again = await s.queue.add('moves', {}, { jobId: 'named' });
  assert.strictEqual(again.id, 'named');
  await job.waitUntilFinished(s.events, WAIT_MS);
  while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepStrictEqual(seen, [50, { at: 100 }]);
  const counts = await s.queue.getJobCounts();
  assert.strictEqual(counts.completed, 1);
  assert.deepStrictEqual(await s.queue.clean(0, 10, 'completed'), ['named']);
  assert.strictEqual(await s.queue.getJob('named'), undefined);
});

check('a worker that stalls loses its job to another', async (s) => {
  const options = { lockDuration: 300, stalledInterval: 200, maxStalledCount: 1 };
  let started;
  const hangs = new Promise((resolve) => { started = resolve; });
  const dead = s.worker(() => new Promise(() => started()), { ...options, skipLockRenewal: true });
  dead.on('error', () => {});
  await s.events.waitUntilReady();
  const job = await s.queue.add('stalls', {});
  await hangs;
  await dead.close(true);
  s.worker(async () => 'rescued', options);
  assert.strictEqual(await job.waitUntilFinished(s.events, WAIT_MS), 'rescued');
});

async function main() {
  let failed = 0;
  for (const [i, [name, run]] of checks.entries()) {
    const s = setup(`check-${i}`);
    try {
      await Promise.race([
        run(s),
        new Promise((_, reject) => setTimeout(() => reject(new Error('no end in sight')), WAIT_MS).unref()),
      ]);
      await s.close();
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}: ${String(error.stack).split('\n').slice(0, 4).join(' ')}`);
    }
  }
  process.exit(failed > 0 ? 1 : 0);
}

main();
