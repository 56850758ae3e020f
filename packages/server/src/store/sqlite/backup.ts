import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'
import { syncFolder } from './high-water-mark.ts'

/**
 * Copies the database at a path as it is at this moment, while a server continues to write to it. The copy is checked
 * and flushed before it gets its name. It contains no remains of deleted rows, and only its owner can read it.
 * @throws Error that tells what to do if there is no such database, or a file with the copy's name exists
 */
export function backupSqlite(path: string, to: string): void {
  if (!existsSync(path)) throw new Error(`There is no database ${path}.`)
  const part = `${to}.part`
  create(to, to)
  try {
    create(part, to)
    const db = new BetterSqlite3(path, { readonly: true })
    try {
      // One read transaction: it sees one state and blocks no writer.
      db.prepare('vacuum into ?').run(part)
    } finally {
      db.close()
    }
    assertWhole(part)
    flush(part)
    renameSync(part, to)
    syncFolder(to)
  } catch (error) {
    rmSync(part, { force: true })
    rmSync(to, { force: true })
    throw error
  }
}

/** Creates an empty file. @throws Error that tells what to do if the path cannot be used */
function create(file: string, to: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw new Error(`${file} already exists. Give another name, or delete that file first.`)
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new Error(`There is no folder ${dirname(to)}. Create it first, or give another path.`)
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      throw new Error(`This user may not write to ${dirname(to)}. Give a folder that it may write to.`)
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

function flush(path: string): void {
  const file = openSync(path, 'r')
  fsyncSync(file)
  closeSync(file)
}
