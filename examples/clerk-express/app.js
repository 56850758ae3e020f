// An app that uses only Clerk's SDKs. Its environment decides whether it uses Clerk or Stagedoor.
//
//   node app.js          serves the app
//   node app.js --seed   makes two sample users and prints a link that signs you in as the one from support
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clerkClient, clerkMiddleware, getAuth } from '@clerk/express'
import express from 'express'

if (existsSync('.env')) process.loadEnvFile()
const { CLERK_PUBLISHABLE_KEY, CLERK_PROXY_URL, HOST = '127.0.0.1', PORT = '3000' } = process.env
// Stagedoor serves the banner. With Clerk, bundle `@stagedoor/sdk/banner` from npm.
const BANNER_URL = process.env.BANNER_URL ?? `${CLERK_PROXY_URL}/banner.js`

const app = express()

// Clerk's browser builds, from npm. They come before the middleware, because scripts need no signed-in user.
for (const name of ['clerk-js', 'ui']) {
  const builds = dirname(fileURLToPath(import.meta.resolve(`@clerk/${name}`)))
  app.use(`/clerk/${name}`, express.static(builds))
}

app.use(clerkMiddleware())

app.get('/', (request, response) => {
  const auth = getAuth(request)
  const body = auth.userId
    ? `<p>You are signed in as <code id="user-id">${html(auth.userId)}</code>.</p>
<form method="post" action="/account/delete"><button>Delete my account</button></form>`
    : '<p><a href="/sign-in">Sign in</a></p>'
  response.send(page('Home', body))
})

// Ticket links lead here: <SignIn/> reads `__clerk_ticket` from the address and redeems it.
app.get('/sign-in', (_request, response) => {
  response.send(page('Sign in', '<div id="sign-in"></div>'))
})

// ---- Support acts as a user ----

/** Admits only support, and not while they act: an operator who acts has the user's rights, not their own. */
async function supportOnly(request, response, next) {
  const { userId, actor } = getAuth(request)
  if (!userId) return response.redirect('/sign-in')
  const user = await clerkClient.users.getUser(userId)
  if (actor || user.publicMetadata.role !== 'support')
    return response.status(403).send(page('Support', '<p>This page is for support.</p>'))
  response.locals.operator = user
  next()
}

app.get('/support', supportOnly, async (_request, response) => {
  const users = await clerkClient.users.getUserList({ limit: 100 })
  const rows = users.data
    .filter(user => user.id !== response.locals.operator.id)
    .map(
      user => `<li>${html(nameOf(user))}
<form method="post" action="/support/act-as/${encodeURIComponent(user.id)}"><button>Act as ${html(nameOf(user))}</button></form></li>`,
    )
  response.send(page('Support', `<ul>${rows.join('')}</ul>`))
})

// A POST: the session cookie is SameSite=Lax, so no other site can make a signed-in browser send this.
app.post('/support/act-as/:id', supportOnly, async (request, response) => {
  const { operator } = response.locals
  const token = await clerkClient.actorTokens.create({
    userId: request.params.id,
    actor: { sub: operator.id, name: nameOf(operator) },
    expiresInSeconds: 600,
    sessionMaxDurationInSeconds: 1_800,
  })
  response.redirect(303, token.url)
})

// ---- Forbidden while acting as another user ----

app.post('/account/delete', async (request, response) => {
  const auth = getAuth(request)
  if (!auth.userId) return response.redirect(303, '/sign-in')
  if (auth.actor) return response.status(403).send(page('Not allowed', '<p>Not while acting as another user.</p>'))
  await clerkClient.users.deleteUser(auth.userId)
  response.redirect(303, '/')
})

// Shows refusals of Clerk's API with their own text.
app.use((error, _request, response, next) => {
  const [refusal] = error.errors ?? []
  if (!refusal) return next(error)
  response.status(error.status ?? 500).send(page('That did not work', `<p>${html(refusal.longMessage)}</p>`))
})

/** Renders a page. On each, clerk-js keeps the session cookie fresh, and the banner shows who is acting. */
function page(title, body) {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${html(title)}</title>
  <link rel="icon" href="data:,">
  <script type="module" src="${html(BANNER_URL)}"></script>
</head>
<body>
  <stagedoor-banner clerk return-url="/support"></stagedoor-banner>
  <nav><a href="/">Home</a> <a href="/support">Support</a> <span id="user"></span></nav>
  <main>
    <h1>${html(title)}</h1>
    ${body}
  </main>
  <script src="/clerk/ui/ui.browser.js"></script>
  <script src="/clerk/clerk-js/clerk.browser.js" data-clerk-publishable-key="${html(CLERK_PUBLISHABLE_KEY)}"
    ${CLERK_PROXY_URL ? `data-clerk-proxy-url="${html(CLERK_PROXY_URL)}"` : ''}></script>
  <script type="module">
    const { Clerk } = window
    await Clerk.load({
      ui: { ClerkUI: window.__internal_ClerkUICtor },
      signInUrl: '/sign-in',
      // After signing out with Clerk's own button, the browser also goes there, and not to the choice of accounts.
      afterMultiSessionSingleSignOutUrl: '/support',
    })
    const signIn = document.getElementById('sign-in')
    if (signIn) Clerk.mountSignIn(signIn)
    if (Clerk.user) Clerk.mountUserButton(document.getElementById('user'))
  </script>
</body>
</html>
`
}

function nameOf(user) {
  return user.fullName ?? user.primaryEmailAddress?.emailAddress ?? user.id
}

/** Escapes text for HTML. */
function html(text) {
  return String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}

/** Creates Olivia (support) and Carl (customer) once, and prints a sign-in link for Olivia: Stagedoor has no passwords. */
async function seed() {
  const olivia = await sampleUser({ externalId: 'olivia', firstName: 'Olivia', publicMetadata: { role: 'support' } })
  await sampleUser({ externalId: 'carl', firstName: 'Carl', publicMetadata: {} })
  const { url } = await clerkClient.signInTokens.createSignInToken({ userId: olivia.id, expiresInSeconds: 3_600 })
  console.log(`Olivia (support) signs in here, once:\n${url}`)
}

async function sampleUser(fields) {
  const { data } = await clerkClient.users.getUserList({ externalId: [fields.externalId] })
  const emailAddress = [`${fields.externalId}@example.com`]
  return data[0] ?? clerkClient.users.createUser({ ...fields, emailAddress, skipPasswordRequirement: true })
}

if (process.argv.includes('--seed')) await seed()
else app.listen(Number(PORT), HOST, () => console.log(`http://${HOST}:${PORT}`))
