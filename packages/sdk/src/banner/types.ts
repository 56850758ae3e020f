/** The actor payload. The banner shows its `name`, else `email`, else `sub`; `type: 'agent'` means an AI agent. */
export interface BannerActor {
  sub?: string
  [member: string]: unknown
}

/** Functions that replace `status-url`, `leave-url`, and the navigation at the end. */
export interface BannerHandlers {
  /** Returns whether the session is still active; `undefined` if that is unknown. */
  check?(): Promise<boolean | undefined>
  /** Stops acting and navigates away. If it rejects, the banner shows an error and a retry button. */
  leave?(): Promise<unknown>
  /** Called when acting has ended: navigates back to the operator's page. */
  back?(): unknown
}

/** What `followClerk` reads and sets of a banner. */
export interface FollowingBanner {
  session: string | null
  get actor(): BannerActor | null
  set actor(value: object | string | null)
  user: string | null
  reason: string | null
  reasonCategory: string | null
  ticket: string | null
  returnUrl: string | null
  get expiresAt(): number | null
  set expiresAt(value: number | string | Date | null)
  get handlers(): BannerHandlers
  set handlers(value: BannerHandlers | null)
  check(): Promise<void>
  end(reason?: 'expired' | 'ended'): void
}
