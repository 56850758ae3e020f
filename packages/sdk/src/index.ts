/** What `@stagedoor/sdk` promises: adding a line here is a promise. Types of requests and answers: `models/`. */
export { type ClientErrorCode, type ErrorDetail, StagedoorError } from './errors.ts'
export type { CreateOptions, RequestOptions, StagedoorOptions } from './http.ts'
export type { ErrorCode } from './models/schemas.ts'
export { Stagedoor } from './stagedoor.ts'
