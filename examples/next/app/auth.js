import { authenticate } from '@stagedoor/sdk/next'

// If browsers use your app, also set `authorizedParties`: the origins of your pages.
export const { auth, requireUser, forbidActing, readOnlyWhileActing } = authenticate({
  issuer: process.env.STAGEDOOR_SERVER_URL ?? 'http://127.0.0.1:4100',
})
