import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  constants,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  sign,
} from 'node:crypto'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createTunnel, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { Stagedoor } from '@stagedoor/sdk'
import {
  createVerifier,
  followRevocations,
  type JsonWebKey,
  remoteJwks,
  TokenError,
  type TokenErrorReason,
  type Verifier,
  type VerifyOptions,
  verifySessionToken,
} from '@stagedoor/sdk/verify'
import { type CryptoKey, errors, importJWK, type JWK } from 'jose'
import { SECRET_KEY, testServer } from '../../../test/support/server.ts'
import { patience, promised } from '../../../test/support/time.ts'

type Alg = 'RS256' | 'ES256' | 'EdDSA'

const pairs: Record<Alg, KeyPairKeyObjectResult> = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
}
const algs = Object.keys(pairs) as Alg[]
const jwkOf = (alg: Alg) =>
  ({ ...pairs[alg].publicKey.export({ format: 'jwk' }), kid: `kid_${alg}`, alg, use: 'sig' }) as JsonWebKey
const pemOf = (alg: Alg) => pairs[alg].publicKey.export({ format: 'pem', type: 'spki' }) as string
const jwks = { keys: algs.map(jwkOf) }

const issuer = 'https://stagedoor.example.com'
const NOW = 1_800_000_000
const now = () => NOW * 1_000
const options = { issuer, jwks, now }
const actor = { sub: 'user_operator', act: { sub: 'user_before' }, nested_member: [1, null] }
const usual = {
  azp: 'https://app.example.com',
  exp: NOW + 60,
  iat: NOW,
  iss: issuer,
  nbf: NOW - 10,
  sid: 'sess_1',
  sts: 'active',
  sub: 'user_1',
  v: 2,
}
const headerOf = (alg: Alg) => ({ alg, cat: 'cl_B7d4PD111AAA', kid: `kid_${alg}`, typ: 'JWT' })

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

interface Parts {
  alg?: Alg
  /** Members, or the whole JSON text. */
  header?: object | string
  claims?: object | string
  sign?: (input: Buffer) => Buffer
}

