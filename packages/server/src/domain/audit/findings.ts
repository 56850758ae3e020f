/** One disagreement. */
export interface Finding {
  kind: 'tampered' | 'unchecked'
  message: string
  /** First and last entry among which the place is, if it is known. */
  from?: number
  to?: number
}

/** Compares what only the database has. The store of the log implements it. */
export interface DatabaseChecks {
  /**
   * Compares the columns of events with their texts.
   * @param from leaf index of the first
   * @param entries what the reader's `entries` returned
   */
  columns(from: number, entries: readonly { text: string; personal: string | null }[]): Promise<readonly Finding[]>
  /** Finds events that are in the database, but not in the log. */
  outside(): Promise<readonly Finding[]>
}

/** Findings that are kept. The others are only counted. */
const MAX_FINDINGS = 100

/** Collects what a verification finds. */
export class Findings {
  readonly #kept: Finding[] = []
  count = 0
  #result: 'proved' | 'tampered' | 'unchecked' = 'proved'
  readonly #messages = new Set<string>()

  get result(): 'proved' | 'tampered' | 'unchecked' {
    return this.#result
  }

  /** What was found, what was tampered with first. */
  get list(): readonly Finding[] {
    return [...this.#kept].sort((a, b) => Number(a.kind === 'unchecked') - Number(b.kind === 'unchecked'))
  }

  get hasTampered(): boolean {
    return this.#result === 'tampered'
  }

  tampered(message: string, place: { from?: number; to?: number } = {}): void {
    this.add([{ kind: 'tampered', message, ...place }])
  }

  unchecked(message: string): void {
    this.add([{ kind: 'unchecked', message }])
  }

  /** Adds findings. The same message counts once. */
  add(findings: readonly Finding[]): void {
    for (const finding of findings) {
      if (this.#messages.has(finding.message)) continue
      if (this.#kept.length < MAX_FINDINGS) {
        this.#kept.push(finding)
        this.#messages.add(finding.message)
      }
      this.count++
      if (this.#result !== 'tampered') this.#result = finding.kind
    }
  }
}
