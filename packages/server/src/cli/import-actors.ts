import { isDeepStrictEqual } from 'node:util'
import { type Stagedoor as Client, StagedoorError } from '@stagedoor/sdk'
import type { RegisteredActor } from '@stagedoor/sdk/models/components'
import type { Command } from 'commander'
import { PutActorRequestBody } from '../contract/actors.ts'
import { remote } from './environment.ts'
import type { RowFormat } from './import-file.ts'
import {
  camel,
  camelCased,
  type ImportOptions,
  type Outcome,
  Rejected,
  rejection,
  runImport,
  withImportOptions,
  withRetry,
} from './import-run.ts'

type NewActor = Parameters<Client['actors']['put']>[1]

const FIELDS = Object.keys(PutActorRequestBody.shape)

const FORMAT: RowFormat = {
  noun: 'actor',
  fields: ['sub', ...FIELDS],
  lists: ['teams', 'organizations'],
  separator: /[;,\n]/,
  booleans: ['disabled'],
  numbers: ['level'],
}

/** Adds the command `import` to a group. */
export function addActorImport(group: Command): void {
  withImportOptions(
    group
      .command('import <file>')
      .description('register actors from a file: JSON lines (.jsonl), or CSV with a header line (.csv)'),
    'actors',
  )
    .addHelpText(
      'after',
      `
Fields: sub, and those of PUT /v1/actors/{sub}: ${FIELDS.join(', ')}. \`kind\` is operator if it is empty.
CSV is UTF-8, separated by commas, semicolons or tabs. Several teams in one value are separated by ";" or ",". Booleans
are true or false, yes or no, 1 or 0.

Invalid rows are listed with their line and the reason; all other rows are imported. Registered actors are not changed
without --update, so you can run an import again. Exit code 1: some rows could not be imported.`,
    )
    .action(async (file: string, options: ImportOptions) => {
      const actors = new ActorImport(remote(), options)
      await runImport(file, options, FORMAT, fields => actors.import(fields))
    })
}

class ActorImport {
  readonly #client: Client
  readonly #options: ImportOptions
  /** The subs of earlier rows. */
  readonly #seen = new Set<string>()

  constructor(client: Client, options: ImportOptions) {
    this.#client = client
    this.#options = options
  }

  async import({ sub, ...row }: Record<string, unknown>): Promise<Outcome> {
    if (typeof sub !== 'string' || sub === '') throw new Rejected('it has no sub')
    // Requests are concurrent, so which of two rows would win is open.
    if (this.#seen.has(sub)) throw new Rejected(`an earlier row has the sub ${JSON.stringify(sub)} too`)
    this.#seen.add(sub)
    try {
      return await this.#put(sub, row)
    } catch (error) {
      throw error instanceof StagedoorError ? rejection(error) : error
    }
  }

  async #put(sub: string, row: Record<string, unknown>): Promise<Outcome> {
    const found = await this.#find(sub)
    if (found && !this.#options.update) {
      assertValid({ ...fieldsOf(found), ...row })
      return 'existing'
    }
    const actor = { ...(found ? fieldsOf(found) : { kind: 'operator' }), ...row }
    assertValid(actor)
    if (found && isDeepStrictEqual(actor, fieldsOf(found))) return 'existing'
    if (!this.#options.dryRun)
      await withRetry(() => this.#client.actors.put(sub, camelCased(actor) as unknown as NewActor))
    return found ? 'updated' : 'created'
  }

  async #find(sub: string): Promise<RegisteredActor | undefined> {
    try {
      return await withRetry(() => this.#client.actors.get(sub))
    } catch (error) {
      if (error instanceof StagedoorError && error.status === 404) return undefined
      throw error
    }
  }
}

/** Returns what is registered, as PUT takes it. */
function fieldsOf(actor: RegisteredActor): Record<string, unknown> {
  const current = actor as unknown as Record<string, unknown>
  return Object.fromEntries(FIELDS.map(name => [name, current[camel(name)]]))
}

/** Checks a row before the server does, so that a dry run finds the same mistakes. @throws Rejected */
function assertValid(actor: Record<string, unknown>): void {
  const [issue] = PutActorRequestBody.safeParse(actor).error?.issues ?? []
  if (issue) throw new Rejected(`${issue.path.join('.') || 'the row'}: ${issue.message}`)
}
