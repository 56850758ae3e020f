/**
 * Makes session-cookies.json, with a new key: `node test/vectors/make-cookies.ts`. Run it when you add a vector. The
 * private key is not kept.
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'key_ES256', alg: 'ES256', use: 'sig' }] }
const issuer = 'https://auth.example.com'
const now = 1_800_000_000

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

function token(sub: string, claims: object = {}): string {
  const header = encode({ alg: 'ES256', cat: 'cl_B7d4PD111AAA', kid: 'key_ES256', typ: 'JWT' })
  const body = encode({ iss: issuer, sub, sid: `sess_${sub}`, exp: now + 60, iat: now, nbf: now - 10, ...claims })
  const signature = sign('sha256', Buffer.from(`${header}.${body}`), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${header}.${body}.${signature.toString('base64url')}`
}

const act = { sub: 'olivia@support' }
const tokens = {
  own: token('user_carl'),
  other: token('user_dora'),
  acting: token('user_carl', { act }),
  actingAsOther: token('user_dora', { act: { sub: 'oscar@support' } }),
  expired: token('user_carl', { exp: now - 60 }),
  expiredActing: token('user_carl', { act, exp: now - 60 }),
  foreign: token('user_carl', { iss: 'https://other.example.com' }),
}

/** `cookies` are the values of the Cookie headers of one request; `{name}` stands for a token. */
type Case = [comment: string, cookies: string | string[], expected: keyof typeof tokens | { reason: string }]

const none = { reason: 'not-signed-in' }
const malformed = { reason: 'token-malformed' }
const cases: Record<string, Case[]> = {
  'one cookie': [
    ['alone', '__session={own}', 'own'],
    ['of an actor', '__session={acting}', 'acting'],
    ['between others', 'theme=dark; __session={own}; __client_uat=1', 'own'],
    ['without spaces', 'theme=dark;__session={own};__client_uat=1', 'own'],
    ['with spaces and tabs', 'theme=dark ;\t __session = {own} \t; __client_uat=1', 'own'],
    ['quoted', '__session="{own}"', 'own'],
    ['quoted, of an actor', 'theme="dark"; __session="{acting}"', 'acting'],
    ['with a quotation mark on the left only', '__session="{own}', malformed],
    ['with a quotation mark on the right only', '__session={own}"', malformed],
    ['quoted twice', '__session=""{own}""', malformed],
    ['no token', '__session=x', malformed],
    ['expired', '__session={expired}', { reason: 'token-expired' }],
    ['of another issuer', '__session={foreign}', { reason: 'token-wrong-issuer' }],
  ],
  'no cookie of the name': [
    ['no cookie', [], none],
    ['an empty header', '', none],
    ['another', 'theme=dark', none],
    ['an empty one', '__session=', none],
    ['a quoted empty one', '__session=""', none],
    ['several empty ones', '__session=; __session=""; __session= ', none],
    ['a name without a value', '__session', none],
    ['a name with a suffix', '__session_1a2b={own}', none],
    ['a name with a prefix', 'x__session={own}', none],
    ['a name in capitals', '__SESSION={own}', none],
    ['the name as a value', 'theme=__session={own}', none],
  ],
  'empty ones are skipped': [
    ['before', '__session=; __session={own}', 'own'],
    ['after', '__session={own}; __session=', 'own'],
    ['quoted, before', '__session=""; __session={acting}', 'acting'],
    ['on both sides', '__session=; __session={acting}; __session=""', 'acting'],
  ],
  'the first that verifies counts': [
    ['rubbish before', '__session=x; __session={own}', 'own'],
    ['rubbish after', '__session={own}; __session=x', 'own'],
    ['expired before', '__session={expired}; theme=dark; __session={own}', 'own'],
    ['an expired one of an actor before', '__session={expiredActing}; __session={own}', 'own'],
    ['an expired one of an actor after', '__session={own}; __session={expiredActing}', 'own'],
    ['of another issuer before', '__session={foreign}; __session={own}', 'own'],
    ['the same twice', '__session={own}; __session={own}', 'own'],
    ['the same quoted', '__session={own}; __session="{own}"', 'own'],
    ['two users', '__session={own}; __session={other}', 'own'],
    ['two users, the other way round', '__session={other}; __session={own}', 'other'],
    ['two users after rubbish', '__session=x; __session={other}; __session={own}', 'other'],
  ],
  'one of an actor counts before one of a user’s own': [
    ['after', '__session={own}; __session={acting}', 'acting'],
    ['before', '__session={acting}; __session={own}', 'acting'],
    ['of another user, after', '__session={own}; __session={actingAsOther}', 'actingAsOther'],
    ['of another user, before', '__session={actingAsOther}; __session={own}', 'actingAsOther'],
    ['quoted', '__session={own}; __session="{acting}"', 'acting'],
    ['the last of many', '__session={own}; __session=x; __session={other}; __session=; __session={acting}', 'acting'],
    ['the first of two actors', '__session={own}; __session={actingAsOther}; __session={acting}', 'actingAsOther'],
  ],
  'the reason of the first, if none verifies': [
    ['expired, then rubbish', '__session={expired}; __session=x', { reason: 'token-expired' }],
    ['rubbish, then expired', '__session=x; __session={expired}', malformed],
    ['empty, then of another issuer', '__session=; __session={foreign}; __session=x', { reason: 'token-wrong-issuer' }],
  ],
  'several headers': [
    ['one of an actor in the second', ['__session={own}', '__session={acting}'], 'acting'],
    ['one of an actor in the first', ['__session={acting}', '__session={own}'], 'acting'],
    ['the first that verifies', ['__session=x', '__session={own}'], 'own'],
    ['among others', ['__session={own}; theme=dark', 'a=b; __session={acting}; c=d'], 'acting'],
    ['each cookie in its own', ['theme=dark', '__session={own}', 'a=b'], 'own'],
    ['joined with a comma by a server', '__session={own}, __session={acting}', 'acting'],
    ['joined with a comma after another cookie', '__session={own}; theme=dark,__session={acting}; a=b', 'acting'],
  ],
}

const groups = Object.entries(cases).map(([name, tests]) => ({
  name,
  tests: tests.map(([comment, cookies, expected]) => ({
    comment,
    cookies: [cookies].flat(),
    ...(typeof expected === 'string' ? { token: expected } : expected),
  })),
}))
const about =
  'Cookie headers of one request, and which session token counts: `token`, by its name in `tokens`, or the `reason` why none does. `{name}` in a header stands for a token. Made by make-cookies.ts.'
const file = { about, issuer, clockSkewInSeconds: 5, now, jwks, tokens, groups }
writeFileSync(new URL('session-cookies.json', import.meta.url), `${JSON.stringify(file, null, 2)}\n`)
