import {
  AliasNode,
  CommonTableExpressionNameNode,
  CommonTableExpressionNode,
  DeleteQueryNode,
  IdentifierNode,
  InsertQueryNode,
  type OperationNode,
  PrimitiveValueListNode,
  QueryNode,
  type RootOperationNode,
  SelectionNode,
  SelectQueryNode,
  sql,
  TableNode,
  UpdateQueryNode,
  ValueNode,
  ValuesNode,
  WithNode,
} from 'kysely'
import { type Step, sqlFor } from '../query.ts'

/**
 * Combines the steps of a transition into one statement, so that it takes one round trip. Each step becomes a common
 * table expression `step_0`, `step_1`, …; the statement returns the rows of the first. If the first step is `required`,
 * the others take effect only if it returned a row.
 */

type WritingNode = InsertQueryNode | UpdateQueryNode | DeleteQueryNode

/** Whether no step depends on the rows of another, apart from the condition that the first one matched. */
export function areIndependent(steps: readonly Step[]): boolean {
  return steps.every((step, i) => !step.next && (i === 0 || !step.required))
}

/**
 * Returns the combined statement. The parameters of each step keep their number and order.
 * @param steps at least two independent steps
 * @returns undefined if the steps must run one by one, because two change the same table or one cannot be conditional
 */
export function combine(steps: readonly Step[]): RootOperationNode | undefined {
  const writing = steps.map(({ query: { node } }) => node).filter(isWriting)
  const [first] = writing
  const tables = new Set(writing.map(tableOf))
  if (!first || tables.size < steps.length || tables.has(undefined)) return undefined
  const isConditional = steps[0]?.required === true
  let expressions: WithNode | undefined
  for (const [i, node] of writing.entries()) {
    const part = i > 0 && isConditional ? onlyIfFirstMatched(node) : node
    if (!part) return undefined
    const expression = CommonTableExpressionNode.create(CommonTableExpressionNameNode.create(`step_${i}`), part)
    expressions = expressions ? WithNode.cloneWithExpression(expressions, expression) : WithNode.create(expression)
  }
  return { ...(first.returning ? firstRows : noRows), ...(expressions && { with: expressions }) }
}

const firstRows = SelectQueryNode.cloneWithSelections(SelectQueryNode.createFrom([TableNode.create('step_0')]), [
  SelectionNode.createSelectAll(),
])

const noRows = sqlFor.selectNoFrom(sql.lit(1).as('none')).where(sql.lit(false)).toOperationNode()

const firstMatched = sql`exists (select 1 from ${sql.table('step_0')})`.toOperationNode()

function isWriting(node: OperationNode): node is WritingNode {
  return InsertQueryNode.is(node) || UpdateQueryNode.is(node) || DeleteQueryNode.is(node)
}

/** Returns the name of the table that a statement changes; undefined if it is not a plain table. */
function tableOf(node: WritingNode): string | undefined {
  const table = InsertQueryNode.is(node) ? node.into : UpdateQueryNode.is(node) ? node.table : node.from.froms[0]
  return table && TableNode.is(table) ? table.table.identifier.name : undefined
}

/** Makes a later step take effect only if the first one returned a row. */
function onlyIfFirstMatched(node: WritingNode): WritingNode | undefined {
  if (!InsertQueryNode.is(node)) return QueryNode.cloneWithWhere(node, firstMatched)
  const rows = node.values && (ValuesNode.is(node.values) ? selectOf(node, node.values) : node.values)
  if (!rows || !SelectQueryNode.is(rows)) return undefined
  return InsertQueryNode.cloneWith(node, { values: QueryNode.cloneWithWhere(rows, firstMatched) })
}

/** Returns `select 'a' as "x"` for the `values ('a')` of an insert; undefined if it has several rows. */
function selectOf({ columns = [] }: InsertQueryNode, { values: [row, ...more] }: ValuesNode) {
  if (!row || more.length > 0) return undefined
  const values = PrimitiveValueListNode.is(row) ? row.values.map(value => ValueNode.create(value)) : row.values
  const selections = columns.flatMap(({ column }, i) => {
    const value = values[i]
    return value ? SelectionNode.create(AliasNode.create(value, IdentifierNode.create(column.name))) : []
  })
  return SelectQueryNode.cloneWithSelections(SelectQueryNode.create(), selections)
}
