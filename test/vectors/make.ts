/**
 * Makes session-tokens.json with new keys: `node test/vectors/make.ts`. Run it when you add a vector. The private keys are
 * not kept.
 */
import {
  constants,
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyPairKeyObjectResult,
  privateEncrypt,
  sign,
} from 'node:crypto'
import { writeFileSync } from 'node:fs'

type Alg = 'RS256' | 'ES256' | 'EdDSA'

interface Vector {
  id: number
  comment: string
  token: string
  result: 'valid' | 'invalid'
  /** The error of an invalid token: as in `TokenError` and `TokenRefused`. */
  reason?: string
}

const pairs: Record<Alg, KeyPairKeyObjectResult> = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
}
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
const algs = Object.keys(pairs) as Alg[]
const jwkOf = (alg: Alg) => ({
  ...pairs[alg].publicKey.export({ format: 'jwk' }),
  kid: `key_${alg}`,
  alg,
  use: 'sig',
})
const jwks = { keys: algs.map(jwkOf) }
const pem = pairs.RS256.publicKey.export({ format: 'pem', type: 'spki' }) as string

const issuer = 'https://auth.example.com'
const party = 'https://app.example.com'
const now = 1_800_000_000
const skew = 5
const usual = {
  azp: party,
  exp: now + 60,
  fva: [-1, -1],
  iat: now,
  iss: issuer,
  jti: '0102030405060708090a',
  nbf: now - 10,
  sid: 'sess_vector',
  sts: 'active',
  sub: 'user_vector',
  v: 2,
  act: { sub: 'user_operator', role: 'support' },
}

const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
const encode = (value: unknown) => Buffer.from(text(value)).toString('base64url')
const headerOf = (alg: Alg) => ({ alg, cat: 'cl_B7d4PD111AAA', kid: `key_${alg}`, typ: 'JWT' })

interface Parts {
  alg?: Alg
  /** Members, or the whole text. */
  header?: object | string
  claims?: object | string
  signature?: (input: Buffer) => Buffer
}

function token({ alg = 'RS256', header = {}, claims = {}, signature = signed(alg) }: Parts = {}): string {
  const head = encode(typeof header === 'string' ? header : { ...headerOf(alg), ...header })
  const body = encode(typeof claims === 'string' ? claims : { ...usual, ...claims })
  return `${head}.${body}.${signature(Buffer.from(`${head}.${body}`)).toString('base64url')}`
}

