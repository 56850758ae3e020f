import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { verifyToken } from '@clerk/backend'
import { createVerifier } from '../packages/sdk/src/verify.ts'
import { answer } from './child.ts'

/** Verifying one session token over and over, in process and without network: ours, Clerk's, and node:crypto alone. */

interface Question {
  who: 'stagedoor' | 'clerk' | 'node:crypto'
  token: string
  jwk: JsonWebKey
  issuer: string
  seconds: number
}

type Verifier = () => unknown | Promise<unknown>

function verifierOf({ who, token, jwk, issuer }: Question): Verifier {
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const jwtKey = key.export({ type: 'spki', format: 'pem' }).toString()
  if (who === 'clerk') return () => verifyToken(token, { jwtKey })
  if (who === 'stagedoor') {
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
answer(async (question: Question): Promise<number> => {
  const verifyOnce = verifierOf(question)
  for (let i = 0; i < 200; i++) await verifyOnce()
  const start = performance.now()
  let count = 0
  while (performance.now() - start < question.seconds * 1_000) {
    await verifyOnce()
    count++
  }
  return (count * 1_000) / (performance.now() - start)
})
