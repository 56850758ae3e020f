/** The public API of `@stagedoor/sdk`: every export here must stay compatible. Types of requests and answers are in `models/`. */
export { type ClientErrorCode, type ErrorDetail, StagedoorError } from './errors.ts'
export type { CreateOptions, RequestOptions, StagedoorOptions } from './http.ts'
export type { ErrorCode } from './models/schemas.ts'
export { Stagedoor } from './stagedoor.ts'