/** A valid token with these changes. A claim set to undefined is left out. */
function token({ alg = 'RS256', header = {}, claims = {}, sign: signer = signerOf(alg) }: Parts = {}): string {
  const input = `${encode(typeof header === 'string' ? header : { ...headerOf(alg), ...header })}.${encode(typeof claims === 'string' ? claims : { ...usual, ...claims })}`
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`
}

function signerOf(alg: Alg): (input: Buffer) => Buffer {
  const { privateKey } = pairs[alg]
  return input => sign(alg === 'EdDSA' ? null : 'sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
}

const verify = createVerifier(options)

async function refused(text: unknown, reason: TokenErrorReason, given: VerifyOptions = options): Promise<void> {
  const label = String(text).slice(0, 60)
  for (const check of [createVerifier(given), (each: string) => verifySessionToken(each, given)]) {
    await assert.rejects(check(text as string), (error: unknown) => {
      assert.ok(error instanceof TokenError, `${label}: ${error}`)
      assert.equal(error.reason, reason, label)
      return true
    })
  }
}

describe('a valid token', () => {
  for (const alg of algs) {
    it(`of ${alg} returns the user and the actor, by key set and by PEM`, async () => {
      for (const keys of [{ jwks }, { publicKey: pemOf(alg) }]) {
        const found = await verifySessionToken(token({ alg, claims: { act: actor } }), { issuer, now, ...keys })
        assert.equal(found.userId, 'user_1')
        assert.equal(found.sessionId, 'sess_1')
        assert.deepEqual(found.actor, actor)
        assert.deepEqual(found.claims, { ...usual, act: actor })
      }
    })
  }

  it('of the user’s own session has no actor', async () => {
    assert.equal((await verify(token())).actor, undefined)
  })

  it('returns its actor, not the actors before', async () => {
    assert.equal((await verify(token({ claims: { act: actor } }))).actor?.sub, 'user_operator')
  })

  it('may have unknown members', async () => {
    assert.equal((await verify(token({ header: { oiat: 1 }, claims: { later: { x: 1 } } }))).userId, 'user_1')
  })
})

describe('algorithms and keys', () => {
  it('J1: refuse `none`, in any case, with or without a signature', async () => {
    for (const alg of ['none', 'None', 'nOnE', 'NONE', '', ' RS256', 'rs256', null, 1, ['RS256']]) {
      const kept = token({ header: { alg } })
      await refused(kept, 'token-wrong-algorithm')
      await refused(kept.replace(/[^.]*$/, ''), 'token-malformed')
    }
  })

  it('J2, J3: refuse HMAC with a public or empty secret', async () => {
    const pem = pemOf('RS256')
    const jwk = JSON.stringify(jwkOf('RS256'))
    const der = pairs.RS256.publicKey.export({ format: 'der', type: 'spki' })
    for (const secret of [
      pem,
      `${pem}\n`,
      pem.trim(),
      ` ${pem}`,
      `\uFEFF${pem}`,
      `\u200B${pem}`,
      der,
      jwk,
      JSON.stringify(jwks),
      '',
      Buffer.alloc(32),
    ]) {
      const hmac = (input: Buffer) => createHmac('sha256', secret).update(input).digest()
      await refused(token({ header: { alg: 'HS256' }, sign: hmac }), 'token-wrong-algorithm')
      await refused(token({ header: { alg: 'HS256' }, sign: hmac }), 'token-wrong-algorithm', {
        issuer,
        now,
        publicKey: pem,
      })
      await refused(token({ sign: hmac }), 'token-invalid-signature')
    }
    await refused(token(), 'key-unknown', {
      issuer,
      now,
      jwks: { keys: [{ kty: 'oct', k: encode('secret'), kid: 'kid_RS256', use: 'sig', alg: 'RS256' }] },
    })
  })

  it('J4: refuse another algorithm with the same key', async () => {
    const { privateKey } = pairs.RS256
    const pss = (input: Buffer) =>
      sign('sha256', input, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
    await refused(token({ header: { alg: 'PS256' }, sign: pss }), 'token-wrong-algorithm')
    await refused(token({ sign: pss }), 'token-invalid-signature')
    await refused(
      token({ header: { alg: 'RS512' }, sign: input => sign('sha512', input, privateKey) }),
      'token-wrong-algorithm',
    )
    await refused(token({ alg: 'ES256', header: { alg: 'ES384' } }), 'token-wrong-algorithm')
    for (const theirs of algs) {
      for (const named of algs.filter(alg => alg !== theirs)) {
        await refused(token({ alg: theirs, header: { alg: named } }), 'key-unknown')
        await refused(token({ alg: theirs, header: { alg: named } }), 'token-wrong-algorithm', {
          issuer,
          now,
          publicKey: pemOf(theirs),
        })
        await refused(token({ alg: theirs, header: { kid: `kid_${named}` } }), 'key-unknown')
      }
    }
    const mislabelled = { keys: [{ ...jwkOf('ES256'), alg: 'RS256' as const }] }
    await refused(token({ alg: 'ES256', header: { alg: 'RS256' } }), 'key-unknown', { issuer, now, jwks: mislabelled })
  })

  it('J5, J6: refuse a kid that is a path, a query, a property of every object, or no text', async () => {
    const texts = [
      '../../../../dev/null',
      '/proc/self/environ',
      'file:///etc/passwd',
      "' OR 1=1--",
      "x' UNION SELECT 'secret'--",
      '__proto__',
      'constructor',
      'toString',
      '',
      '0',
      'KID_RS256',
      'kid_RS256 ',
      'k'.repeat(128),
    ]
    for (const kid of [...texts, undefined]) await refused(token({ header: { kid } }), 'key-unknown')
    for (const kid of [null, 1, {}, [], ['kid_RS256'], 'k'.repeat(129), 'k'.repeat(4_000)])
      await refused(token({ header: { kid } }), 'token-malformed')
    await refused(token({ header: { kid: 'k'.repeat(10_000) } }), 'token-malformed')
  })

  it('J7: refuse a key, or the address of one, inside the token', async () => {
    await using keyServer = await serverOfKeys()
    const { url } = keyServer
    const attacker = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const jwk = attacker.publicKey.export({ format: 'jwk' })
    for (const header of [{ jku: url }, { x5u: url }, { jwk }, { x5c: [] }]) {
      await refused(token({ header, sign: input => sign('sha256', input, attacker.privateKey) }), 'token-malformed')
      await refused(token({ header }), 'token-malformed')
    }
    assert.equal(keyServer.requests(), 0)
  })

  it('J8: refuse header members that change the meaning of the signature', async () => {
    for (const header of [
      { crit: ['exp'] },
      { crit: [] },
      { b64: false },
      { b64: true },
      { zip: 'DEF' },
      { enc: 'A256GCM' },
    ]) {
      await refused(token({ header }), 'token-malformed')
    }
    // Of two members with one name the last counts, everywhere.
    const twice = (first: string, last: string) =>
      `{"alg":"${first}","alg":"${last}","cat":"cl_B7d4PD111AAA","kid":"kid_RS256","typ":"JWT"}`
    assert.equal((await verify(token({ header: twice('none', 'RS256') }))).userId, 'user_1')
    await refused(token({ header: twice('RS256', 'none') }), 'token-wrong-algorithm')
  })

  it('J9: refuse signatures of zeros, as DER, or of the wrong length', async () => {
    const der = (input: Buffer) => sign('sha256', input, pairs.ES256.privateKey)
    const right = signerOf('ES256')
    const forms = [
      () => Buffer.alloc(64),
      () => Buffer.alloc(64, 0xff),
      der,
      (input: Buffer) => right(input).subarray(0, 63),
      (input: Buffer) => Buffer.concat([right(input), Buffer.alloc(1)]),
    ]
    for (const form of forms) await refused(token({ alg: 'ES256', sign: form }), 'token-invalid-signature')
    for (const size of [1, 63, 64, 65, 96])
      await refused(token({ alg: 'EdDSA', sign: () => Buffer.alloc(size) }), 'token-invalid-signature')
    for (const size of [1, 255, 256, 257])
      await refused(token({ sign: () => Buffer.alloc(size) }), 'token-invalid-signature')
    const longer = (input: Buffer) => Buffer.concat([Buffer.alloc(1), signerOf('RS256')(input)])
    await refused(token({ sign: longer }), 'token-invalid-signature')
  })

  it('refuse any change of any part', async () => {
    for (const alg of algs) {
      const [header = '', claims = '', signature = ''] = token({ alg }).split('.')
      await refused([header, encode({ ...usual, sub: 'user_2' }), signature].join('.'), 'token-invalid-signature')
      const bytes = Buffer.from(signature, 'base64url')
      bytes[10] = (bytes[10] as number) ^ 1
      await refused([header, claims, bytes.toString('base64url')].join('.'), 'token-invalid-signature')
    }
  })

  it('refuse RSA keys of less than 2048 bits', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const jwk = {
      ...weak.publicKey.export({ format: 'jwk' }),
      kid: 'kid_RS256',
      alg: 'RS256',
      use: 'sig',
    } as JsonWebKey
    await refused(token({ sign: input => sign('sha256', input, weak.privateKey) }), 'keys-unavailable', {
      issuer,
      now,
      jwks: { keys: [jwk] },
    })
  })

  it('refuse keys for encryption, and two keys with one id', async () => {
    await refused(token(), 'key-unknown', { issuer, now, jwks: { keys: [{ ...jwkOf('RS256'), use: 'enc' as never }] } })
    await refused(token(), 'key-unknown', { issuer, now, jwks: { keys: [jwkOf('RS256'), jwkOf('RS256')] } })
  })
})

describe('the text of a token', () => {
  it('J10: has only one valid form', async () => {
    const good = token()
    const [header = '', claims = '', signature = ''] = good.split('.')
    // 256 bytes leave 4 unused bits in the last character.
    await refused(`${header}.${claims}.${loosened(signature)}`, 'token-malformed')
    for (const form of [
      `${good}=`,
      `${good} `,
      ` ${good}`,
      `${good}\n`,
      `\n${good}`,
      `${good}.`,
      `${good}.x`,
      `.${good}`,
      `${header}=.${claims}.${signature}`,
      `${header}.${claims}==.${signature}`,
    ]) {
      await refused(form, 'token-malformed')
    }
    const plain = good
      .split('.')
      .map(part => Buffer.from(part, 'base64url').toString('base64'))
      .join('.')
    await refused(plain, 'token-malformed')
    await refused(`${header}.${claims.slice(0, 8)} ${claims.slice(8)}.${signature}`, 'token-malformed')
    await refused(JSON.stringify({ payload: claims, protected: header, signature }), 'token-malformed')
    await refused(
      JSON.stringify({ payload: claims, signatures: [{ protected: header, signature }] }),
      'token-malformed',
    )
  })

  it('J10: has three parts, two of them JSON objects', async () => {
    for (const form of ['', '.', '..', 'a.b', 'a.b.c', '...', undefined, null, 1, {}, [], Buffer.from(token())])
      await refused(form, 'token-malformed')
    for (const json of ['null', '[]', '1', '"x"', '{', '', '{}x', '\uFEFF{}']) {
      await refused(token({ header: json }), 'token-malformed')
      await refused(token({ claims: json }), 'token-malformed')
    }
    const [header = ''] = token().split('.')
    const input = `${header}.${Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]).toString('base64url')}`
    await refused(`${input}.${signerOf('RS256')(Buffer.from(input)).toString('base64url')}`, 'token-malformed')
  })

  it('J24: has at most 8 kB, which is checked first', async () => {
    const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`
    for (const form of [
      'x'.repeat(1_000_000),
      '.'.repeat(100_000),
      `${token()}${'.'.repeat(100_000)}`,
      token({ claims: `{"sub":${deep}}` }),
      token({ claims: { pad: 'x'.repeat(8_192) } }),
    ])
      await refused(form, 'token-malformed')
    const large = { sub: 'user_operator', note: 'x'.repeat(4_000) }
    assert.deepEqual((await verify(token({ claims: { act: large } }))).actor, large)
  })
})

