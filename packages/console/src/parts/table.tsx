/** Tables: real tables on wide screens, cards on narrow ones. `j` and `k` move between rows, `Enter` opens one. */
import { type ReactNode, type RefObject, useEffect, useMemo, useRef } from 'react'
import { useKeys } from '../keys.ts'

export interface Column<T> {
  head: string
  /** Shown to screen readers only. */
  hideHead?: boolean
  cell(row: T): ReactNode
  className?: string
}

export interface TableProps<T> {
  caption: string
  columns: readonly Column<T>[]
  rows: readonly T[]
  idOf(row: T): string
  /** What the first column shows, as the name of the button that opens the row. */
  onOpen?(row: T): void
  selected?: ReadonlySet<string>
  onSelect?(row: T): void
  classOf?(row: T): string | undefined
  /** Rows before and after those that are shown, as heights: for long lists. */
  padding?: { before: number; after: number }
  measure?(row: HTMLTableRowElement | null): void
  indexOf?(row: T): number
}

export function Table<T>(props: TableProps<T>) {
  const body = useRef<HTMLTableSectionElement>(null)
  useRowKeys(body, props)
  return (
    <div className="card table-card">
      <table>
        <caption className="hidden">{props.caption}</caption>
        <thead>
          <tr>
            {props.onSelect && (
              <th scope="col" className="narrow">
                <span className="hidden">Select</span>
              </th>
            )}
            {props.columns.map(({ head, hideHead, className }) => (
              <th key={head} scope="col" className={className}>
                {hideHead ? <span className="hidden">{head}</span> : head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {props.padding && props.padding.before > 0 && <Space height={props.padding.before} />}
          {props.rows.map(row => (
            <Row key={props.idOf(row)} row={row} {...props} />
          ))}
          {props.padding && props.padding.after > 0 && <Space height={props.padding.after} />}
        </tbody>
      </table>
    </div>
  )
}

function Space({ height }: { height: number }) {
  return (
    <tr className="space">
      <td style={{ height }} />
    </tr>
  )
}

function Row<T>({ row, ...props }: TableProps<T> & { row: T }) {
  const id = props.idOf(row)
  const chosen = props.selected?.has(id)
  return (
    <tr
      ref={props.measure}
      data-index={props.indexOf?.(row)}
      data-row={id}
      className={`${props.classOf?.(row) ?? ''} ${props.onOpen ? 'opens' : ''} ${chosen ? 'chosen' : ''}`}
      onClick={event => {
        // Links and buttons in the row do what they say.
        if (!(event.target as Element).closest('a,button,input,label')) props.onOpen?.(row)
      }}
    >
      {props.onSelect && (
        <td className="narrow">
          <label className="tick">
            <input type="checkbox" checked={chosen} onChange={() => props.onSelect?.(row)} />
            <span className="hidden">Select</span>
          </label>
        </td>
      )}
      {props.columns.map(({ head, cell, className }, index) => (
        <td key={head} className={className} data-head={head}>
          {index === 0 && props.onOpen ? (
            <button type="button" className="row-open" onClick={() => props.onOpen?.(row)}>
              {cell(row)}
            </button>
          ) : (
            cell(row)
          )}
        </td>
      ))}
    </tr>
  )
}

/** `j`, `k` move the focus between rows, `x` selects the row that has it. */
function useRowKeys<T>(body: RefObject<HTMLTableSectionElement | null>, props: TableProps<T>): void {
  const latest = useRef(props)
  useEffect(() => {
    latest.current = props
  })
  const keys = useMemo(() => {
    const rows = () => [...(body.current?.querySelectorAll<HTMLElement>('tr[data-row]') ?? [])]
    const current = () => rows().findIndex(row => row.contains(document.activeElement))
    const move = (step: number) => {
      const all = rows()
      const next = all[Math.max(0, Math.min(all.length - 1, current() + step))]
      next?.querySelector<HTMLElement>('.row-open, a, button')?.focus()
      next?.scrollIntoView({ block: 'nearest' })
    }
    const select = () => {
      const { rows: shown, onSelect, idOf } = latest.current
      const id = rows()[current()]?.dataset['row']
      const row = shown.find(each => idOf(each) === id)
      if (row) onSelect?.(row)
    }
    return { j: () => move(1), k: () => move(-1), x: select }
  }, [body])
  useKeys(keys)
}
