import { randomBytes } from 'node:crypto'
import { open, rename } from 'node:fs/promises'

/** Turns "no such file" into undefined. @example await readFile(path).catch(undefinedIfMissing) */
export function undefinedIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}

/**
 * Writes a file under a temporary name, syncs it and renames it.
 * @example await writeDurably('/var/lib/checkpoint', Buffer.from(note))
 */
export async function writeDurably(target: string, bytes: Buffer): Promise<void> {
  const temporary = `${target}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`
  const file = await open(temporary, 'w')
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, target)
}

/** Makes the names in a folder durable. @example await syncFolder(dirname(path)) */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
