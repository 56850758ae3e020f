import { parentPort, workerData } from 'node:worker_threads'
import { newCedar } from './instance.ts'
import { type Job, runJob } from './worker-jobs.ts'

/** The thread that reads unknown texts. It does one job and ends, so a text that breaks the engine breaks nothing else. */

runJob(newCedar(), workerData as Job, report => parentPort?.postMessage(report))
