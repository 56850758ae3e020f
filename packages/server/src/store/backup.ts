import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'

/**
 * Copies the database at a path as it is at this moment, while servers go on writing to it. The copy is whole, looked
 * over and on disk when it gets its name; it holds nothing that was deleted, and is its owner's only.
 * @throws Error if there is no such database, or the copy's name is taken
 */
export function backupSqlite(path: string, to: string): void {
  const part = `${to}.part`
  closeSync(openSync(to, 'wx', 0o600))
  try {
    closeSync(openSync(part, 'wx', 0o600))
    const db = new BetterSqlite3(path, { fileMustExist: true })
    try {
      // One read transaction: it sees one state, and holds up no writer.
      db.prepare('vacuum into ?').run(part)
    } finally {
      db.close()
    }
    assertWhole(part)
    synced(part)
    renameSync(part, to)
    synced(dirname(to))
  } catch (error) {
    rmSync(part, { force: true })
    rmSync(to, { force: true })
    throw error
  }
}

function assertWhole(path: string): void {
  const copy = new BetterSqlite3(path, { readonly: true })
  try {
    const found = copy.pragma('quick_check(1)', { simple: true })
    if (found !== 'ok') throw new Error(`The copy is damaged: ${String(found)}`)
  } finally {
    copy.close()
  }
}

function synced(path: string): void {
  const file = openSync(path, 'r')
  fsyncSync(file)
  closeSync(file)
}
