/** Returns an actor's `sub` without differences that people do not see: case, spaces, and forms of one character. */
export const foldedSub = (sub: string): string => sub.normalize('NFKC').replace(/\s/g, '').toUpperCase().toLowerCase()

export { emailParts, normalEmail, normalExternalId, normalPhone, normalUsername } from '../contract/identifiers.ts'
