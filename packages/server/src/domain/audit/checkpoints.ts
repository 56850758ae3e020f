import type { KeyObject } from 'node:crypto'
import type { AuditLogStore } from '../audit-store.ts'
import type { Clock } from '../clock.ts'
import type { AuditCheckpointRecord, AuditKeyRecord } from '../records.ts'
import { checkpointText, signatureLine, signNote } from './signed-note.ts'

/** The port to the keys of the log. */
export interface AuditKeys {
  /** Creates a key whose private part is sealed. */
  make(id: string, name: string, now: number): AuditKeyRecord
  /** Opens the private part. @throws Error if the key was sealed with another master key */
  open(key: AuditKeyRecord): KeyObject
}

interface Parts {
  store: AuditLogStore
  keys: AuditKeys
  clock: Clock
}

/**
 * Signs the root of a committed tree. Ed25519 is deterministic, so two nodes make the same note; the first one is stored.
 * @returns whether this node stored the checkpoint; undefined if there is no key to sign with
 */
export async function signCheckpoint(
  { store, keys, clock }: Parts,
  { origin, size, root }: { origin: string; size: number; root: string },
): Promise<boolean | undefined> {
  const signers = await signersOf(store, origin, size)
  const [first, ...others] = signers
  if (!first) return undefined
  const text = checkpointText({ origin, size, root })
  const note = [
    signNote(text, origin, keys.open(first)),
    ...others.map(key => signatureLine(text, origin, keys.open(key))),
  ].join('')
  const checkpoint = { size, root, at: clock.now(), note, cosignatures: '' }
  const done = signers.slice(0, -1).filter(key => key.retired_at !== null)
  return store.addCheckpoint(
    checkpoint,
    done.map(({ id }) => id),
  )
}

/**
 * Returns the keys that sign a tree, oldest first. After a rotation the old key signs until the log has the event that
 * names the new one. The first checkpoint that covers this event has both signatures; later ones have only the new one.
 */
async function signersOf(store: AuditLogStore, origin: string, size: number): Promise<AuditKeyRecord[]> {
  const able = (await store.keys()).filter(key => key.name === origin && key.sealed_private_key !== null)
  if (able.length < 2) return able
  const named: AuditKeyRecord[] = []
  for (const key of able) if (await store.coversKey(key.id, size)) named.push(key)
  return named.length > 0 ? named : able.slice(0, 1)
}

/** What makes a checkpoint sufficient, besides the signature of the log. */
export interface Requirement {
  /** Minimum number of cosignatures. */
  witnesses: number
  /** Whether it must be written to the directory. */
  directory: boolean
}

/** Returns the largest checkpoint that meets the requirement. @param directorySize what the directory has */
export function sufficientCheckpoint(
  store: AuditLogStore,
  { witnesses, directory }: Requirement,
  directorySize: number,
): Promise<AuditCheckpointRecord | undefined> {
  return store.latestCheckpoint({ cosignatures: witnesses, size: directory ? directorySize : undefined })
}
