const { STAGEDOOR_SERVER_URL = 'http://127.0.0.1:4100' } = process.env

export const text = value => String(value).replace(/[&<>"']/g, letter => `&#${letter.charCodeAt(0)};`)

/** Renders a page of the shop. Every page has the banner, which is visible only while an operator acts. */
export function page(title, req, body) {
  const { acting } = req?.session ?? {}
  const attributes = acting && {
    session: acting.id,
    actor: JSON.stringify(acting.actor),
    user: acting.as,
    reason: acting.reason ?? '',
    'reason-category': acting.reasonCategory ?? '',
    ticket: acting.ticket ?? '',
    'expires-at': acting.until,
    now: Date.now(),
    'leave-url': '/acting/leave',
    'status-url': '/acting/status',
    'return-url': '/support',
  }
  const banner = Object.entries(attributes ?? {}).map(([name, value]) => ` ${name}="${text(value)}"`)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${text(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/shop.css">
<script type="module" src="${STAGEDOOR_SERVER_URL}/banner.js"></script>
<stagedoor-banner${banner.join('')}></stagedoor-banner>
<main>
<h1>${text(title)}</h1>
${body}
${req?.user ? `<form method="post" action="/logout">${text(req.user.name)} <button>Log out</button></form>` : ''}
</main>
</html>
`
}
