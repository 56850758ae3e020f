import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { verifyToken } from '@clerk/backend'
import { createVerifier } from '../packages/sdk/src/verify.ts'
import { answer } from './child.ts'

/** Verifies one session token repeatedly, in process and without network: with the SDK, the SDK's cache, Clerk's SDK, fast-jwt, and node:crypto alone. */

interface Question {
  who: 'stagedoor' | 'stagedoor, remembered' | 'clerk' | 'fast-jwt' | 'node:crypto'
  token: string
  jwk: JsonWebKey
  issuer: string
  seconds: number
}

type Verifier = (token: string) => unknown | Promise<unknown>

/** Installed for benchmarks only, so its types are not there for the checks. */
const FAST_JWT: string = 'fast-jwt'

async function verifierOf({ who, jwk, issuer }: Question): Promise<Verifier> {
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const jwtKey = key.export({ type: 'spki', format: 'pem' }).toString()
  if (who === 'clerk') return token => verifyToken(token, { jwtKey })
  if (who === 'fast-jwt')
    return (await import(FAST_JWT)).createVerifier({ key: jwtKey, algorithms: ['RS256'], allowedIss: issuer })
  const jwks = { keys: [jwk as never] }
  if (who === 'stagedoor') return createVerifier({ issuer, jwks })
  if (who === 'stagedoor, remembered') return createVerifier({ issuer, jwks, cacheSize: 1_000 })
  return token => {
    const [header, payload, signature = ''] = token.split('.')
    const good = verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))
    if (!good) throw new Error('the signature is wrong')
  }
}

/** Measures sequential verifications: how many per second, and the CPU time of each in µs. */
answer(async (question: Question): Promise<{ rate: number; cpu: number }> => {
  const verifyOnce = await verifierOf(question)
  // Makes a new string each time, as a request does, so that V8 has nothing cached about it.
  const bytes = Buffer.from(question.token)
  const text = () => bytes.toString('latin1')
  for (let i = 0; i < 200; i++) await verifyOnce(text())
  const [start, before] = [performance.now(), process.cpuUsage()]
  let count = 0
  while (performance.now() - start < question.seconds * 1_000) {
    await verifyOnce(text())
    count++
  }
  const used = process.cpuUsage(before)
  return { rate: (count * 1_000) / (performance.now() - start), cpu: (used.user + used.system) / count }
})
