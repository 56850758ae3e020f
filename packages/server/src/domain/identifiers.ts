export { emailParts, normalEmail, normalExternalId, normalPhone, normalUsername } from '../contract/identifiers.ts'
