import { assertContains } from '../domain/audit/containment.ts'
import type { CheckpointHolder } from '../domain/audit/publish.ts'
import { exportLog, openDirectory } from './directory.ts'

/**
 * Keeps the whole log, without personal texts, in a directory that others can copy or serve.
 * @param onHeld called with the size that the directory has
 * @example logDirectory('/var/lib/stagedoor/audit')
 */
export function logDirectory(path: string, onHeld: (size: number) => void = () => {}): CheckpointHolder {
  return {
    name: path,
    async check(reader, newest) {
      const kept = await openDirectory(path).catch(() => undefined)
      if (kept) await assertContains(reader, newest, await kept.tree(), path)
    },
    async hold(reader) {
      const { size } = await exportLog(reader, path, { personal: false })
      onHeld(size)
      return undefined
    },
  }
}