describe('the kind', () => {
  it('J11: must be that of session tokens', async () => {
    for (const typ of [
      'ticket+jwt',
      'client+jwt',
      'at+jwt',
      'secevent+jwt',
      'client-authentication+jwt',
      'jwt',
      '',
      undefined,
      null,
      ['JWT'],
    ]) {
      await refused(token({ header: { typ } }), 'token-wrong-kind')
    }
    for (const cat of ['cl_B7d4PD222AAA', 'cl_B7d4PD333AAA', 'cl_I7d4PD111III', '', undefined, null]) {
      await refused(token({ header: { cat } }), 'token-wrong-kind')
    }
  })

  it('J16: has no audience', async () => {
    for (const aud of ['https://api.example.com', issuer, ['a', 'b'], null, ''])
      await refused(token({ claims: { aud } }), 'token-wrong-kind')
  })

  it('must be an active session', async () => {
    await refused(token({ claims: { sts: 'pending' } }), 'session-not-active')
    assert.equal((await verify(token({ claims: { sts: undefined } }))).userId, 'user_1')
  })
})

describe('the claims', () => {
  it('J12: exp, iat, nbf, sub, sid and iss are all required', async () => {
    for (const claim of ['exp', 'iat', 'nbf', 'sub', 'sid', 'iss']) {
      for (const value of [undefined, null, '', [], {}])
        await refused(token({ claims: { [claim]: value } }), 'token-malformed')
    }
  })

  it('J13: have whole numbers as times', async () => {
    const text = (claim: string, value: string) =>
      JSON.stringify({ ...usual, [claim]: 0 }).replace(`"${claim}":0`, `"${claim}":${value}`)
    const forms = [
      `"${NOW + 60}"`,
      `${NOW + 60}.5`,
      '-1',
      '1e400',
      '-1e400',
      '9007199254740992',
      'null',
      `[${NOW + 60}]`,
      'true',
      '{}',
    ]
    for (const claim of ['exp', 'iat', 'nbf']) {
      for (const form of forms) await refused(token({ claims: text(claim, form) }), 'token-malformed')
    }
  })

  it('J14: expire exactly at exp plus the allowed skew', async () => {
    const at = (seconds: number, clockSkewInSeconds?: number) => ({
      ...options,
      clockSkewInSeconds,
      now: () => seconds * 1_000,
    })
    const { exp, nbf, iat } = usual
    for (const time of [exp - 1, exp, exp + 4, exp + 4.999])
      assert.equal((await verifySessionToken(token(), at(time))).userId, 'user_1')
    for (const time of [exp + 5, exp + 6]) await refused(token(), 'token-expired', at(time))
    assert.equal((await verifySessionToken(token(), at(exp - 1, 0))).userId, 'user_1')
    await refused(token(), 'token-expired', at(exp, 0))
    assert.equal((await verifySessionToken(token({ claims: { iat: nbf } }), at(nbf - 5))).userId, 'user_1')
    await refused(token({ claims: { iat: nbf } }), 'token-not-active-yet', at(nbf - 6))
    assert.equal((await verifySessionToken(token(), at(iat - 5))).userId, 'user_1')
    await refused(token(), 'token-not-active-yet', at(iat - 6))
    await refused(token(), 'token-expired', at(Number.NaN))
  })

  it('J15: name exactly this issuer', async () => {
    for (const iss of [
      `${issuer}/`,
      issuer.toUpperCase(),
      'https://STAGEDOOR.example.com',
      'http://stagedoor.example.com',
      `${issuer}:443`,
      ` ${issuer}`,
      `${issuer}.evil.com`,
    ]) {
      await refused(token({ claims: { iss } }), 'token-wrong-issuer')
    }
    await refused(token({ claims: { iss: [issuer] } }), 'token-malformed')
    await refused(token({ claims: { iss: [issuer, 'https://evil.com'] } }), 'token-malformed')
  })

  it('J17: name one of the allowed pages', async () => {
    const given = { ...options, authorizedParties: ['https://app.example.com', 'https://admin.example.com'] }
    assert.equal((await verifySessionToken(token(), given)).claims.azp, 'https://app.example.com')
    for (const azp of [
      'https://evil.example.com',
      'https://app.example.com/',
      'https://app.example.com.evil.com',
      '',
      undefined,
    ]) {
      await refused(token({ claims: { azp } }), 'token-wrong-party', given)
    }
    await refused(token({ claims: { azp: ['https://app.example.com'] } }), 'token-malformed', given)
    assert.equal((await verify(token({ claims: { azp: 'https://anywhere.example.com' } }))).userId, 'user_1')
  })

  it('with an invalid actor are refused, and never count as the user’s own', async () => {
    for (const act of [null, false, '', 'user_operator', 0, [], {}, { sub: 1 }, { sub: null }]) {
      await refused(token({ claims: { act } }), 'token-malformed')
    }
  })

  it('J23: are those of the verified token', async () => {
    const tokens = Array.from({ length: 50 }, (_, index) =>
      token({ claims: { sub: `user_${index}`, sid: `sess_${index}` } }),
    )
    const found = await Promise.all([...tokens, ...tokens].map(verify))
    assert.deepEqual(
      found.map(each => each.userId),
      [...tokens, ...tokens].map((_, index) => `user_${index % 50}`),
    )
    const [first, second] = tokens.map(each => each.split('.'))
    await refused([first?.[0], first?.[1], second?.[2]].join('.'), 'token-invalid-signature')
  })
})

