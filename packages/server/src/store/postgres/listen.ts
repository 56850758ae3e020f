import pg from 'pg'

/** Interval between checks of the listening connection, in ms. */
const CHECK_INTERVAL = 10_000
/** Pause before a new listening connection, in ms. */
const RECONNECT_PAUSE = 500

/**
 * Receives PostgreSQL's notifications on one channel, on a separate connection while there are listeners. While that
 * connection is lost no notifications arrive; after a reconnect every listener is called once.
 */
export class Notifications {
  readonly #config: pg.PoolConfig
  readonly #channel: string
  readonly #listeners = new Set<() => void>()
  #disconnect = () => {}

  constructor(config: pg.PoolConfig, channel: string) {
    this.#config = config
    this.#channel = channel
  }

  /** Adds a listener. @returns a function that removes it */
  add(listener: () => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) void this.#listen()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#disconnect()
    }
  }

  /** Removes all listeners and closes the connection. */
  close(): void {
    this.#listeners.clear()
    this.#disconnect()
  }

  async #listen(): Promise<void> {
    const call = () => {
      for (const listener of this.#listeners) listener()
    }
    while (this.#listeners.size > 0) {
      const client = new pg.Client(this.#config)
      const lost = new Promise<void>(resolve => client.once('end', resolve).on('error', () => resolve()))
      this.#disconnect = () => void client.end().catch(() => {})
      try {
        await client.connect()
        client.on('notification', call)
        await client.query(`listen ${this.#channel}`)
        call()
        // A dead connection may not report an error, so check it regularly.
        const check = setInterval(() => client.query('select').catch(() => client.end()), CHECK_INTERVAL).unref()
        await lost.finally(() => clearInterval(check))
      } catch {
        await client.end().catch(() => {})
      }
      if (this.#listeners.size > 0) await new Promise(resolve => setTimeout(resolve, RECONNECT_PAUSE).unref())
    }
  }
}