function signed(alg: Alg): (input: Buffer) => Buffer {
  const { privateKey } = pairs[alg]
  return input => sign(alg === 'EdDSA' ? null : 'sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
}

const groups: { name: string; source: string; tests: Vector[] }[] = []
let count = 0
function group(name: string, source: string, tests: [comment: string, token: string, reason?: string][]): void {
  groups.push({
    name,
    source,
    tests: tests.map(([comment, text, reason]) => ({
      id: ++count,
      comment,
      token: text,
      ...(reason === undefined ? { result: 'valid' as const } : { result: 'invalid' as const, reason }),
    })),
  })
}

group('good tokens', 'RFC 7519 §7.2', [
  ...algs.map((alg): [string, string] => [`signed with ${alg}`, token({ alg })]),
  ['of the user’s own session', token({ claims: { act: undefined } })],
  ['of an actor behind an actor', token({ claims: { act: { sub: 'a', act: { sub: 'b' } } } })],
  ['a member of the header that nobody knows', token({ header: { x: 1 } })],
  ['a claim that nobody knows', token({ claims: { x: { y: [1] } } })],
  ['white space in the JSON', token({ claims: JSON.stringify(usual, null, 2) })],
  [
    'of two members of one name the last counts',
    token({ claims: `{"sub":"user_other",${JSON.stringify(usual).slice(1)}` }),
  ],
  ['text that is not ASCII', token({ claims: { act: { sub: 'ü𝄞', name: 'Ölaf' } } })],
])

group('no signature, or none of that kind', 'RFC 8725 §3.1, §3.2', [
  ...[
    'none',
    'None',
    'nOnE',
    'NONE',
    'HS256',
    'HS512',
    'PS256',
    'RS384',
    'RS512',
    'ES384',
    'ES512',
    'ES256K',
    'rs256',
    'Ed25519',
    '',
  ].map((alg): [string, string, string] => [
    `alg ${JSON.stringify(alg)}, signed with RS256`,
    token({ header: { alg } }),
    'token-wrong-algorithm',
  ]),
  ...[null, 1, ['RS256'], { alg: 'RS256' }, true].map((alg): [string, string, string] => [
    `alg ${JSON.stringify(alg)}`,
    token({ header: { alg } }),
    'token-wrong-algorithm',
  ]),
  ['no alg', token({ header: { alg: undefined } }), 'token-wrong-algorithm'],
  ['none, and no signature', token({ header: { alg: 'none' } }).replace(/[^.]*$/, ''), 'token-malformed'],
  ['RS256, and no signature', token().replace(/[^.]*$/, ''), 'token-malformed'],
  [
    'of a key that nobody has published',
    token({ signature: input => sign('sha256', input, stranger.privateKey) }),
    'token-invalid-signature',
  ],
])

const hmac = (secret: string | Buffer) => (input: Buffer) => createHmac('sha256', secret).update(input).digest()
group('HMAC with what is public', 'RFC 8725 §3.1; CVE-2015-9235, CVE-2023-48223', [
  ...(
    [
      ['the PEM', pem],
      ['the PEM without its last line break', pem.trim()],
      ['the PEM after a space', ` ${pem}`],
      ['the PEM after a byte order mark', `\uFEFF${pem}`],
      ['the DER', pairs.RS256.publicKey.export({ format: 'der', type: 'spki' })],
      ['the JWK', JSON.stringify(jwkOf('RS256'))],
      ['the key set', JSON.stringify(jwks)],
      ['nothing', ''],
    ] as const
  ).flatMap(([what, secret]): [string, string, string][] => [
    [`HS256 with ${what}`, token({ header: { alg: 'HS256' }, signature: hmac(secret) }), 'token-wrong-algorithm'],
    [`HMAC with ${what}, called RS256`, token({ signature: hmac(secret) }), 'token-invalid-signature'],
  ]),
])

group('another algorithm of the key', 'RFC 8725 §3.1', [
  ...algs.flatMap(theirs =>
    algs
      .filter(named => named !== theirs)
      .flatMap((named): [string, string, string][] => [
        [
          `signed with ${theirs}, called ${named}, by the key of ${theirs}`,
          token({ alg: theirs, header: { alg: named } }),
          'key-unknown',
        ],
        [
          `signed with ${theirs}, by the key of ${named}`,
          token({ alg: theirs, header: { kid: `key_${named}` } }),
          'key-unknown',
        ],
      ]),
  ),
  [
    'RSASSA-PSS, called RS256',
    token({
      signature: input =>
        sign('sha256', input, {
          key: pairs.RS256.privateKey,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: 32,
        }),
    }),
    'token-invalid-signature',
  ],
  [
    'RSA with SHA-512, called RS256',
    token({ signature: input => sign('sha512', input, pairs.RS256.privateKey) }),
    'token-invalid-signature',
  ],
  [
    'RSA with SHA-1, called RS256',
    token({ signature: input => sign('sha1', input, pairs.RS256.privateKey) }),
    'token-invalid-signature',
  ],
])

group('the name of the key', 'RFC 7515 §4.1.4', [
  ...[
    '../../../../dev/null',
    "' OR 1=1--",
    '__proto__',
    'constructor',
    '',
    'KEY_RS256',
    'key_RS256 ',
    'k'.repeat(128),
  ].map((kid): [string, string, string] => [
    `kid ${JSON.stringify(kid.slice(0, 30))}`,
    token({ header: { kid } }),
    'key-unknown',
  ]),
  ['no kid', token({ header: { kid: undefined } }), 'key-unknown'],
  ...[null, 1, {}, ['key_RS256'], 'k'.repeat(129)].map((kid): [string, string, string] => [
    `kid ${JSON.stringify(kid).slice(0, 30)}`,
    token({ header: { kid } }),
    'token-malformed',
  ]),
])

const theirs = stranger.publicKey.export({ format: 'jwk' })
const byStranger = (input: Buffer) => sign('sha256', input, stranger.privateKey)
group('a header that brings a key, or changes what is signed', 'RFC 7515 §4.1, RFC 7797, RFC 8725 §3.10', [
  ['jwk', token({ header: { jwk: theirs }, signature: byStranger }), 'token-malformed'],
  ['jwk of the right key', token({ header: { jwk: jwkOf('RS256') } }), 'token-malformed'],
  ['jku', token({ header: { jku: 'https://evil.example.com/jwks' }, signature: byStranger }), 'token-malformed'],
  ['x5u', token({ header: { x5u: 'https://evil.example.com/x5u' } }), 'token-malformed'],
  ['x5c', token({ header: { x5c: [] } }), 'token-malformed'],
  ['crit', token({ header: { crit: ['exp'] } }), 'token-malformed'],
  ['crit, empty', token({ header: { crit: [] } }), 'token-malformed'],
  ['b64 false', token({ header: { b64: false, crit: ['b64'] } }), 'token-malformed'],
  ['zip', token({ header: { zip: 'DEF' } }), 'token-malformed'],
  ['enc', token({ header: { enc: 'A256GCM' } }), 'token-malformed'],
])

const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
const bytes32 = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0').slice(-64), 'hex')
const halves = (signature: Buffer) =>
  [signature.subarray(0, 32), signature.subarray(32)].map(half => BigInt(`0x${half.toString('hex')}`)) as [
    bigint,
    bigint,
  ]
const ecdsa = (change: (r: bigint, s: bigint) => [bigint, bigint]) => (input: Buffer) => {
  const [r, s] = change(...halves(signed('ES256')(input)))
  return Buffer.concat([bytes32(r), bytes32(s)])
}
const es256 = (comment: string, signature: (input: Buffer) => Buffer, reason?: string): [string, string, string?] => [
  comment,
  token({ alg: 'ES256', signature }),
  ...(reason === undefined ? ([] as []) : ([reason] as [string])),
]
const BAD = 'token-invalid-signature'
group('ECDSA signatures', 'RFC 7518 §3.4, FIPS 186-5 §6.4.2; CVE-2022-21449', [
  es256(
    'the other s: as good',
    ecdsa((r, s) => [r, ORDER - s]),
  ),
  es256('r and s are 0', () => Buffer.alloc(64), BAD),
  es256(
    'r is 0',
    ecdsa((_, s) => [0n, s]),
    BAD,
  ),
  es256(
    's is 0',
    ecdsa(r => [r, 0n]),
    BAD,
  ),
  es256(
    'r and s are 1',
    ecdsa(() => [1n, 1n]),
    BAD,
  ),
  es256(
    'r is the order',
    ecdsa((_, s) => [ORDER, s]),
    BAD,
  ),
  es256(
    's is the order',
    ecdsa(r => [r, ORDER]),
    BAD,
  ),
  es256(
    'r and s are the order',
    ecdsa(() => [ORDER, ORDER]),
    BAD,
  ),
  es256(
    'r is the order less 1',
    ecdsa((_, s) => [ORDER - 1n, s]),
    BAD,
  ),
  es256(
    'r and s swapped',
    ecdsa((r, s) => [s, r]),
    BAD,
  ),
  es256('r and s of only ones', () => Buffer.alloc(64, 0xff), BAD),
  es256('DER', input => sign('sha256', input, pairs.ES256.privateKey), BAD),
  es256('a byte too few', input => signed('ES256')(input).subarray(0, 63), BAD),
  es256('a byte too many', input => Buffer.concat([signed('ES256')(input), Buffer.alloc(1)]), BAD),
  es256(
    'a 0 before each half',
    input =>
      Buffer.concat([
        Buffer.alloc(1),
        signed('ES256')(input).subarray(0, 32),
        Buffer.alloc(1),
        signed('ES256')(input).subarray(32),
      ]),
    BAD,
  ),
  es256('over another text', input => signed('ES256')(Buffer.concat([input, input])), BAD),
])

/** PKCS #1 v1.5, built by hand: the bytes before and after the hash may be anything. */
const digestInfo = Buffer.from('3031300d060960864801650304020105000420', 'hex')
const rsa = (build: (hash: Buffer) => Buffer) => (input: Buffer) => {
  const block = build(createHash('sha256').update(input).digest())
  return privateEncrypt({ key: pairs.RS256.privateKey, padding: constants.RSA_NO_PADDING }, block)
}
const padded = (content: Buffer, { type = 1, fill = 0xff, after = Buffer.alloc(0), least = 0 } = {}) => {
  const length = least || 256 - 3 - content.length - after.length
  const block = Buffer.concat([Buffer.from([0, type]), Buffer.alloc(length, fill), Buffer.from([0]), content, after])
  return Buffer.concat([block, Buffer.alloc(256 - block.length)])
}
const rs256 = (comment: string, build: (hash: Buffer) => Buffer, reason?: string): [string, string, string?] => [
  comment,
  token({ signature: rsa(build) }),
  ...(reason === undefined ? ([] as []) : ([reason] as [string])),
]
group('RSA signatures', 'RFC 8017 §8.2.2, §9.2; CVE-2006-4339, CVE-2014-1568', [
  rs256('built by hand as it should be: as good', hash => padded(Buffer.concat([digestInfo, hash]))),
  rs256(
    'eight bytes of padding, and rubbish after the hash',
    hash => padded(Buffer.concat([digestInfo, hash]), { least: 8 }),
    BAD,
  ),
  rs256(
    'rubbish after the hash, inside',
    hash => padded(Buffer.concat([digestInfo, hash]), { after: Buffer.alloc(20, 1) }),
    BAD,
  ),
  rs256('block type 2', hash => padded(Buffer.concat([digestInfo, hash]), { type: 2 }), BAD),
  rs256('block type 0', hash => padded(Buffer.concat([digestInfo, hash]), { type: 0, fill: 0 }), BAD),
  rs256('padding of something else', hash => padded(Buffer.concat([digestInfo, hash]), { fill: 0xfe }), BAD),
  rs256('no name of the hash function', hash => padded(hash), BAD),
  rs256(
    'no NULL after the name of the hash function',
    hash => padded(Buffer.concat([Buffer.from('302f300b0609608648016503040201' + '0420', 'hex'), hash])),
    BAD,
  ),
  rs256(
    'lengths in their long form',
    hash => padded(Buffer.concat([Buffer.from('30813130' + '0d060960864801650304020105000420', 'hex'), hash])),
    BAD,
  ),
  rs256(
    'the name of SHA-1, the hash of SHA-256',
    hash => padded(Buffer.concat([Buffer.from('3029300906052b0e03021a05000420', 'hex'), hash])),
    BAD,
  ),
  rs256('the hash of nothing', () => padded(Buffer.concat([digestInfo, createHash('sha256').digest()])), BAD),
  ['0', token({ signature: () => Buffer.alloc(256) }), BAD],
  ['1', token({ signature: () => Buffer.concat([Buffer.alloc(255), Buffer.from([1])]) }), BAD],
  ['larger than the modulus', token({ signature: () => Buffer.alloc(256, 0xff) }), BAD],
  ['a byte too few', token({ signature: input => signed('RS256')(input).subarray(0, 255) }), BAD],
  ['a 0 before it', token({ signature: input => Buffer.concat([Buffer.alloc(1), signed('RS256')(input)]) }), BAD],
  ['one byte', token({ signature: () => Buffer.from([1]) }), BAD],
])

const EDWARDS_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n
const little = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
const littleBytes = (value: bigint) => bytes32(value).reverse()
const eddsa = (comment: string, change: (signature: Buffer) => Buffer): [string, string, string] => [
  comment,
  token({ alg: 'EdDSA', signature: input => change(signed('EdDSA')(input)) }),
  BAD,
]
group('EdDSA signatures', 'RFC 8032 §5.1.7', [
  eddsa('s and the order: the same to who does not look', signature =>
    Buffer.concat([signature.subarray(0, 32), littleBytes(little(signature.subarray(32)) + EDWARDS_ORDER)]),
  ),
  eddsa('s is 0', signature => Buffer.concat([signature.subarray(0, 32), Buffer.alloc(32)])),
  eddsa('R is 0', signature => Buffer.concat([Buffer.alloc(32), signature.subarray(32)])),
  eddsa('all 0', () => Buffer.alloc(64)),
  eddsa('the neutral element, and 0', () => Buffer.concat([Buffer.from([1]), Buffer.alloc(63)])),
  eddsa('a bit of R changed', signature =>
    Buffer.concat([Buffer.from([(signature[0] as number) ^ 1]), signature.subarray(1)]),
  ),
  eddsa('a byte too few', signature => signature.subarray(0, 63)),
  eddsa('a byte too many', signature => Buffer.concat([signature, Buffer.alloc(1)])),
  eddsa('halves swapped', signature => Buffer.concat([signature.subarray(32), signature.subarray(0, 32)])),
])

const good = token()
const [head = '', body = '', signature = ''] = good.split('.')
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const loose = signature.slice(0, -1) + alphabet[alphabet.indexOf(signature.at(-1) as string) ^ 1]
group('the text', 'RFC 7515 §2, §3; RFC 4648 §3.5', [
  ['the same bytes, with other loose bits', `${head}.${body}.${loose}`, 'token-malformed'],
  ...['=', ' ', '\n', '.', '.x', '\t', '\u00a0'].map((end): [string, string, string] => [
    `${JSON.stringify(end)} after it`,
    `${good}${end}`,
    'token-malformed',
  ]),
  ...[' ', '\n', '.', '\uFEFF'].map((start): [string, string, string] => [
    `${JSON.stringify(start)} before it`,
    `${start}${good}`,
    'token-malformed',
  ]),
  [
    'padded parts',
    good
      .split('.')
      .map(part => part + '='.repeat((4 - (part.length % 4)) % 4 || 4))
      .join('.'),
    'token-malformed',
  ],
  [
    'the alphabet of plain base64',
    good
      .split('.')
      .map(part => Buffer.from(part, 'base64url').toString('base64'))
      .join('.'),
    'token-malformed',
  ],
  ['a space in a part', `${head}.${body.slice(0, 8)} ${body.slice(8)}.${signature}`, 'token-malformed'],
  ['a line break in a part', `${head}.${body.slice(0, 8)}\n${body.slice(8)}.${signature}`, 'token-malformed'],
  ['two parts', `${head}.${body}`, 'token-malformed'],
  ['one part', head, 'token-malformed'],
  ['nothing', '', 'token-malformed'],
  ['dots', '..', 'token-malformed'],
  ['many dots', '.'.repeat(10_000), 'token-malformed'],
  ['JSON serialization', JSON.stringify({ payload: body, protected: head, signature }), 'token-malformed'],
  ['claims of another token', `${head}.${encode({ ...usual, sub: 'user_other' })}.${signature}`, BAD],
  ['header of another token', `${encode({ ...headerOf('RS256'), x: 1 })}.${body}.${signature}`, BAD],
  ['longer than 8192', token({ claims: { x: 'x'.repeat(8_192) } }), 'token-malformed'],
  ...['null', '[]', '1', '"x"', '{', '', '{}x', '\uFEFF{}'].flatMap((json): [string, string, string][] => [
    [`a header of ${JSON.stringify(json)}`, token({ header: json }), 'token-malformed'],
    [`claims of ${JSON.stringify(json)}`, token({ claims: json }), 'token-malformed'],
  ]),
])

group('another kind of token', 'RFC 8725 §3.11', [
  ...['at+jwt', 'ticket+jwt', 'client+jwt', 'secevent+jwt', 'jwt', '', null, ['JWT'], undefined].map(
    (typ): [string, string, string] => [`typ ${JSON.stringify(typ)}`, token({ header: { typ } }), 'token-wrong-kind'],
  ),
  ...['cl_B7d4PD222AAA', 'cl_B7d4PD333AAA', '', null, undefined].map((cat): [string, string, string] => [
    `cat ${JSON.stringify(cat)}`,
    token({ header: { cat } }),
    'token-wrong-kind',
  ]),
  ...['https://api.example.com', [issuer], null, ''].map((aud): [string, string, string] => [
    `aud ${JSON.stringify(aud)}`,
    token({ claims: { aud } }),
    'token-wrong-kind',
  ]),
])

const raw = (claim: string, json: string) =>
  JSON.stringify({ ...usual, [claim]: 0 }).replace(`"${claim}":0`, `"${claim}":${json}`)
group('the claims', 'RFC 7519 §4.1, RFC 8693 §4.1', [
  ...['exp', 'iat', 'nbf', 'sub', 'sid', 'iss'].flatMap(claim =>
    [undefined, null, '', [], {}].map((value): [string, string, string] => [
      `${claim} ${value === undefined ? 'missing' : JSON.stringify(value)}`,
      token({ claims: { [claim]: value } }),
      'token-malformed',
    ]),
  ),
  ...['exp', 'iat', 'nbf'].flatMap(claim =>
    [`"${now}"`, `${now}.5`, '-1', '1e400', '9007199254740992', `[${now}]`, 'true'].map(
      (json): [string, string, string] => [`${claim} ${json}`, token({ claims: raw(claim, json) }), 'token-malformed'],
    ),
  ),
  ...[null, false, '', 'user_operator', 0, [], {}, { sub: 1 }, { sub: null }].map((act): [string, string, string] => [
    `act ${JSON.stringify(act)}: never taken for none`,
    token({ claims: { act } }),
    'token-malformed',
  ]),
  ['expired within the skew', token({ claims: { exp: now - skew + 1 } })],
  ['expired', token({ claims: { exp: now - skew } }), 'token-expired'],
  ['not active yet, within the skew', token({ claims: { nbf: now + skew } })],
  ['not active yet', token({ claims: { nbf: now + skew + 1 } }), 'token-not-active-yet'],
  ['made in the future', token({ claims: { iat: now + skew + 1 } }), 'token-not-active-yet'],
  ...[
    `${issuer}/`,
    issuer.toUpperCase(),
    'https://auth.example.com.evil.com',
    ` ${issuer}`,
    'http://auth.example.com',
  ].map((iss): [string, string, string] => [`iss ${iss}`, token({ claims: { iss } }), 'token-wrong-issuer']),
  ['iss a list', token({ claims: { iss: [issuer] } }), 'token-malformed'],
  ...['https://evil.example.com', `${party}/`, `${party}.evil.com`, '', undefined].map(
    (azp): [string, string, string] => [`azp ${JSON.stringify(azp)}`, token({ claims: { azp } }), 'token-wrong-party'],
  ),
  ['azp a list', token({ claims: { azp: [party] } }), 'token-malformed'],
  ['a session that is pending', token({ claims: { sts: 'pending' } }), 'session-not-active'],
])

const malformed = (comment: string, scope: unknown): [string, string, string] => [
  comment,
  token({ claims: { scope } }),
  'token-malformed',
]
group('the claim scope: never taken for no limit', 'RFC 8693 §4.2', [
  ['read', token({ claims: { scope: 'act:read' } })],
  ['read, with a scope', token({ claims: { scope: 'act:read invoices:read' } })],
  ['write, with scopes', token({ claims: { scope: 'act:write invoices:read invoices:send' } })],
  ['without an actor it is the app’s own', token({ claims: { act: undefined, scope: ['x'] } })],
  ...[null, false, true, 0, '', [], ['act:read'], {}, { access: 'read' }].map(scope =>
    malformed(`${JSON.stringify(scope)}`, scope),
  ),
  ...[
    'act:write',
    'act:admin',
    'act:',
    'read',
    'invoices:read',
    'invoices:read act:read',
    'act:read act:write',
    'act:write act:read',
    'act:read act:read',
    'act:write act:write',
    'act:write invoices:read act:read',
    'act:write invoices:read invoices:read',
    'act:read  invoices:read',
    ' act:read',
    'act:read ',
    'act:read\tinvoices:read',
    'act:read\n',
    'act:read,invoices:read',
    'ACT:READ',
    'Act:read',
    'аct:read',
    'act:write Invoices:read',
    'act:write ínvoices:read',
    'act:write 1nvoices',
    'act:write invoices/read',
    'act:write *',
    `act:write ${'x'.repeat(65)}`,
  ].map(scope => malformed(JSON.stringify(scope), scope)),
])

const file = {
  about:
    'Session tokens, good and bad, and what a verifier says of each: the whole token, with these keys, at this time. Made by make.ts.',
  issuer,
  authorizedParties: [party],
  clockSkewInSeconds: skew,
  now,
  jwks,
  groups,
}
writeFileSync(new URL('session-tokens.json', import.meta.url), `${JSON.stringify(file, null, 1)}\n`)
console.log(`${count} vectors in ${groups.length} groups`)