describe('the options', () => {
  it('must be valid', () => {
    const wrong: [object, RegExp][] = [
      [{ jwks }, /`issuer` is missing/],
      [{ issuer: '', jwks }, /`issuer` is missing/],
      [{ issuer }, /Give the keys once/],
      [{ issuer, jwks, publicKey: pemOf('RS256') }, /Give the keys once/],
      [{ issuer, jwks: {} }, /not a key set/],
      [{ issuer, jwks: 'http://127.0.0.1:4100' }, /not a key set/],
      [{ issuer, publicKey: 'MIIB' }, /not a public key as PEM/],
      [
        { issuer, publicKey: pairs.RS256.privateKey.export({ format: 'pem', type: 'pkcs8' }) },
        /not a public key as PEM/,
      ],
      [{ issuer, jwks, authorizedParties: [] }, /names no page/],
      [{ issuer, jwks, authorizedParties: [''] }, /names no page/],
      [{ issuer, jwks, clockSkewInSeconds: -1 }, /clockSkewInSeconds/],
      [{ issuer, jwks, clockSkewInSeconds: Number.NaN }, /clockSkewInSeconds/],
      [{ issuer, jwks, clockSkewInSeconds: 5_000 }, /clockSkewInSeconds/],
    ]
    for (const [given, message] of wrong)
      assert.throws(() => createVerifier(given as VerifyOptions), { name: 'TypeError', message })
  })

  it('report a PEM without a usable key', async () => {
    const others = [generateKeyPairSync('ec', { namedCurve: 'P-384' }), generateKeyPairSync('x25519')]
    for (const { publicKey } of others) {
      await refused(token(), 'keys-unavailable', {
        issuer,
        now,
        publicKey: publicKey.export({ format: 'pem', type: 'spki' }) as string,
      })
    }
    await refused(token(), 'keys-unavailable', {
      issuer,
      now,
      publicKey: '-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----',
    })
  })

  it('are copied: changing the key set afterwards changes nothing', async () => {
    const set = { keys: [jwkOf('RS256')] }
    const check = createVerifier({ issuer, now, jwks: set })
    set.keys.pop()
    assert.equal((await check(token())).userId, 'user_1')
  })
})

