import { type ChildProcess, fork } from 'node:child_process'
import { type AddressInfo, createServer, type ListenOptions } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'
import { type Counts, createStagedoor, SummedMetrics } from '../server.ts'
import { EXIT } from './output.ts'
import { failedOutside, LAST_WORK, listen, portTaken, stopOnSignal } from './serving.ts'

/** A worker that exits within this time after its start counts as a failed start, in ms. */
const AT_ONCE = 10_000
/** After this many failed starts in a row, the supervisor gives up. */
const TOO_MANY = 10
/** Pause before a new worker is started, in ms. It doubles after each failed start, up to the maximum. */
const PAUSE = 100
const LONGEST_PAUSE = 5_000
/** Timeout for a worker to send its metrics, and timeout for a worker to learn that all have stopped listening; in ms. */
const COUNTING = 2_000
const DEAF_TIMEOUT = 1_000

/** Message from the supervisor to a worker. */
type Ask = 'stop' | 'all deaf' | 'counts'
/** Message from a worker: it serves, it has stopped listening, or its metrics. */
type Said = { serving: true } | { deaf: true } | { counts: Counts }

/** Runs one of several processes that serve at one address. The supervisor process starts it. */
export async function serveAsWorker(config: Config, worker: { number: number; of: number }): Promise<void> {
  const say = (said: Said) => process.connected && process.send?.(said, undefined, {}, () => {})
  const stagedoor = await createStagedoor(config, { worker })
  const failed = failedOutside(stagedoor.log)
  const [stop, allDeaf] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const hear = async (ask: Ask) => {
    if (ask === 'stop') stop.resolve()
    if (ask === 'all deaf') allDeaf.resolve()
    if (ask === 'counts') say({ counts: (await stagedoor.counts()) ?? [] })
  }
  // The supervisor is gone, so this worker stops. The service manager restarts all of them.
  process.on('message', hear).once('disconnect', stop.resolve)
  try {
    await listen(stagedoor, config)
    say({ serving: true })
    await Promise.race([stopOnSignal(), stop.promise, failed])
  } finally {
    await stagedoor.close(undefined, () => {
      say({ deaf: true })
      return Promise.race([allDeaf.promise, sleep(DEAF_TIMEOUT, undefined, { ref: false })])
    })
    if (process.connected) process.disconnect()
  }
}

/**
 * Starts workers, and replaces those that exit. Resolves when all workers have exited after a signal, or after too many
 * failed starts.
 */
export async function superviseWorkers(config: Config, count: number): Promise<void> {
  // Start and close one server first: it does the work that is needed once, and reports errors only once.
  const once = await createStagedoor(config)
  await once.close(0)
  const { log } = once
  const { host, port } = await freePlace(config)
  const metrics = config.metrics_port === undefined ? undefined : new SummedMetrics()
  const crew = new Crew(port, log, metrics)
  const asked = Promise.race([stopOnSignal(() => crew.kill()), failedOutside(log)])
  const metricsServer = await metrics
    ?.listen(config.metrics_port ?? 0, config.metrics_host, () => crew.count())
    .catch(error => {
      throw portTaken(error, config)
    })
  const { public_url, environment = 'production' } = config
  void crew
    .start(count)
    .then(() =>
      log.info({ host, port, metrics_port: metricsServer?.port, public_url, environment, workers: count }, 'serving'),
    )
  await Promise.race([asked, crew.gaveUp])
  log.info('stopping: finishing requests in flight')
  await crew.stop()
  metricsServer?.close()
  log.info('stopped')
}

/**
 * Returns the address and port of the workers. Workers share the port, and the kernel would share it with workers of
 * another server too. So first check that the port is free, without sharing it.
 */
async function freePlace(config: Config): Promise<{ host: string; port: number }> {
  const { host, port } = config
  const free = await listenedOnce({ host, port }).catch(error => {
    throw portTaken(error, config)
  })
  await listenedOnce({ host, port: free.port, reusePort: true }).catch(() => {
    throw new ConfigError('STAGEDOOR_WORKERS: on this system processes cannot share a port. Use Linux, or set it to 1.')
  })
  return { host: free.address, port: free.port }
}

async function listenedOnce(where: ListenOptions): Promise<AddressInfo> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(where, resolve)
  })
  const found = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return found
}

interface Member {
  number: number
  child: ChildProcess
  /** Start time, by `performance.now()`. */
  since: number
  isServing: boolean
  isDeaf: boolean
  /** Called when the worker has sent its metrics, or has exited. */
  counted: () => void
}

