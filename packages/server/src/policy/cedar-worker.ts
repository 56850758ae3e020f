import { parentPort } from 'node:worker_threads'
import { newCedar } from './instance.ts'
import { type Job, runJob } from './worker-jobs.ts'

/**
 * The thread that reads unknown texts. Each job has its own copy of the engine, so a text that breaks one breaks nothing
 * else. An error ends the thread.
 */

parentPort?.on('message', (job: Job) => runJob(newCedar(), job, report => parentPort?.postMessage(report)))
