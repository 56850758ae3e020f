import { StagedoorError } from '@stagedoor/sdk'
import { databaseChecks } from '../domain/audit/database-checks.ts'
import type { DatabaseChecks } from '../domain/audit/findings.ts'
import { type LogReader, MissingError } from '../domain/audit/log-reader.ts'
import { FormatError, TILE_WIDTH } from '../domain/audit/merkle.ts'
import { parseCheckpoint } from '../domain/audit/signed-note.ts'
import { storedLog } from '../domain/audit/stored-log.ts'
import { decodeEntries, type TileLevel, tilePath } from '../domain/audit/tiles.ts'
import { openDirectory } from '../publish/directory.ts'
import { remote, withInstance } from './environment.ts'
import { UsageError } from './output.ts'

/** Where a command reads the log. */
export interface SourceOptions {
  directory?: string
  database?: boolean
}

/** Opens the log that the options name: a directory, the database, or by default the running server. */
export function withLog<T>(
  { directory, database }: SourceOptions,
  work: (reader: LogReader, has: { personal: boolean; database?: DatabaseChecks }) => Promise<T>,
): Promise<T> {
  if (directory !== undefined && database) throw new UsageError('Use --directory or --database, not both.')
  if (database)
    return withInstance(({ services: { store } }) =>
      work(storedLog(store.auditLog), { personal: true, database: databaseChecks(store.auditLog) }),
    )
  if (directory === undefined) return work(serverLog(), { personal: false })
  return openDirectory(directory).then(reader => work(reader, { personal: reader.hasPersonal }))
}

/** Reads the log of a running server. It has no personal texts. */
function serverLog(): LogReader {
  const client = remote()
  const tile = async (level: TileLevel, n: number, width: number) => {
    const path = tilePath(level, n, width)
    try {
      return await client.audit.tile(path.slice('tile/'.length))
    } catch (error) {
      if (error instanceof StagedoorError && (error.status === 404 || error.status === 410))
        throw new MissingError(`${path} is gone`)
      throw error
    }
  }
  return {
    async tree() {
      return { ...parseCheckpoint(await client.audit.checkpoint()), first: 0 }
    },
    async entries(from, to) {
      const n = Math.floor(from / TILE_WIDTH)
      const start = n * TILE_WIDTH
      const texts = decodeEntries(await tile('entries', n, to - start))
      if (texts.length !== to - start) throw new FormatError(`there are ${texts.length}`)
      return texts.slice(from - start).map(text => ({ text, personal: null }))
    },
    async tile(level, n, width) {
      return Buffer.from(await tile(level, n, width)).toString('latin1')
    },
    async checkpoints(beforeSize, limit) {
      const query = { beforeSize, limit }
      const { data } = await client.audit.checkpoints(query)
      return data
    },
    async verifierKeys() {
      const { data } = await client.audit.keys()
      return data.map(({ name, vkey, createdAt, retiredAt }) => ({
        name,
        vkey,
        created_at: createdAt,
        retired_at: retiredAt,
      }))
    },
  }
}
