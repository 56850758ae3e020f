import * as contract from '../../contract/acting.ts'
import { listActing } from '../../domain/acting.ts'
import type { Http } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentActing } from './present.ts'

export function mountActing(http: Http): void {
  mountList(http, contract.listActing, listActing, (_ctx, record) => presentActing(record))
}
