import { authenticate } from '@stagedoor/sdk/next'

// In a browser's app also `authorizedParties`: the origins of your pages.
export const { auth, requireUser, forbidActing, readOnlyWhileActing } = authenticate({
  issuer: process.env.STAGEDOOR_SERVER_URL ?? 'http://127.0.0.1:4100',
})
