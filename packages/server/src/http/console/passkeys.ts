import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'
import * as contract from '../../contract/console.ts'
import { ApiError } from '../../contract/errors.ts'
import type { Context } from '../../domain/context.ts'
import {
  beginSignIn,
  derived,
  findSignIn,
  signInWithNewPasskey,
  signInWithPasskey,
  takeSignIn,
} from '../../domain/operator-sessions.ts'
import { getOperator } from '../../domain/operators.ts'
import type { OperatorPasskeyRecord, OperatorSignInRecord } from '../../domain/records.ts'
import type { HeaderReader } from '../caller.ts'
import { type Http, mount } from '../mount.ts'
import { currentOperator, forgetSignIn, keepSession, keepSignIn, pathOf, signInSecret } from './session.ts'

/** How operators without an identity provider register a passkey, sign in and step up with it (WebAuthn Level 3). */

/** Loaded when it is first used: it takes longer to load than most of the command. */
const webauthn = () => import('@simplewebauthn/server')

/** How long the dialog of the browser stays open, in ms. */
const DIALOG = 300_000
/** EdDSA, ES256, RS256. */
const ALGORITHMS = [-8, -7, -257]

export function mountPasskeys(http: Http): void {
  mount(http, contract.startPasskey, async (ctx, { body, header, cookies }) => {
    const { purpose } = body
    if (purpose === 'register') return answer(await registration(ctx, header))
    const session = await currentOperator(ctx, header)
    const return_to = pathOf(body.return_to, ctx.settings.console_url)
    const step_up = purpose === 'step_up'
    const secret = await beginSignIn(ctx, { kind: 'passkey', return_to, session, step_up })
    cookies.push(keepSignIn(secret))
    const known = step_up && session ? await ctx.store.operators.passkeysOf(session.id) : []
    const { generateAuthenticationOptions } = await webauthn()
    const options = await generateAuthenticationOptions({
      rpID: rpOf(ctx),
      challenge: new Uint8Array(challengeOf(secret)),
      userVerification: 'required',
      timeout: DIALOG,
      allowCredentials: known.map(({ id, transports }) => ({ id, transports: JSON.parse(transports) })),
    })
    return answer(options)
  })

  mount(http, contract.verifyPasskey, async (ctx, { body, header, cookies }) => {
    ctx.caller.principal = { type: 'operator', id: null }
    const { purpose, response } = body
    const secret = signInSecret(header)
    const signIn =
      purpose === 'register' ? await findSignIn(ctx, secret, 'join') : await takeSignIn(ctx, secret, 'passkey')
    if (purpose !== 'register' && (purpose === 'step_up') !== (signIn.is_step_up === 1))
      throw new ApiError('operator_sign_in_invalid')
    const done = await (purpose === 'register' ? register : use)(ctx, signIn, challengeOf(secret ?? ''), response)
    cookies.push(forgetSignIn(), keepSession(done))
    return { object: 'signed_in' as const, return_to: signIn.return_to }
  })
}

const answer = (options: object) => ({ object: 'passkey_options' as const, options: { ...options } })

/** The relying party: the host name of the console. Passkeys stop working when it changes. */
const rpOf = ({ settings }: Context) => new URL(settings.console_url).hostname

const challengeOf = (secret: string) => Buffer.from(derived(secret, 'challenge'), 'base64url')

const encoded = (challenge: Buffer) => challenge.toString('base64url')

async function registration(ctx: Context, header: HeaderReader) {
  const secret = signInSecret(header)
  const { operator_id } = await findSignIn(ctx, secret, 'join')
  const operator = await getOperator(ctx, { id: operator_id ?? '' })
  const name = operator.email ?? operator.id
  const { generateRegistrationOptions } = await webauthn()
  return generateRegistrationOptions({
    rpName: 'Stagedoor',
    rpID: rpOf(ctx),
    userID: new Uint8Array(Buffer.from(operator.id)),
    userName: name,
    userDisplayName: operator.name ?? name,
    challenge: new Uint8Array(challengeOf(secret ?? '')),
    attestationType: 'none',
    timeout: DIALOG,
    supportedAlgorithmIDs: ALGORITHMS,
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  })
}

async function register(ctx: Context, signIn: OperatorSignInRecord, challenge: Buffer, response: object) {
  const { verifyRegistrationResponse } = await webauthn()
  const { verified, registrationInfo } = await checked(
    verifyRegistrationResponse({
      response: response as RegistrationResponseJSON,
      expectedChallenge: encoded(challenge),
      expectedOrigin: ctx.settings.console_url,
      expectedRPID: rpOf(ctx),
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    }),
  )
  if (!verified || !registrationInfo) throw invalid('it could not be verified')
  const { id, publicKey, counter, transports = [] } = registrationInfo.credential
  // A credential belongs to one operator.
  if (await ctx.store.operators.findPasskey(id)) throw invalid('it is registered already')
  const passkey: OperatorPasskeyRecord = {
    id,
    operator_id: signIn.operator_id ?? '',
    public_key: Buffer.from(publicKey).toString('base64url'),
    use_count: counter,
    transports: JSON.stringify(transports),
    last_used_at: null,
    created_at: ctx.clock.now(),
  }
  return signInWithNewPasskey(ctx, signIn, passkey)
}

async function use(ctx: Context, signIn: OperatorSignInRecord, challenge: Buffer, response: object) {
  const id = (response as { id?: unknown }).id
  const passkey = typeof id === 'string' ? await ctx.store.operators.findPasskey(id) : undefined
  if (!passkey) throw invalid('it is not registered here')
  const { verifyAuthenticationResponse } = await webauthn()
  const { verified, authenticationInfo } = await checked(
    verifyAuthenticationResponse({
      response: response as AuthenticationResponseJSON,
      expectedChallenge: encoded(challenge),
      expectedOrigin: ctx.settings.console_url,
      expectedRPID: rpOf(ctx),
      requireUserVerification: true,
      credential: {
        id: passkey.id,
        publicKey: new Uint8Array(Buffer.from(passkey.public_key, 'base64url')),
        counter: passkey.use_count,
        transports: JSON.parse(passkey.transports),
      },
    }),
  )
  if (!verified) throw invalid('it could not be verified')
  return signInWithPasskey(ctx, signIn, passkey.operator_id, {
    id: passkey.id,
    use_count: authenticationInfo.newCounter,
    known_count: passkey.use_count,
    last_used_at: ctx.clock.now(),
  })
}

const invalid = (why: string, cause?: unknown) => new ApiError('passkey_invalid', { params: { why }, cause })

/** Converts errors of the library, which says by them what it does not accept. */
function checked<T>(verification: Promise<T>): Promise<T> {
  return verification.catch(cause => {
    const text = cause instanceof Error ? cause.message : ''
    if (/user verification/i.test(text)) throw invalid('your device did not check that it is you', cause)
    if (/counter/i.test(text)) throw invalid('a copy of it may be in use', cause)
    throw invalid('it does not fit this request', cause)
  })
}