describe('keys from a server', () => {
  it('J22: are fetched once for all requests, and not again for each of many unknown keys', async () => {
    await using keyServer = await serverOfKeys()
    const { url } = keyServer
    assert.equal(remoteJwks(url), remoteJwks(`${url}/v1/`))
    const given = () => ({ issuer, now, jwks: remoteJwks(url) })
    await Promise.all(Array.from({ length: 20 }, () => verifySessionToken(token(), given())))
    assert.equal(keyServer.requests(), 1)
    await refused(token({ header: { kid: 'kid_other' } }), 'key-unknown', given())
    const signed = token().split('.').slice(1).join('.')
    for (let index = 0; index < 10_000; index++) {
      const text = `${encode({ ...headerOf('RS256'), kid: `kid_${index}` })}.${signed}`
      await assert.rejects(verifySessionToken(text, given()), { reason: 'key-unknown' })
    }
    assert.equal(keyServer.requests(), 1)
  })

  it('that cannot be fetched cause an error that explains it', async () => {
    let url: string
    {
      await using keyServer = await serverOfKeys(500)
      url = keyServer.url
      await refused(token(), 'keys-unavailable', { issuer, now, jwks: remoteJwks(url) })
    }
    await refused(token(), 'keys-unavailable', { issuer, now, jwks: remoteJwks(url) })
    assert.throws(() => remoteJwks('127.0.0.1:4100'), { code: 'server_url_invalid' })
  })
})

describe('keys from a server, over time', () => {
  /** A server with one key set at a time, or none, when it is down. */
  async function changing() {
    let kid: string | undefined = 'kid_a'
    let requests = 0
    let hang = false
    const http = createServer((_, response) => {
      requests += 1
      if (hang) return
      if (kid === undefined) response.writeHead(503).end()
      else response.writeHead(200, json).end(JSON.stringify({ keys: [{ ...jwkOf('RS256'), kid }] }))
    })
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
    return {
      url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
      requests: () => requests,
      publish: (next: string | undefined, { hanging = false } = {}) => {
        kid = next
        hang = hanging
      },
      async [Symbol.asyncDispose]() {
        http.closeAllConnections()
        await new Promise(resolve => http.close(resolve))
      },
    }
  }
  const json = { 'content-type': 'application/json' }
  const by = (kid: string) => token({ header: { kid } })

  it('a new key is fetched when a token first names it, after the cool-down', async () => {
    await using keyServer = await changing()
    const check = createVerifier({ issuer, now, jwks: remoteJwks(keyServer.url, { coolDownInSeconds: 1.5 }) })
    assert.equal((await check(by('kid_a'))).userId, 'user_1')
    keyServer.publish('kid_b')
    await assert.rejects(check(by('kid_b')), { reason: 'key-unknown' })
    assert.equal(keyServer.requests(), 1)
    await sleep(1_600)
    await Promise.all(Array.from({ length: 20 }, () => check(by('kid_b'))))
    assert.equal(keyServer.requests(), 2)
    await assert.rejects(check(by('kid_a')), { reason: 'key-unknown' }, 'a key that is no longer published is refused')
  })

  it('old keys are used while the server is down, for a limited time', async () => {
    await using keyServer = await changing()
    const times = { maxAgeInSeconds: 1, maxStaleInSeconds: 4, coolDownInSeconds: 1.5 }
    const check = createVerifier({ issuer, now, jwks: remoteJwks(keyServer.url, times) })
    await check(by('kid_a'))
    keyServer.publish(undefined)
    await sleep(1_600)
    for (let index = 0; index < 50; index++) await check(by('kid_a'))
    assert.equal(keyServer.requests(), 2, 'the keys were requested a second time')
    await sleep(3_000)
    await assert.rejects(check(by('kid_a')), (error: TokenError) => {
      assert.equal(error.reason, 'keys-unavailable')
      assert.match(String(error.cause), /was answered with 503/)
      return true
    })
    keyServer.publish('kid_a')
    await sleep(1_600)
    assert.equal((await check(by('kid_a'))).userId, 'user_1')
  })

  it('a server that does not answer delays nothing while there are keys', async () => {
    await using keyServer = await changing()
    const times = { maxAgeInSeconds: 0.05, coolDownInSeconds: 0.05 }
    const check = createVerifier({ issuer, now, jwks: remoteJwks(keyServer.url, times) })
    await check(by('kid_a'))
    keyServer.publish('kid_a', { hanging: true })
    await sleep(100)
    const asked = performance.now()
    await check(by('kid_a'))
    assert.ok(performance.now() - asked < promised(3_000), `${performance.now() - asked} ms`)
  })
})

