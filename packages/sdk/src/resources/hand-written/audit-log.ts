/** The methods of `Audit` whose answers are not JSON. `npm run generate` adds each exported function to the class. */
import type { Http } from '../../http.ts'

/**
 * Reads the newest checkpoint of the audit log: a signed note with its name, its size and its root. Keep it outside of the
 * server: it shows every later change to the entries that it covers.
 *
 * @throws StagedoorError `resource_not_found` (there is none yet)
 * @see `GET /v1/audit/checkpoint` (Stagedoor only)
 * @example
 * import { writeFile } from 'node:fs/promises'
 *
 * await writeFile('checkpoint-2026-11.txt', await stagedoor.audit.checkpoint())
 */
export async function checkpoint(http: Http, options?: { signal?: AbortSignal | undefined }): Promise<string> {
  const { body } = await http.open('/v1/audit/checkpoint', undefined, { accept: 'text/plain' }, options?.signal)
  return new Response(body).text()
}

/**
 * Reads a tile of the audit log, or 256 of its entries (c2sp.org/tlog-tiles).
 *
 * @param name what follows `tile/`: `0/x001/234`, `entries/000.p/12`
 * @throws StagedoorError `resource_not_found`, `audit_pruned`
 * @see `GET /v1/audit/tile/{tile_path}` (Stagedoor only)
 * @example
 * const hashes = await stagedoor.audit.tile('0/000')
 */
export async function tile(
  http: Http,
  name: string,
  options?: { signal?: AbortSignal | undefined },
): Promise<Uint8Array> {
  const path = `/v1/audit/tile/${name.split('/').map(encodeURIComponent).join('/')}`
  const { body } = await http.open(path, undefined, { accept: '*/*' }, options?.signal)
  return new Uint8Array(await new Response(body).arrayBuffer())
}
