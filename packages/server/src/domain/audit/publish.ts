import { HistoryError, type LogReader, type StoredCheckpoint } from './log-reader.ts'
import { parseNote } from './signed-note.ts'

/** Keeps checkpoints outside the database: a file, a directory, a witness. */
export interface CheckpointHolder {
  /** How messages name it. */
  name: string
  /**
   * Checks that the log contains what the holder has.
   * @throws HistoryError
   */
  check(reader: LogReader, newest: StoredCheckpoint | undefined): Promise<void>
  /**
   * Takes a checkpoint.
   * @returns the line of its cosignature, if it signs
   * @throws HistoryError if it holds another history
   */
  hold(reader: LogReader, newest: StoredCheckpoint): Promise<string | undefined>
}

export interface PublisherOptions {
  reader: LogReader
  holders: readonly CheckpointHolder[]
  /** Stores the signature lines of witnesses. */
  setCosignatures(size: number, lines: string): Promise<void>
  /** A holder has another history than the log. */
  onTampered(reason: string): void
  /** A holder could not take a checkpoint. The next one covers it. */
  onFailure(holder: string, error: unknown): void
}

/** Attempts to add a line while other nodes add theirs. */
const ATTEMPTS = 3

/**
 * Gives each new checkpoint to the holders. They do not wait for each other: while one is slow, it misses checkpoints, and
 * the next one that it gets covers them.
 */
export class Publisher {
  readonly #options: PublisherOptions
  /** Size of the checkpoint that each holder has. */
  readonly #held = new Map<CheckpointHolder, number>()
  readonly #running = new Map<CheckpointHolder, Promise<void>>()
  /** The last addition of a cosignature. */
  #lastLine: Promise<void> = Promise.resolve()

  constructor(options: PublisherOptions) {
    this.#options = options
  }

  /** Checks at start-up that the log contains what the holders have. @throws HistoryError */
  async check(): Promise<void> {
    const { reader, holders } = this.#options
    if (holders.length === 0) return
    const [newest] = await reader.checkpoints(undefined, 1)
    for (const holder of holders) await holder.check(reader, newest)
  }

  /** Gives the newest checkpoint to the holders that do not have it. Does not wait for them. */
  async tick(): Promise<void> {
    const { reader, holders } = this.#options
    if (holders.length === 0) return
    const [newest] = await reader.checkpoints(undefined, 1)
    if (!newest) return
    for (const holder of holders) {
      if (this.#running.has(holder) || this.#held.get(holder) === newest.size) continue
      const done = this.#give(holder, newest).finally(() => this.#running.delete(holder))
      this.#running.set(holder, done)
    }
  }

  /** Waits until no holder is at work. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.values())
  }

  async #give(holder: CheckpointHolder, newest: StoredCheckpoint): Promise<void> {
    const { reader, onTampered, onFailure } = this.#options
    try {
      const line = await holder.hold(reader, newest)
      if (line !== undefined) {
        this.#lastLine = this.#lastLine.catch(() => {}).then(() => this.#addLine(newest.size, line))
        await this.#lastLine
      }
      this.#held.set(holder, newest.size)
    } catch (error) {
      if (error instanceof HistoryError) onTampered(error.message)
      else onFailure(holder.name, error)
    }
  }

  /** Adds a line to a checkpoint. Another node may add one at the same time, so it looks whether the line is there. */
  async #addLine(size: number, line: string): Promise<void> {
    const { reader, setCosignatures } = this.#options
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const [row] = await reader.checkpoints(size + 1, 1)
      if (row?.size !== size || hasSigner(row, line)) return
      await setCosignatures(size, row.cosignatures + line)
    }
  }
}

/** Returns whether a checkpoint has a line of the key that signed this one. */
function hasSigner({ note, cosignatures }: StoredCheckpoint, line: string): boolean {
  const { text } = parseNote(note)
  const keys = (lines: string) =>
    lines === '' ? [] : parseNote(`${text}\n${lines}`).signatures.map(({ name, key_id }) => `${name}+${key_id}`)
  const [key] = keys(line)
  return keys(cosignatures).some(each => each === key)
}
