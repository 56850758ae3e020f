// An ordinary app with its own users, login and cookie. stagedoor.ts adds acting as a customer.
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import express from 'express'
import { page, text } from './pages.js'
import { addActing } from './stagedoor.ts'

const { PORT = '3000', STAGEDOOR_SERVER_URL = 'http://127.0.0.1:4100', SESSIONS = 'cookie-session' } = process.env
const { session, startSession } = await import(SESSIONS === 'express-session' ? './session.ts' : './cookie-session.ts')

/** The user table. */
const users = new Map()
function addUser(id, name, email, role) {
  const salt = randomBytes(16)
  users.set(id, { id, name, email, role, salt, hash: scryptSync(`${id}-password`, salt, 32) })
}
addUser('olivia', 'Olivia Operator', 'olivia@shop.example', 'support')
addUser('carl', 'Carl Customer', 'carl@mail.example', 'customer')
addUser('dora', 'Dora Customer', 'dora@mail.example', 'customer')

const app = express()
app.disable('x-powered-by')
app.use((_req, res, next) => {
  res.set({
    // Strict. Stagedoor needs only two exceptions: the origin of the banner's script, and the form that starts acting.
    'content-security-policy': `default-src 'none'; script-src ${STAGEDOOR_SERVER_URL}; connect-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self' ${STAGEDOOR_SERVER_URL}; base-uri 'none'; frame-ancestors 'none'`,
    'referrer-policy': 'same-origin',
    'cache-control': 'no-store',
  })
  next()
})
app.use(express.static(new URL('public', import.meta.url).pathname))
app.use(express.urlencoded({ extended: false }))
app.use(session)
// Rejects forms of other sites. SameSite=Lax keeps the cookie from them; this also keeps them from logging a browser in.
app.use((req, res, next) => {
  const { origin } = req.headers
  if (req.method !== 'GET' && origin !== undefined && new URL(origin).host !== req.headers.host) res.sendStatus(403)
  else next()
})
app.use((req, _res, next) => {
  req.user = users.get(req.session.userId)
  next()
})

const requireUser = (req, res, next) => (req.user ? next() : res.redirect(303, '/login'))
const requireSupport = (req, res, next) =>
  req.session.acting
    ? res.redirect(303, '/')
    : req.user?.role === 'support'
      ? next()
      : res.status(403).send(page('Support only', req, '<p>This page is for support.</p><p><a href="/">Back</a></p>'))
/** Refuses actions that are forbidden while acting as another user. */
const forbidActing = (req, res, next) =>
  req.session.acting
    ? res
        .status(403)
        .send(page('Not while acting', req, '<p>Not while acting as another user.</p><p><a href="/">Back</a></p>'))
    : next()

addActing(app, { requireSupport, findUser: id => users.get(id), startSession })

app.get('/login', (_req, res) => {
  res.send(
    page(
      'Log in',
      undefined,
      `<form method="post" action="/login">
<label>E-mail <input name="email" type="email" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form>
<p>olivia@shop.example (support), carl@mail.example, dora@mail.example; the password is olivia-password and so on.</p>`,
    ),
  )
})
app.post('/login', async (req, res) => {
  const user = [...users.values()].find(each => each.email === req.body.email)
  const given = scryptSync(String(req.body.password), user?.salt ?? '', 32)
  if (!user || !timingSafeEqual(given, user.hash))
    return res
      .status(401)
      .send(page('Log in', undefined, '<p>Wrong e-mail or password.</p><p><a href="/login">Try again</a></p>'))
  await startSession(req, { userId: user.id })
  res.redirect(303, user.role === 'support' ? '/support' : '/')
})
app.post('/logout', async (req, res) => {
  // Logging out while acting ends the customer's session and keeps the operator's.
  if (req.session.acting) return res.redirect(307, '/acting/leave')
  await startSession(req, {})
  res.redirect(303, '/login')
})

app.get('/', requireUser, (req, res) => {
  res.send(
    page(
      'Your orders',
      req,
      `<ul><li>Order 1001, for ${text(req.user.name)}</li></ul>
<form method="post" action="/account/delete"><button>Delete my account</button></form>`,
    ),
  )
})
app.post('/account/delete', requireUser, forbidActing, async (req, res) => {
  users.delete(req.user.id)
  await startSession(req, {})
  res.redirect(303, '/login')
})

app.get('/support', requireSupport, (req, res) => {
  const rows = [...users.values()]
    .filter(user => user.role === 'customer')
    .map(
      user => `<li><form method="post" action="/support/act-as/${user.id}">${text(user.name)}
<label>Why <input name="reason" required maxlength="500"></label> <button>Act as ${text(user.name)}</button></form></li>`,
    )
  res.send(page('Support', req, `<ul>${rows.join('')}</ul>`))
})

// Express recognizes error handlers by their four parameters.
app.use((error, req, res, _next) => {
  if (error.code === undefined) console.error(error)
  res.status(error.status >= 400 && error.status < 500 ? error.status : 500)
  res.send(page('That did not work', req, `<p>${text(error.message)}</p><p><a href="/">Back</a></p>`))
})

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`The shop is at http://127.0.0.1:${server.address().port}`)
})
process.on('SIGTERM', () => server.close())
