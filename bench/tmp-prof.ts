import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { startChild } from './child.ts'

const [kind = 'mint', alg = 'ES256', secs = '3', dir = '/tmp/prof'] = process.argv.slice(2)
const folder = mkdtempSync('/work/main/node_modules/.cache/sdb-')
const secretKey = `sk_live_${randomBytes(24).toString('hex')}`
const s = startChild('server.ts', {
  cores: '0',
  node: dir === '-' ? [] : ['--cpu-prof', '--cpu-prof-dir', dir],
  env: {
    STAGEDOOR_DATABASE_URL: `sqlite:${folder}/a.db`,
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
    STAGEDOOR_SECRET_KEY: secretKey,
    STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
    STAGEDOOR_SIGNING_ALG: alg,
    STAGEDOOR_PORT: '0',
    STAGEDOOR_LOG_LEVEL: 'error',
  },
})
const load = startChild('load.ts', { cores: '1' })
const port = await s.ask<number>({})
const go = (kind: string, seconds: number) => load.ask<any>({ port, kind, alg, seconds, connections: 64, secretKey })
if (kind !== 'create') await go('create', kind === 'redeem' ? Number(secs) : 0.3)
if (kind === 'mint') await go('redeem', 1)
const m = await go(kind, Number(secs))
console.log(kind, alg, Math.round(m.rate), m.p50.toFixed(1), m.p99.toFixed(1), m.wrong, m.example ?? '')
await s.end()
await load.end()
rmSync(folder, { recursive: true, force: true })