describe('cached tokens', () => {
  it('J23: are distinguished by their whole text, and everything else is checked each time', async () => {
    let time = NOW
    const clock = { now: () => time * 1_000, cacheSize: 20 }
    const check = createVerifier({ ...options, ...clock, authorizedParties: ['https://app.example.com'] })
    const tokens = Array.from({ length: 50 }, (_, index) => token({ claims: { sub: `user_${index}`, act: actor } }))
    for (const text of [...tokens, ...tokens, ...tokens.toReversed()]) {
      const found = await check(text)
      assert.equal(found.userId, `user_${tokens.indexOf(text)}`)
    }
    const [good = ''] = tokens
    await check(good)
    const signature = good.split('.')[2] as string
    for (const other of [`${good.slice(0, -1)}${loosened(signature).at(-1)}`, `${good} `, good.slice(0, -1)])
      await assert.rejects(check(other), { reason: /token-malformed|token-invalid-signature/ })
    time = NOW + 64
    assert.equal((await check(good)).userId, 'user_0')
    time = NOW + 65
    await assert.rejects(check(good), { reason: 'token-expired' })
    time = NOW - 1_000
    await assert.rejects(check(good), { reason: 'token-not-active-yet' })
  })

  it('are valid for a minute, then their key is checked again', async () => {
    let time = NOW
    const set: { keys: JsonWebKey[] } = { keys: [jwkOf('RS256')] }
    let asked = 0
    const jwks = async ({ kid }: { kid?: string }) => {
      asked += 1
      if (!set.keys.some(key => key.kid === kid)) throw new errors.JWKSNoMatchingKey()
      return (await importJWK(jwkOf('RS256') as JWK, 'RS256')) as CryptoKey
    }
    const check = createVerifier({ issuer, jwks, cacheSize: 10, now: () => time * 1_000 })
    const long = token({ claims: { exp: NOW + 3_600 } })
    for (let index = 0; index < 10; index++) await check(long)
    assert.equal(asked, 1)
    set.keys.pop()
    time = NOW + 59
    await check(long)
    time = NOW + 60
    await assert.rejects(check(long), { reason: 'key-unknown' })
  })

  it('cannot be changed by the caller', async () => {
    const check = createVerifier({ ...options, cacheSize: 10 })
    const text = token({ claims: { act: actor } })
    const found = await check(text)
    for (const change of [
      () => Object.assign(found, { userId: 'user_2' }),
      () => Object.assign(found.claims, { sub: 'user_2' }),
      () => Object.assign(found.actor as object, { sub: 'other' }),
      () => (found.actor as unknown as typeof actor).nested_member.push(1),
    ])
      assert.throws(change, TypeError)
    assert.deepEqual((await check(text)).actor, actor)
  })
})

