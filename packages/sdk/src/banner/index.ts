/**
 * `<stagedoor-banner>`: shows the actor, the user, the reason and ticket, the remaining time and a button to leave. A custom element,
 * which the server serves as one script, `/banner.js`.
 *
 *     <script type="module" src="/banner.js"></script>
 *     <stagedoor-banner session="sess_…" actor='{"sub":"olivia@support"}' user="carl@example.com" reason="Ticket 1234"
 *       expires-at="2026-01-01T12:30:00Z" leave-url="/stop-acting" status-url="/acting"></stagedoor-banner>
 */
import { StagedoorBanner } from './element.ts'

export { type ClerkLike, type ClerkSession, type ClerkUser, followClerk } from './clerk.ts'
export { StagedoorBanner } from './element.ts'
export type { BannerLabels } from './texts.ts'
export type { BannerActor, BannerHandlers } from './types.ts'

// Keep this last: it activates the banners that are already in the page.
if (globalThis.customElements && !customElements.get('stagedoor-banner')) {
  customElements.define('stagedoor-banner', StagedoorBanner)
}