/** The workers of this process. */
class Crew {
  readonly #port: number
  readonly #log: Logger
  readonly #metrics: SummedMetrics | undefined
  readonly #members = new Set<Member>()
  readonly #gaveUp = Promise.withResolvers<void>()
  readonly #allServe = Promise.withResolvers<void>()
  readonly #empty = Promise.withResolvers<void>()
  #count = 0
  #started = 0
  #endedAtOnce = 0
  #isStopping = false

  constructor(port: number, log: Logger, metrics: SummedMetrics | undefined) {
    this.#port = port
    this.#log = log
    this.#metrics = metrics
  }

  /** Resolves after too many failed starts in a row: no more workers are started. */
  get gaveUp(): Promise<void> {
    return this.#gaveUp.promise
  }

  /** Starts this number of workers, and keeps it. @returns resolves when all of them serve */
  start(count: number): Promise<void> {
    this.#count = count
    for (let i = 0; i < count; i++) this.#startOne()
    return this.#allServe.promise
  }

  /** Collects the metrics of all workers. For a worker that does not answer, its previous metrics are used. */
  async count(): Promise<void> {
    const asked = this.#serving().map(member => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const before = member.counted
      member.counted = () => {
        before()
        resolve()
      }
      tell(member, 'counts')
      return promise
    })
    await Promise.race([Promise.all(asked), sleep(COUNTING, undefined, { ref: false })])
  }

  /** Stops all workers after they finish their requests in flight. */
  async stop(): Promise<void> {
    this.#isStopping = true
    const late = setTimeout(() => {
      process.exitCode = EXIT.failed
      this.kill()
    }, LAST_WORK)
    for (const member of this.#members) {
      if (member.isServing) tell(member, 'stop')
      else member.child.kill('SIGKILL')
    }
    if (this.#members.size > 0) await this.#empty.promise
    clearTimeout(late)
  }

  kill(): void {
    for (const { child } of this.#members) child.kill('SIGKILL')
  }

  #startOne(): void {
    const number = ++this.#started
    const [, main = '', ...args] = process.argv
    const child = fork(main, [...args, '--worker', String(number)], {
      env: { ...process.env, STAGEDOOR_PORT: String(this.#port) },
    })
    const since = performance.now()
    const member: Member = { number, child, since, isServing: false, isDeaf: false, counted: () => {} }
    this.#members.add(member)
    // The exit event handles this.
    child.on('error', () => {})
    child.once('exit', (code, signal) => this.#ended(member, code, signal))
    child.on('message', (said: Said) => this.#heard(member, said))
  }

  #heard(member: Member, said: Said): void {
    if ('serving' in said) {
      member.isServing = true
      if (this.#serving().length === this.#count) this.#allServe.resolve()
    } else if ('deaf' in said) {
      member.isDeaf = true
      // If only this worker is stopping, it need not wait for the others.
      if (this.#isStopping) this.#tellIfAllAreDeaf()
      else tell(member, 'all deaf')
    } else {
      this.#metrics?.learn(member.number, said.counts)
      member.counted()
      member.counted = () => {}
    }
  }

  #serving(): Member[] {
    return [...this.#members].filter(({ isServing }) => isServing)
  }

  /** Workers close their connections only when none listens any more; otherwise callers could reconnect to one that is about to stop. */
  #tellIfAllAreDeaf(): void {
    const serving = this.#serving()
    if (serving.every(({ isDeaf }) => isDeaf)) for (const member of serving) tell(member, 'all deaf')
  }

  #ended(member: Member, code: number | null, signal: string | null): void {
    const { number, since, isServing, child } = member
    this.#members.delete(member)
    member.counted()
    void this.#metrics?.ended(number)
    if (this.#isStopping) {
      if (isServing && code !== 0) process.exitCode = EXIT.failed
      this.#tellIfAllAreDeaf()
      if (this.#members.size === 0) this.#empty.resolve()
      return
    }
    const lived = Math.round(performance.now() - since)
    this.#endedAtOnce = lived < AT_ONCE ? this.#endedAtOnce + 1 : 0
    const which = { ended: number, ended_pid: child.pid, code, signal, lived_ms: lived }
    if (this.#endedAtOnce >= TOO_MANY) {
      this.#log.fatal(which, 'workers exit soon after they start; stopping')
      process.exitCode = EXIT.failed
      this.#gaveUp.resolve()
      return
    }
    const pause = Math.min(PAUSE * 2 ** Math.max(0, this.#endedAtOnce - 1), LONGEST_PAUSE)
    this.#log.error({ ...which, pause_ms: pause }, 'a worker exited; starting another')
    setTimeout(() => {
      if (!this.#isStopping) this.#startOne()
    }, pause)
  }
}

/** Sends a message to the worker, if it is still connected. */
function tell({ child }: Member, ask: Ask): void {
  if (child.connected) child.send(ask, () => {})
}