describe('revoked sessions', () => {
  const serve = async () => {
    const server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
    const serverURL = await server.listen()
    const stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL })
    const jwks = await stagedoor.jwks.get()
    return { server, serverURL, stagedoor, given: { issuer: 'http://127.0.0.1:4100', jwks, cacheSize: 100 } }
  }
  /** Returns the time until the token is refused, in ms. */
  async function untilRefused(check: () => Promise<unknown>): Promise<number> {
    const start = performance.now()
    for (;;) {
      try {
        await check()
      } catch (error) {
        assert.equal((error as TokenError).reason, 'session-revoked')
        return performance.now() - start
      }
      assert.ok(performance.now() - start < patience(5_000), 'never refused')
      await sleep(5)
    }
  }

  it('are refused within a second, single ones and all at once', async () => {
    const { server, serverURL, stagedoor, given } = await serve()
    await using _ = server
    using revocations = followRevocations({ serverURL, secretKey: SECRET_KEY, whenLost: 'refuse' })
    const check = createVerifier({ ...given, revocations })
    const started = await server.signIn({ actor })
    const minted = await stagedoor.sessions.getToken(started.session_id)
    await revocations.current()
    await check(minted.jwt)
    const took: number[] = []
    for (const revoke of [
      (session: string) => stagedoor.sessions.revoke(session),
      (_: string, user: string) => stagedoor.sessions.revokeAll({ userId: user }),
      (_: string, user: string) => stagedoor.users.ban(user),
      () => stagedoor.sessions.revokeAll({ actorSub: actor.sub }),
      () => stagedoor.sessions.revokeAll({ everything: true }),
    ]) {
      const { session_id, user_id } = await server.signIn({ actor })
      const other = await server.signIn({ actor: { sub: 'user_other' } })
      const [{ jwt }, another] = [
        await stagedoor.sessions.getToken(session_id),
        await stagedoor.sessions.getToken(other.session_id),
      ]
      await Promise.all([check(jwt), check(another.jwt)])
      await revoke(session_id, user_id)
      took.push(await untilRefused(() => check(jwt)))
      if (took.length < 5) await check(another.jwt)
      else await untilRefused(() => check(another.jwt))
      // Cutoffs have a resolution of one second: tokens minted in the second of a revocation are refused too.
      await sleep(1_000 - (Date.now() % 1_000))
    }
    assert.ok(Math.max(...took) < 1_000, took.map(Math.round).join(' '))
    await assert.rejects(check(minted.jwt), { reason: 'session-revoked' })
    const later = await server.signIn({ actor })
    assert.equal((await check((await stagedoor.sessions.getToken(later.session_id)).jwt)).userId, later.user_id)
  })

  it('that were revoked before the follower started are refused too', async () => {
    const { server, serverURL, stagedoor, given } = await serve()
    await using _ = server
    const { session_id } = await server.signIn({ actor })
    const { jwt } = await stagedoor.sessions.getToken(session_id)
    await stagedoor.sessions.revoke(session_id)
    using revocations = followRevocations({ serverURL, secretKey: SECRET_KEY, whenLost: 'accept' })
    const check = createVerifier({ ...given, revocations })
    await check(jwt)
    await revocations.current()
    await assert.rejects(check(jwt), { reason: 'session-revoked' })
  })

  it('when the feed is lost: follow the `whenLost` option, and no revocation is missed', async () => {
    const { server, serverURL, stagedoor, given } = await serve()
    await using _ = server
    await using tunnel = await tunnelTo(serverURL)
    tunnel.cut()
    const changes: string[] = []
    const follow = (whenLost: 'accept' | 'refuse') =>
      followRevocations({
        serverURL: tunnel.url,
        secretKey: SECRET_KEY,
        whenLost,
        onChange: (status, cause) => changes.push(`${whenLost} ${status} ${cause === undefined ? '' : 'why'}`.trim()),
      })
    using accepting = follow('accept')
    using refusing = follow('refuse')
    const [accepts, refuses] = [accepting, refusing].map(revocations => createVerifier({ ...given, revocations })) as [
      Verifier,
      Verifier,
    ]
    const { session_id } = await server.signIn({ actor })
    const { jwt } = await stagedoor.sessions.getToken(session_id)
    await assert.rejects(refuses(jwt), { reason: 'revocations-unavailable' })
    await accepts(jwt)
    tunnel.mend()
    await Promise.all([accepting.current(), refusing.current()])
    await refuses(jwt)
    // A short interruption does not count as lost.
    tunnel.cut()
    tunnel.mend()
    await sleep(300)
    await Promise.all([accepts(jwt), refuses(jwt)])
    // A silent connection is detected after ten seconds.
    tunnel.freeze()
    await stagedoor.sessions.revoke(session_id)
    await sleep(10_500)
    assert.deepEqual([accepting.status, refusing.status], ['lost', 'lost'])
    assert.equal((await accepts(jwt)).sessionId, session_id)
    await assert.rejects(refuses(jwt), { reason: 'revocations-unavailable' })
    tunnel.cut()
    tunnel.mend()
    await Promise.all([accepting.current(AbortSignal.timeout(5_000)), refusing.current(AbortSignal.timeout(5_000))])
    await assert.rejects(accepts(jwt), { reason: 'session-revoked' })
    await assert.rejects(refuses(jwt), { reason: 'session-revoked' })
    assert.deepEqual(
      changes.filter(change => change.startsWith('refuse')),
      ['refuse lost why', 'refuse current', 'refuse lost why', 'refuse current'],
    )
  })

  it('a token older than the history of the feed is not accepted', async () => {
    const { server, serverURL, stagedoor, given } = await serve()
    await using _ = server
    const { session_id } = await server.signIn({ actor })
    const { jwt } = await stagedoor.sessions.getToken(session_id, { expiresInSeconds: 1_000 })
    using short = followRevocations({ serverURL, secretKey: SECRET_KEY, whenLost: 'refuse' })
    using long = followRevocations({
      serverURL,
      secretKey: SECRET_KEY,
      whenLost: 'refuse',
      longestTokenInSeconds: 1_000,
    })
    await Promise.all([short.current(), long.current()])
    const later = { now: () => Date.now() + 300_000 }
    await assert.rejects(createVerifier({ ...given, ...later, revocations: short })(jwt), {
      reason: 'revocations-unavailable',
    })
    assert.equal((await createVerifier({ ...given, ...later, revocations: long })(jwt)).sessionId, session_id)
  })

  it('name missing options of the follower', async () => {
    const good = { serverURL: 'http://127.0.0.1:1', secretKey: 'sk_test_1', whenLost: 'accept' as const }
    for (const [wrong, message] of [
      [{ whenLost: undefined }, /`whenLost` must be/],
      [{ secretKey: '' }, /`secretKey` is missing/],
      [{ secretKey: 'sk\n' }, /`secretKey`/],
      [{ longestTokenInSeconds: 0 }, /`longestTokenInSeconds`/],
    ] as const)
      assert.throws(() => followRevocations({ ...good, ...wrong } as never), { name: 'TypeError', message })
    assert.throws(() => followRevocations({ ...good, serverURL: 'no' }), { code: 'server_url_invalid' })
    using nowhere = followRevocations(good)
    await assert.rejects(nowhere.current(AbortSignal.timeout(300)), { name: 'TimeoutError' })
    assert.equal(nowhere.status, 'lost')
    const waiting = assert.rejects(nowhere.current(), /is closed/)
    nowhere.close()
    await waiting
    await assert.rejects(nowhere.current(), /is closed/)
    assert.doesNotMatch(inspect(nowhere, { depth: 9, showHidden: true }), /sk_test_1/)
  })
})

