import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { existsSync } from 'node:fs'
import { verifyToken } from '@clerk/backend'
import { answer } from './child.ts'

/** Verifying one session token over and over, in process and without network: ours, Clerk's, and node:crypto alone. */

const SDK = new URL('../packages/sdk/src/verify.ts', import.meta.url)

interface Question {
  who: 'stagedoor' | 'clerk' | 'node:crypto'
  token: string
  jwk: JsonWebKey
  issuer: string
  seconds: number
}

type Verifier = () => unknown | Promise<unknown>

async function verifierOf({ who, token, jwk, issuer }: Question): Promise<Verifier | undefined> {
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const jwtKey = key.export({ type: 'spki', format: 'pem' }).toString()
  if (who === 'clerk') return () => verifyToken(token, { jwtKey })
  if (who === 'stagedoor') {
    if (!existsSync(SDK)) return undefined
    const { createVerifier } = (await import(SDK.href)) as typeof import('../packages/sdk/src/verify.ts')
    const verifySession = createVerifier({ issuer, jwks: { keys: [jwk as never] } })
    return () => verifySession(token)
  }
  const [header, payload, signature = ''] = token.split('.')
  return () => {
    const good = verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))
    if (!good) throw new Error('the signature is wrong')
  }
}

/** Verifications a second, one after the other. */
answer(async (question: Question): Promise<number | undefined> => {
  const verifyOnce = await verifierOf(question)
  if (!verifyOnce) return undefined
  for (let i = 0; i < 200; i++) await verifyOnce()
  const start = performance.now()
  let count = 0
  while (performance.now() - start < question.seconds * 1_000) {
    await verifyOnce()
    count++
  }
  return (count * 1_000) / (performance.now() - start)
})