describe('real tokens', () => {
  for (const alg of algs) {
    it(`signed with ${alg} by a real server`, async () => {
      await using server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: alg } })
      const serverURL = await server.listen()
      const real = 'http://127.0.0.1:4100'
      const stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL })
      const { session_id, user_id, cookie, ticket } = await server.signIn({ actor })
      const { jwt } = await stagedoor.sessions.getToken(session_id)
      const keys = await stagedoor.jwks.get()
      const { kid } = JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString())
      const jwk = keys.keys.find(key => key.kid === kid)
      assert.equal(jwk?.alg, alg)
      const publicKey = publicKeyPem(createPublicKey({ key: jwk as never, format: 'jwk' }))
      for (const from of [{ jwks: keys }, { publicKey }, { jwks: remoteJwks(serverURL) }]) {
        const found = await verifySessionToken(jwt, { issuer: real, ...from })
        assert.equal(found.userId, user_id)
        assert.equal(found.sessionId, session_id)
        assert.deepEqual(found.actor, actor)
        for (const other of [ticket, cookie.replace('__client=', '')]) {
          await assert.rejects(verifySessionToken(other, { issuer: real, ...from }), TokenError)
        }
      }
      const given = { issuer: real, jwks: keys, authorizedParties: ['http://localhost:3000'] }
      await refused(jwt, 'token-wrong-party', given)
      const minted = await server.post(
        `/v1/client/sessions/${session_id}/tokens`,
        {},
        { cookie, origin: 'http://localhost:3000' },
      )
      assert.equal((await verifySessionToken(minted.body.jwt, given)).claims.azp, 'http://localhost:3000')
      await refused(jwt, 'token-expired', { issuer: real, jwks: keys, now: () => Date.now() + 66_000 })
      await refused(jwt, 'token-wrong-issuer', { issuer: serverURL, jwks: keys })
    })
  }
})

describe('without node:crypto and Buffer', () => {
  it('gives the same results with Web Crypto', () => {
    const good = algs.map(alg => token({ alg, claims: { act: actor } }))
    const bad = algs.map(alg => token({ alg, sign: input => signerOf(alg)(Buffer.concat([input, input])) }))
    const loose = `${good[0]?.slice(0, -1)}${loosened(good[0] ?? '').at(-1)}`
    const source = `
      const { getBuiltinModule } = process
      process.getBuiltinModule = undefined
      delete globalThis.Buffer
      const { verifySessionToken } = await import(${JSON.stringify(import.meta.resolve('@stagedoor/sdk/verify'))})
      const { tokens, jwks, pems, issuer, now } = ${JSON.stringify({ tokens: [...good, ...bad, loose], jwks, pems: algs.map(pemOf), issuer, now: now() })}
      const results = []
      for (const [index, token] of tokens.entries()) {
        for (const keys of [{ jwks }, { publicKey: pems[index % 3] }]) {
          results.push(await verifySessionToken(token, { issuer, now: () => now, ...keys }).then(found => found.actor.sub, error => error.reason))
        }
      }
      console.log(JSON.stringify(results))
    `
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
    const expected = [
      ...Array(6).fill('user_operator'),
      ...Array(6).fill('token-invalid-signature'),
      'token-malformed',
      'token-malformed',
    ]
    assert.deepEqual(JSON.parse(output), expected)
  })
})

/** Forwards bytes in both directions, until it is frozen or cut. */
async function tunnelTo(serverURL: string) {
  const { port } = new URL(serverURL)
  const sockets = new Set<Socket>()
  let open = true
  let frozen = false
  const listener = createTunnel(from => {
    if (!open) return from.destroy()
    if (frozen) return void sockets.add(from)
    const to = connect(Number(port), '127.0.0.1')
    for (const socket of [from, to]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    from.pipe(to).pipe(from)
  })
  await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    open = false
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    cut,
    mend: () => {
      open = true
      frozen = false
    },
    freeze: () => {
      frozen = true
      for (const socket of sockets) socket.unpipe().pause()
    },
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise(resolve => listener.close(resolve))
    },
  }
}

async function serverOfKeys(status = 200): Promise<AsyncDisposable & { url: string; requests(): number }> {
  let requests = 0
  const http = createServer((_, response) => {
    requests += 1
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(jwks))
  })
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections()
      await new Promise(resolve => http.close(resolve))
    },
  }
}

/** The same bytes, encoded with another last character. */
function loosened(part: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const other = part.slice(0, -1) + alphabet[alphabet.indexOf(part.at(-1) ?? '') ^ 1]
  assert.deepEqual(
    Buffer.from(other.split('.').at(-1) ?? '', 'base64url'),
    Buffer.from(part.split('.').at(-1) ?? '', 'base64url'),
  )
  return other
}

function publicKeyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'spki' }) as string
}
